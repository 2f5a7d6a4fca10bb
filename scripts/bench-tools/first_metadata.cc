// first_metadata: from the start of a broker to its first Metadata answer, in milliseconds.
//
//     first_metadata PORT SECONDS_MAX -- COMMAND ARG...
//
// Starts the command, connects every 200 µs until a Metadata v1 answer names a broker, prints
// one line of key=value pairs with the time since the start and the process's memory then, and
// ends the command with SIGTERM.

#include "common.h"

#include <csignal>
#include <sys/wait.h>

namespace {

// An answer to Metadata v1 for no topics, or empty when there is none yet.
std::string ask(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string answer;
    if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
        bench::no_delay(fd);
        std::string body;
        bench::put_i32(body, 0);
        const std::string request = bench::frame(3, 1, 7, "first_metadata", body);
        char buffer[4096];
        if (write(fd, request.data(), request.size()) == static_cast<ssize_t>(request.size())) {
            for (ssize_t got = 0; (got = read(fd, buffer, sizeof buffer)) > 0;) {
                answer.append(buffer, static_cast<std::size_t>(got));
                if (answer.size() >= 4 && answer.size() >= 4 + bench::get_u32(answer.data())) break;
            }
        }
    }
    close(fd);
    return answer;
}

bool names_a_broker(const std::string& answer) {
    return answer.size() > 12 && bench::get_u32(answer.data() + 8) > 0;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 5 || std::string(argv[3]) != "--") {
        std::fputs("first_metadata PORT SECONDS_MAX -- COMMAND ARG...\n", stderr);
        return 2;
    }
    const int port = std::atoi(argv[1]);
    const double most = std::atof(argv[2]);
    const double start = bench::now();
    const pid_t child = fork();
    if (child == 0) {
        execvp(argv[4], argv + 4);
        std::perror(argv[4]);
        _exit(127);
    }
    bool found = false;
    double took = 0;
    while (!found && (took = bench::now() - start) < most && waitpid(child, nullptr, WNOHANG) == 0) {
        found = names_a_broker(ask(port));
        took = bench::now() - start;
        if (!found) usleep(200);
    }
    const long rss = bench::process_rss_kib(child);
    kill(child, SIGTERM);
    waitpid(child, nullptr, 0);
    if (!found) {
        std::fprintf(stderr, "no Metadata answer within %.0f s\n", most);
        return 1;
    }
    std::printf("first_metadata ms=%.1f rss_KiB=%ld\n", took * 1e3, rss);
    return 0;
}

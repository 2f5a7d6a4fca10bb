// echo_server: what a broker would cost that did nothing.
//
// One thread and epoll. Every complete frame is answered with a frame of zeros, which blast takes for a
// Produce answer without an error; all frames of one read are answered by one write. Its latencies are the
// floor of the machine, beside which a broker's are printed. Runs until it is killed.

#include "common.h"

#include <arpa/inet.h>
#include <cstdlib>
#include <sys/epoll.h>
#include <unordered_map>

namespace {

constexpr const char* usage = "echo_server --port PORT [--bytes 64]\n";

int listen_on(int port) {
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    const int yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 || listen(fd, 1024) != 0) {
        std::perror("echo_server");
        std::exit(1);
    }
    return fd;
}

// Takes the complete frames off the front and returns how many they were.
std::size_t take_frames(std::string& in) {
    std::size_t count = 0;
    std::size_t at = 0;
    while (in.size() - at >= 4) {
        const std::size_t length = 4 + bench::get_u32(in.data() + at);
        if (in.size() - at < length) break;
        at += length;
        ++count;
    }
    in.erase(0, at);
    return count;
}

}  // namespace

int main(int argc, char** argv) {
    const bench::Flags flags(argc, argv, {{"port", "0"}, {"bytes", "64"}}, usage);
    std::string answer;
    bench::put_i32(answer, flags.number("bytes"));
    answer.append(static_cast<std::size_t>(flags.number("bytes")), '\0');

    const int listener = listen_on(static_cast<int>(flags.number("port")));
    const int poller = epoll_create1(0);
    const auto watch = [&](int fd) {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = fd;
        epoll_ctl(poller, EPOLL_CTL_ADD, fd, &event);
    };
    watch(listener);
    std::puts("serving");
    std::fflush(stdout);

    std::unordered_map<int, std::string> unread;
    std::vector<char> buffer(1 << 20);
    std::string out;
    for (;;) {
        epoll_event events[256];
        const int ready = epoll_wait(poller, events, 256, -1);
        for (int i = 0; i < ready; ++i) {
            const int fd = events[i].data.fd;
            if (fd == listener) {
                watch(accept(listener, nullptr, nullptr));
                continue;
            }
            const ssize_t got = recv(fd, buffer.data(), buffer.size(), 0);
            if (got <= 0) {
                close(fd);
                unread.erase(fd);
                continue;
            }
            auto& in = unread[fd];
            in.append(buffer.data(), static_cast<std::size_t>(got));
            out.clear();
            for (auto left = take_frames(in); left > 0; --left) out += answer;
            if (send(fd, out.data(), out.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(out.size())) {
                std::fputs("a client does not read its answers\n", stderr);
                return 1;
            }
        }
    }
}

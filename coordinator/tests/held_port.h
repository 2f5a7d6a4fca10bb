// HeldPort: a TCP port of the loopback interface that is nobody else's.
//
// Nobody listens there until somebody of this process binds to it with SO_REUSEADDR, as servers do,
// and meanwhile who connects is refused: the kernel gives the port to nobody who asks for any.
#pragma once

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <cstdint>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace test {

class HeldPort {
public:
    HeldPort() : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        const int on = 1;
        REQUIRE(::setsockopt(socket_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0);
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof at;
        auto* const generic = reinterpret_cast<sockaddr*>(&at);
        REQUIRE(::bind(socket_, generic, size) == 0);
        REQUIRE(::getsockname(socket_, generic, &size) == 0);
        number_ = ntohs(at.sin_port);
    }
    ~HeldPort() { ::close(socket_); }
    HeldPort(const HeldPort&) = delete;
    HeldPort& operator=(const HeldPort&) = delete;

    std::uint16_t number() const noexcept { return number_; }

private:
    const int socket_;
    std::uint16_t number_ = 0;
};

}  // namespace test

#include "broker/client/socket.h"

#include <cerrno>
#include <cstring>
#include <memory>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace broker::inline client {
namespace {

base::Unexpected<ClientFault> unreachable(std::string detail) {
    return base::Unexpected(
        ClientFault{.kind = ClientFault::Kind::unreachable, .detail = std::move(detail)});
}

base::Unexpected<ClientFault> timed_out(std::string detail) {
    return base::Unexpected(
        ClientFault{.kind = ClientFault::Kind::timed_out, .detail = std::move(detail)});
}

// True when the descriptor is ready for `events`, false when the deadline passed first.
bool wait_ready(int descriptor, short events, Deadline deadline) {
    pollfd entry{descriptor, events, 0};
    while (true) {
        const int ready = ::poll(&entry, 1, milliseconds_left(deadline));
        if (ready > 0) return true;
        if (ready == 0 && milliseconds_left(deadline) == 0) return false;
    }
}

std::string reason(int error) {
    return std::strerror(error);
}

}  // namespace

int milliseconds_left(Deadline deadline) {
    using namespace std::chrono;
    const auto left = ceil<milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return 0;
    return left > 3'600'000 ? 3'600'000 : static_cast<int>(left);
}

void wait_for(std::chrono::milliseconds time) {
    const auto deadline = after(time);
    while (milliseconds_left(deadline) > 0) ::poll(nullptr, 0, milliseconds_left(deadline));
}

Socket::~Socket() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

Socket& Socket::operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
}

ClientResult<Socket> Socket::connect(const Address& to, Deadline deadline) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const int fault =
        ::getaddrinfo(to.host.c_str(), std::to_string(to.port).c_str(), &hints, &found);
    if (fault != 0) return unreachable("cannot resolve " + to.host + ": " + ::gai_strerror(fault));
    const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> owner(found, &::freeaddrinfo);

    int last_error = 0;
    for (const addrinfo* each = found; each; each = each->ai_next) {
        Socket socket(::socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK,
                               each->ai_protocol));
        if (!socket.is_open()) {
            last_error = errno;
            continue;
        }
        int error = 0;
        if (::connect(socket.descriptor_, each->ai_addr, each->ai_addrlen) != 0) error = errno;
        if (error == EINPROGRESS) {
            if (!wait_ready(socket.descriptor_, POLLOUT, deadline)) {
                return timed_out("no connection to " + to_string(to) + " in time");
            }
            socklen_t length = sizeof error;
            ::getsockopt(socket.descriptor_, SOL_SOCKET, SO_ERROR, &error, &length);
        }
        if (error == 0) {
            const int on = 1;
            ::setsockopt(socket.descriptor_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
            return socket;
        }
        last_error = error;
    }
    return unreachable("cannot connect to " + to_string(to) + ": " + reason(last_error));
}

ClientResult<void> Socket::write(std::span<const std::byte> bytes, Deadline deadline) {
    while (!bytes.empty()) {
        const auto sent = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent >= 0) {
            bytes = bytes.subspan(static_cast<std::size_t>(sent));
        } else if (errno == EAGAIN) {
            if (!wait_ready(descriptor_, POLLOUT, deadline))
                return timed_out("the broker does not take the request");
        } else if (errno != EINTR) {
            return unreachable("the connection was lost: " + reason(errno));
        }
    }
    return {};
}

ClientResult<void> Socket::read(std::span<std::byte> into, Deadline deadline) {
    while (!into.empty()) {
        const auto got = ::recv(descriptor_, into.data(), into.size(), 0);
        if (got > 0) {
            into = into.subspan(static_cast<std::size_t>(got));
        } else if (got == 0) {
            return unreachable("the broker closed the connection");
        } else if (errno == EAGAIN) {
            if (!wait_ready(descriptor_, POLLIN, deadline))
                return timed_out("the broker did not answer in time");
        } else if (errno != EINTR) {
            return unreachable("the connection was lost: " + reason(errno));
        }
    }
    return {};
}

}  // namespace broker

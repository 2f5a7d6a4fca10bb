// Peer: somebody who listens on a socket, and answers requests of Kafka's protocol as a test wants.
//
//     Peer broker([&](const protocol::RequestHeader& asked, wire::Reader& body) {
//         return test::answer_to(asked, protocol::StopReplicaResponse());
//     });
//
// One connection after the other is served, one request after the other, on a thread of the peer's.
#pragma once

#include "broker/client/address.h"
#include "protocol/schema/api/api_versions.h"
#include "protocol/schema/headers.h"
#include "protocol/wire/big_endian.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <mutex>
#include <netinet/in.h>
#include <span>
#include <sys/socket.h>
#include <thread>
#include <unistd.h>
#include <utility>
#include <vector>

namespace test {

struct Reply {
    std::vector<std::byte> bytes;
    bool closes = false;  // The connection, behind them.
};

template <class Response>
Reply answer_to(const protocol::RequestHeader& asked, const Response& response) {
    constexpr std::size_t length_bytes = 4;
    Reply reply{std::vector<std::byte>(length_bytes)};
    wire::Writer writer(reply.bytes);
    protocol::write_response_header(writer, asked.request_api_key, asked.request_api_version,
                                    asked.correlation_id);
    response.write(writer, asked.request_api_version);
    const auto length = static_cast<std::int32_t>(reply.bytes.size() - length_bytes);
    wire::store(std::span(reply.bytes), 0, length);
    return reply;
}

// What a broker says that it speaks: APIs from version 0 on, up to these.
inline protocol::ApiVersionsResponse speaks(
    std::initializer_list<std::pair<std::int16_t, std::int16_t>> newest) {
    protocol::ApiVersionsResponse response;
    response.api_keys.push_back({protocol::ApiVersionsApi::key, 0, 3});
    for (const auto& [key, version] : newest) response.api_keys.push_back({key, 0, version});
    return response;
}

class Peer {
public:
    using Handler = std::function<Reply(const protocol::RequestHeader&, wire::Reader&)>;

    explicit Peer(Handler handler) : handler_(std::move(handler)) {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        REQUIRE(::bind(listener_, generic, size) == 0);
        REQUIRE(::listen(listener_, 8) == 0);
        REQUIRE(::getsockname(listener_, generic, &size) == 0);
        address_ = {"127.0.0.1", ntohs(address.sin_port)};
        thread_ = std::thread([this] { serve(); });
    }
    // The handler must not wait for anything any more.
    ~Peer() {
        ::shutdown(listener_, SHUT_RDWR);
        {
            const std::lock_guard lock(mutex_);
            is_going_ = true;
            if (socket_ >= 0) ::shutdown(socket_, SHUT_RDWR);
        }
        thread_.join();
        ::close(listener_);
    }

    const broker::Address& address() const { return address_; }

private:
    static bool read_exactly(int from, std::span<std::byte> into) {
        for (std::size_t done = 0; done < into.size();) {
            const auto got = ::recv(from, into.data() + done, into.size() - done, 0);
            if (got <= 0) return false;
            done += static_cast<std::size_t>(got);
        }
        return true;
    }

    void serve() {
        for (;;) {
            const int socket = ::accept(listener_, nullptr, nullptr);
            if (socket < 0) return;
            hold(socket);
            while (serve_one(socket)) {
            }
            hold(-1);
            ::close(socket);
        }
    }

    void hold(int socket) {
        const std::lock_guard lock(mutex_);
        socket_ = socket;
        // It was accepted, and nobody could know of it yet who ended the others.
        if (is_going_ && socket >= 0) ::shutdown(socket, SHUT_RDWR);
    }

    bool serve_one(int socket) {
        std::array<std::byte, 4> length{};
        if (!read_exactly(socket, length)) return false;
        std::vector<std::byte> frame(
            static_cast<std::size_t>(wire::load<std::int32_t>(std::span(length), 0)));
        if (!read_exactly(socket, frame)) return false;
        wire::Reader reader(std::span<std::byte>(frame.data(), frame.size()));
        const auto header = protocol::read_request_header(reader);
        const auto reply = handler_(header, reader);
        const auto sent = ::send(socket, reply.bytes.data(), reply.bytes.size(), MSG_NOSIGNAL);
        return sent == static_cast<ssize_t>(reply.bytes.size()) && !reply.closes;
    }

    const Handler handler_;
    int listener_ = -1;
    broker::Address address_;
    std::mutex mutex_;  // Of the two below.
    int socket_ = -1;
    bool is_going_ = false;
    std::thread thread_;
};

}  // namespace test

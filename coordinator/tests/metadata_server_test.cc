#include "coordinator/metadata/server/server.h"
#include "coordinator/tests/sim_disk.h"
#include "protocol/tests/hex.h"
#include "protocol/zookeeper/messages.h"

#include <doctest/doctest.h>

#include <arpa/inet.h>
#include <cstring>
#include <memory>
#include <netinet/in.h>
#include <span>
#include <string>
#include <sys/socket.h>
#include <unistd.h>
#include <vector>

using namespace coordinator;

namespace {

struct Host {
    sim::SimDisk disk;
    std::unique_ptr<MetadataService> service;
    std::unique_ptr<MetadataServer> server;

    explicit Host(std::int32_t connections_per_host_max = 0) {
        MetadataService::Settings settings;
        settings.disk = &disk;
        settings.directory = "/d";
        settings.wall_ms = settings.monotonic_ms = [] { return std::int64_t{1'000'000}; };
        settings.random = [](std::span<std::byte> bytes) {
            for (std::byte& byte : bytes) byte = std::byte{7};
        };
        auto started = MetadataService::start(settings);
        REQUIRE(started);
        service = std::move(*started);
        MetadataServer::Settings at;
        at.hosts = {"127.0.0.1"};
        at.wall_ms = at.monotonic_ms = settings.monotonic_ms;
        at.connections_per_host_max = connections_per_host_max;
        auto serving = MetadataServer::start(*service, at);
        REQUIRE_MESSAGE(serving, serving.error());
        server = std::move(*serving);
    }
};

// A blocking socket to the server.
class Peer {
public:
    explicit Peer(const Host& host) : socket_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in at{};
        at.sin_family = AF_INET;
        at.sin_port = htons(host.server->port());
        at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        REQUIRE(::connect(socket_, reinterpret_cast<sockaddr*>(&at), sizeof at) == 0);
    }
    ~Peer() { ::close(socket_); }
    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void send(std::span<const std::byte> bytes) {
        REQUIRE(::send(socket_, bytes.data(), bytes.size(), MSG_NOSIGNAL) ==
                static_cast<ssize_t>(bytes.size()));
    }
    void say_no_more() { ::shutdown(socket_, SHUT_WR); }

    // Until `size` bytes are there or the server closed.
    std::string receive(std::size_t size) {
        std::string read(size, '\0');
        std::size_t have = 0;
        while (have < size) {
            const auto got = ::recv(socket_, read.data() + have, size - have, 0);
            if (got <= 0) break;
            have += static_cast<std::size_t>(got);
        }
        read.resize(have);
        return read;
    }

    void connect() {
        zookeeper::ConnectRequest request;
        request.timeout_ms = 10'000;
        request.password = std::string(16, '\0');
        std::vector<std::byte> frame;
        zookeeper::write_frame(frame, [&](wire::Writer& writer) {
            zookeeper::write_connect_request(writer, request);
        });
        send(frame);
        REQUIRE(receive(40).size() == 40);  // Length and 36 bytes: no flag was sent.
    }

private:
    const int socket_;
};

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

}  // namespace

TEST_CASE("a four-letter word is answered and the connection closed") {
    Host host;
    Peer peer(host);
    peer.send(bytes_of("ruok\n"));
    peer.say_no_more();
    CHECK(peer.receive(100) == "imok");
    Peer other(host);
    other.send(bytes_of("GET / HTTP/1.1\r\n"));
    CHECK(other.receive(100).empty());
}

TEST_CASE("requests are answered over a socket, many in one packet too") {
    Host host;
    Peer peer(host);
    peer.connect();
    std::vector<std::byte> frames;
    for (std::int32_t xid = 1; xid <= 2000; ++xid) {
        zookeeper::write_frame(frames, [&](wire::Writer& writer) {
            zookeeper::jute::write(writer,
                                   zookeeper::RequestHeader{xid, zookeeper::OpCode::exists});
            zookeeper::jute::write(writer, zookeeper::ReadRequest{"/", false});
        });
    }
    peer.send(frames);
    const auto answers = peer.receive(2000 * (4 + 16 + 68));
    REQUIRE(answers.size() == 2000 * (4 + 16 + 68));
    const auto last = answers.substr(1999 * (4 + 16 + 68) + 4, 4);
    CHECK(bytes_of(last) == test::hex("000007d0"));
}

TEST_CASE("a frame that is too long closes its connection, others go on") {
    Host host;
    Peer witness(host);
    witness.connect();
    Peer peer(host);
    peer.connect();
    peer.send(test::hex("00100000"));
    CHECK(peer.receive(1).empty());
    witness.send(test::hex("00000008 fffffffe 0000000b"));
    CHECK(witness.receive(20).size() == 20);
}

TEST_CASE("a host has no more connections than it may") {
    Host host(1);
    Peer first(host);
    first.connect();
    Peer second(host);
    CHECK(second.receive(1).empty());
    first.send(test::hex("00000008 fffffffe 0000000b"));
    CHECK(first.receive(20).size() == 20);
}

TEST_CASE("the server stops with clients connected, and their sessions stay") {
    Host host;
    Peer peer(host);
    peer.connect();
    host.server->stop();
    CHECK(peer.receive(1).empty());
    const auto sessions =
        host.service->read([](const Tree& tree) { return tree.sessions().size(); });
    CHECK(sessions == std::size_t{1});
}

// Connection: requests and answers over one socket, in versions that both sides speak.
//
//     auto connection = Connection::open(address, "a-tool", after(10s));
//     const auto answer = connection->call<protocol::MetadataApi, protocol::MetadataResponse>(
//         request, after(30s));
//     use((*answer)->brokers);                  // borrows from the answer's own frame
//
// Each request goes in the newest version that the schema, the broker and the caller's cap
// have in common. Requests may be sent ahead of the answers to earlier ones; answers come
// in the order of the requests.
//
// Threads: one at a time. Limits: an answer has at most answer_bytes_max.
#pragma once

#include "broker/client/socket.h"
#include "protocol/base/ensure.h"
#include "protocol/schema/headers.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace broker::inline client {

struct VersionRange {
    std::int16_t least;
    std::int16_t most;
};

// The bytes of one answer; what was decoded from them borrows.
struct Frame {
    std::unique_ptr<std::byte[]> bytes;
    std::size_t size = 0;

    std::span<std::byte> span() const noexcept { return {bytes.get(), size}; }
};

template <class Response>
struct Answer {
    Frame frame;
    Response message;
    std::int16_t version{};

    const Response* operator->() const noexcept { return &message; }
    const Response& operator*() const noexcept { return message; }
};

class Connection {
public:
    static constexpr std::size_t answer_bytes_max = std::size_t{512} << 20;

    // Connect and ask which versions the broker speaks.
    [[nodiscard]] static ClientResult<Connection> open(const Address& to, std::string client_id,
                                                       Deadline deadline);

    // Send a request and go on at once; receive() takes its answer later. An answer that
    // never comes (Produce with acks=0) must not be waited for: `is_answered` false.
    template <class Api, class Request>
    [[nodiscard]] ClientResult<void> send(const Request& request, Deadline deadline,
                                          std::int16_t version_cap = Api::version_max,
                                          bool is_answered = true) {
        const auto version =
            version_of(Api::key, Api::version_min, std::min(version_cap, Api::version_max));
        if (!version) return base::Unexpected(version.error());
        begin(Api::key, *version);
        wire::Writer writer(out_);
        request.write(writer, *version);
        return finish(Api::key, *version, deadline, is_answered);
    }

    // The answer to the oldest request that is still to be answered.
    // Requires that one is, and that it was sent with this Api.
    template <class Api, class Response>
    [[nodiscard]] ClientResult<Answer<Response>> receive(Deadline deadline) {
        auto frame = receive_frame(deadline);
        if (!frame) return base::Unexpected(frame.error());
        const auto expected = pending_.front();
        pending_.pop_front();
        base::ensure(expected.api_key == Api::key, "answers are taken as what was asked");
        wire::Reader reader(frame->span());
        const auto header = protocol::read_response_header(reader, Api::key, expected.version);
        auto message = Response::read(reader, expected.version);
        if (reader.failed() || header.correlation_id != expected.correlation_id)
            return base::Unexpected(broken());
        return Answer<Response>{std::move(*frame), std::move(message), expected.version};
    }

    template <class Api, class Response, class Request>
    [[nodiscard]] ClientResult<Answer<Response>> call(const Request& request, Deadline deadline,
                                                      std::int16_t version_cap = Api::version_max) {
        const auto sent = send<Api>(request, deadline, version_cap);
        if (!sent) return base::Unexpected(sent.error());
        return receive<Api, Response>(deadline);
    }

    std::size_t pending() const noexcept { return pending_.size(); }
    int descriptor() const noexcept { return socket_.descriptor(); }

    // What the broker said that it speaks, by API key.
    const std::map<std::int16_t, VersionRange>& versions() const noexcept { return versions_; }

private:
    struct Expected {
        std::int16_t api_key;
        std::int16_t version;
        std::int32_t correlation_id;
    };

    Connection(Socket socket, std::string client_id)
        : socket_(std::move(socket)), client_id_(std::move(client_id)) {}

    [[nodiscard]] ClientResult<void> negotiate(Deadline deadline);
    [[nodiscard]] ClientResult<std::int16_t> version_of(std::int16_t key, std::int16_t least,
                                                        std::int16_t most) const;
    void begin(std::int16_t key, std::int16_t version);
    [[nodiscard]] ClientResult<void> finish(std::int16_t key, std::int16_t version,
                                            Deadline deadline, bool is_answered);
    [[nodiscard]] ClientResult<Frame> receive_frame(Deadline deadline);
    static ClientFault broken();

    Socket socket_;
    std::string client_id_;
    std::map<std::int16_t, VersionRange> versions_;
    std::vector<std::byte> out_;  // The request that is being written.
    std::deque<Expected> pending_;
    std::int32_t correlation_id_ = 0;
};

}  // namespace broker

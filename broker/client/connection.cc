#include "broker/client/connection.h"

#include "protocol/schema/api/api_versions.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>

namespace broker::inline client {
namespace {

constexpr std::size_t length_bytes = 4;

// What is taken on the word of a length alone; the rest grows with what arrives.
constexpr std::size_t trusted_bytes = std::size_t{64} << 20;

}  // namespace

ClientFault Connection::broken() {
    return {.kind = ClientFault::Kind::broken_answer,
            .detail =
                "what came is not an answer of Kafka's protocol; is this the port of a broker, "
                "without TLS?"};
}

ClientResult<Connection> Connection::open(const Address& to, std::string client_id,
                                          Deadline deadline) {
    auto socket = Socket::connect(to, deadline);
    if (!socket) return base::Unexpected(socket.error());
    Connection connection(std::move(*socket), std::move(client_id));
    const auto negotiated = connection.negotiate(deadline);
    if (!negotiated) {
        auto fault = negotiated.error();
        fault.detail = to_string(to) + ": " + fault.detail;
        return base::Unexpected(std::move(fault));
    }
    return connection;
}

ClientResult<void> Connection::negotiate(Deadline deadline) {
    using protocol::ApiVersionsApi;
    protocol::ApiVersionsRequest request;
    request.client_software_name = "milena";
    request.client_software_version = "0.1.0";
    // A broker that does not know the version answers in version 0, with what it knows.
    for (std::int16_t version : {std::int16_t{3}, std::int16_t{0}}) {
        begin(ApiVersionsApi::key, version);
        wire::Writer writer(out_);
        request.write(writer, version);
        const auto sent = finish(ApiVersionsApi::key, version, deadline, true);
        if (!sent) return sent;
        auto frame = receive_frame(deadline);
        if (!frame) return base::Unexpected(frame.error());
        const auto expected = pending_.front();
        pending_.pop_front();
        if (frame->size < 6) return base::Unexpected(broken());
        const auto code =
            static_cast<protocol::ErrorCode>(wire::load<std::int16_t>(frame->span(), 4));
        if (code == protocol::ErrorCode::unsupported_version && version > 0) continue;
        if (code != protocol::ErrorCode::none) return base::Unexpected(refused(code));
        wire::Reader reader(frame->span());
        const auto header = protocol::read_response_header(reader, ApiVersionsApi::key, version);
        const auto answer = protocol::ApiVersionsResponse::read(reader, version);
        if (reader.failed() || header.correlation_id != expected.correlation_id)
            return base::Unexpected(broken());
        for (const auto& api : answer.api_keys)
            versions_[api.api_key] = {api.min_version, api.max_version};
        return {};
    }
    return base::Unexpected(broken());
}

ClientResult<std::int16_t> Connection::version_of(std::int16_t key, std::int16_t least,
                                                  std::int16_t most) const {
    const auto theirs = versions_.find(key);
    if (theirs != versions_.end()) {
        const auto version = std::min(most, theirs->second.most);
        if (version >= std::max(least, theirs->second.least)) return version;
    }
    return base::Unexpected(
        ClientFault{.kind = ClientFault::Kind::unsupported,
                    .code = protocol::ErrorCode::unsupported_version,
                    .detail = "The broker does not support the request that this needs (API " +
                              std::to_string(key) + ")"});
}

void Connection::begin(std::int16_t key, std::int16_t version) {
    out_.assign(length_bytes, std::byte{});
    wire::Writer writer(out_);
    protocol::RequestHeader header;
    header.request_api_key = key;
    header.request_api_version = version;
    header.correlation_id = ++correlation_id_;
    header.client_id = wire::Text::borrowed(client_id_);
    protocol::write_request_header(writer, header);
}

ClientResult<void> Connection::finish(std::int16_t key, std::int16_t version, Deadline deadline,
                                      bool is_answered) {
    wire::store(std::span(out_), 0, static_cast<std::int32_t>(out_.size() - length_bytes));
    const auto written = socket_.write(out_, deadline);
    if (written && is_answered) pending_.push_back({key, version, correlation_id_});
    return written;
}

ClientResult<Frame> Connection::receive_frame(Deadline deadline) {
    base::ensure(!pending_.empty(), "an answer is waited for only when one is due");
    std::array<std::byte, length_bytes> length_field;
    auto done = socket_.read(length_field, deadline);
    if (!done) return base::Unexpected(done.error());
    const auto length = wire::load<std::int32_t>(length_field, 0);
    if (length < 4 || static_cast<std::size_t>(length) > answer_bytes_max)
        return base::Unexpected(broken());

    const auto size = static_cast<std::size_t>(length);
    Frame frame{std::make_unique_for_overwrite<std::byte[]>(std::min(size, trusted_bytes)), 0};
    while (frame.size < size) {
        const auto target = std::min(size, frame.size + trusted_bytes);
        if (frame.size > 0) {
            auto larger = std::make_unique_for_overwrite<std::byte[]>(target);
            std::copy_n(frame.bytes.get(), frame.size, larger.get());
            frame.bytes = std::move(larger);
        }
        done = socket_.read({frame.bytes.get() + frame.size, target - frame.size}, deadline);
        if (!done) return base::Unexpected(done.error());
        frame.size = target;
    }
    return frame;
}

}  // namespace broker

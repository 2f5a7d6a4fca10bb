// Produce: append records to partitions.
//
// Each partition is judged by itself, and one refusal does not stop the others. The records
// are written from the frame they came in; what is answered at once is answered without a
// coroutine, and a write that another thread finishes, or acks=all, parks.
//
// Checks and their order: facts/kafka.md §1.7.

#include "broker/api/endpoint.h"
#include "broker/api/handlers.h"
#include "protocol/records/validate.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <memory>

namespace broker {

namespace asio = boost::asio;
using base::Offset;
using protocol::ErrorCode;
using protocol::ProduceRequest;
using protocol::ProduceResponse;

namespace {

constexpr std::int16_t waiting = std::numeric_limits<std::int16_t>::max();  // No code of Kafka's.

// The appends of one request that are on their way.
struct Pending {
    explicit Pending(std::size_t partitions) : outcomes(partitions) {
        for (auto& outcome : outcomes) outcome.store(static_cast<std::int16_t>(ErrorCode::none), std::memory_order_relaxed);
    }

    std::vector<std::atomic<std::int16_t>> outcomes;  // By position in the answer.
    std::atomic<std::size_t> open{1};                 // Appends that are open, and the handler itself.
    std::shared_ptr<asio::steady_timer> alarm;        // Set before the handler lets go.

    // True for whoever was the last.
    bool let_go() { return open.fetch_sub(1, std::memory_order_acq_rel) == 1; }

    void finish(std::size_t at, ErrorCode error) {
        outcomes[at].store(static_cast<std::int16_t>(error), std::memory_order_release);
        if (!let_go()) return;
        // The handler has let go, so it waits. Posted, so that the cancel comes after the wait.
        asio::post(alarm->get_executor(), [held = alarm] { held->cancel(); });
    }
};

ErrorCode code_of(records::ProduceError error) noexcept {
    switch (error) {
        case records::ProduceError::corrupt_message: return ErrorCode::corrupt_message;
        case records::ProduceError::message_too_large: return ErrorCode::message_too_large;
        case records::ProduceError::record_list_too_large: return ErrorCode::record_list_too_large;
        case records::ProduceError::invalid_timestamp: return ErrorCode::invalid_timestamp;
        case records::ProduceError::unsupported_compression_type: return ErrorCode::unsupported_compression_type;
        case records::ProduceError::invalid_record: return ErrorCode::invalid_record;
    }
    return ErrorCode::unknown_server_error;
}

records::ProduceRules rules_of(const TopicConfig& topic, const BrokerConfig& broker, std::int64_t now_ms) {
    records::ProduceRules rules{};
    rules.now_ms = now_ms;
    rules.message_bytes_max = topic.max_message_bytes;
    rules.segment_bytes = topic.segment_bytes;
    switch (topic.compression()) {
        case CompressionType::producer: break;
        case CompressionType::uncompressed: rules.codec = records::Codec::none; break;
        case CompressionType::gzip:
            rules.codec = records::Codec::gzip;
            rules.level = topic.compression_gzip_level;
            break;
        case CompressionType::snappy: rules.codec = records::Codec::snappy; break;
        case CompressionType::lz4:
            rules.codec = records::Codec::lz4;
            rules.level = topic.compression_lz4_level;
            break;
        case CompressionType::zstd:
            rules.codec = records::Codec::zstd;
            rules.level = topic.compression_zstd_level;
            break;
    }
    rules.timestamp_type = topic.is_log_append_time() ? records::TimestampType::log_append_time
                                                      : records::TimestampType::create_time;
    rules.timestamp_before_ms_max = topic.message_timestamp_before_max_ms;
    rules.timestamp_after_ms_max = topic.message_timestamp_after_max_ms;
    rules.compacted = topic.is_compacted();
    rules.validate_compressed = broker.milena_produce_validate_compressed;
    return rules;
}

struct Request {
    RequestContext& context;
    const ProduceRequest& asked;
    const ClusterImage& image;
    std::shared_ptr<Pending> pending;
};

void refuse(ProduceResponse::Topic::Partition& answer, ErrorCode error, std::string message = {}) {
    answer.error_code = error;
    answer.base_offset = Offset(-1);
    if (!message.empty()) answer.error_message = wire::Text(std::move(message));
}

void append(const Request& request, const TopicImage& topic, const ProduceRequest::Topic::Partition& asked,
            ProduceResponse::Topic::Partition& answer, std::size_t at) {
    const PartitionImage* partition = topic.find(asked.index);
    if (!partition) return refuse(answer, ErrorCode::unknown_topic_or_partition);

    thread_local records::ConvertScratch scratch;
    const auto rules = rules_of(*topic.config, *request.image.config, request.context.now_ms);
    // v3 and above ask for exactly one batch, and say so before anything else is looked at.
    auto accepted = records::validate_produce(asked.records.bytes(), request.context.api_version, rules, scratch);
    const auto reject = [&] {
        const auto& why = accepted.error();
        refuse(answer, code_of(why.error), why.message);
        for (const auto& each : why.records) {
            answer.record_errors.push_back({each.batch_index, wire::Text(each.message)});
        }
    };
    if (request.asked.acks < -1 || request.asked.acks > 1) return refuse(answer, ErrorCode::invalid_required_acks);
    if (topic.is_internal && request.context.client_id != "__admin_client") {
        return refuse(answer, ErrorCode::invalid_topic_exception);
    }
    if (!partition->local) return refuse(answer, partition->why_not_local(request.image.self));
    if (!accepted) return reject();
    if (accepted->bytes.empty()) {  // An empty message set of an old client: nothing to do.
        answer.base_offset = Offset(-1);
        return;
    }
    if (accepted->transactional) {
        // There is no transaction coordinator, so no transaction can have been begun.
        return refuse(answer, ErrorCode::invalid_txn_state);
    }

    // What is written lies in the frame, or in a batch made anew: one of them is kept.
    std::shared_ptr<const void> keeper = request.context.frame;
    const std::int64_t append_time = accepted->log_append_time;
    storage::AppendRequest wanted;
    wanted.batches = accepted->bytes;
    if (!accepted->rebuilt.empty()) {
        auto rebuilt = std::make_shared<std::vector<std::byte>>(std::move(accepted->rebuilt));
        wanted.batches = *rebuilt;
        keeper = std::move(rebuilt);
    }
    const Acks acks = request.asked.acks == -1 ? Acks::all : Acks::leader;
    auto& pending = *request.pending;
    pending.outcomes[at].store(waiting, std::memory_order_relaxed);
    pending.open.fetch_add(1, std::memory_order_relaxed);
    auto done = [pending = request.pending, keeper, at](ErrorCode error) { pending->finish(at, error); };
    const auto appended = partition->local->append(wanted, acks, request.context.now_ms, std::move(done));
    if (!appended) {
        pending.outcomes[at].store(static_cast<std::int16_t>(ErrorCode::none), std::memory_order_relaxed);
        pending.open.fetch_sub(1, std::memory_order_relaxed);
        return refuse(answer, appended.error().code, appended.error().detail);
    }
    const auto& repetition = appended->reserved.repetition;
    answer.base_offset = repetition ? repetition->first : appended->reserved.first;
    answer.log_append_time_ms = repetition ? repetition->timestamp : append_time;
    answer.log_start_offset = appended->log_start;
}

// Errors that a client of this version knows.
ErrorCode for_version(ErrorCode error, std::int16_t version) noexcept {
    if (error == ErrorCode::kafka_storage_error && version <= 3) return ErrorCode::not_leader_or_follower;
    return error;
}

// Put the outcomes into the answer; whether all went well.
bool conclude(const RequestContext& context, ProduceResponse& response, const Pending& pending) {
    bool all_well = true;
    std::size_t at = 0;
    const auto image = context.image();
    for (auto& topic : response.responses) {
        for (auto& partition : topic.partition_responses) {
            const auto outcome = pending.outcomes[at++].load(std::memory_order_acquire);
            if (outcome == waiting) {
                partition.error_code = ErrorCode::request_timed_out;
            } else if (outcome != static_cast<std::int16_t>(ErrorCode::none)) {
                partition.error_code = static_cast<ErrorCode>(outcome);
            }
            if (partition.error_code == ErrorCode::none) continue;
            all_well = false;
            partition.error_code = for_version(partition.error_code, context.api_version);
            if (partition.error_code != ErrorCode::not_leader_or_follower || context.api_version < 10) continue;
            const TopicImage* known = topic.name.empty() ? image->find_topic(topic.topic_id) : image->find_topic(topic.name.view());
            const PartitionImage* now = known ? known->find(partition.index) : nullptr;
            if (!now) continue;
            partition.current_leader.leader_id = now->leader;
            partition.current_leader.leader_epoch = now->leader_epoch;
        }
    }
    return all_well;
}

asio::awaitable<ProduceResponse> answer_later(RequestContext context, ProduceResponse response,
                                              std::shared_ptr<Pending> pending) {
    co_await pending->alarm->async_wait(asio::as_tuple(asio::use_awaitable));
    conclude(context, response, *pending);
    co_return response;
}

}  // namespace

Answer<ProduceResponse> handle(RequestContext& context, ProduceRequest request) {
    const auto image = context.image();
    std::size_t partitions = 0;
    for (const auto& topic : request.topic_data) partitions += topic.partition_data.size();
    const Request asked{context, request, *image, std::make_shared<Pending>(partitions)};

    ProduceResponse response;
    response.responses.reserve(request.topic_data.size());
    const bool may_use_id = !request.transactional_id ||
                            context.authorise(Operation::write, ResourceType::transactional_id, *request.transactional_id);
    std::size_t bytes = 0;
    std::size_t at = 0;
    for (const auto& topic : request.topic_data) {
        auto& topic_answer = response.responses.emplace_back();
        topic_answer.name = topic.name;
        topic_answer.topic_id = topic.topic_id;
        const bool by_id = context.api_version >= 13;
        const TopicImage* known = by_id ? image->find_topic(topic.topic_id) : image->find_topic(topic.name.view());
        const bool may_write = known ? context.authorise(Operation::write, ResourceType::topic, known->name)
                                     : by_id || context.authorise(Operation::write, ResourceType::topic, topic.name);
        topic_answer.partition_responses.reserve(topic.partition_data.size());
        for (const auto& partition : topic.partition_data) {
            auto& answer = topic_answer.partition_responses.emplace_back();
            answer.index = partition.index;
            bytes += partition.records.size();
            if (!may_use_id) {
                refuse(answer, ErrorCode::transactional_id_authorization_failed);
            } else if (!may_write) {
                refuse(answer, ErrorCode::topic_authorization_failed);
            } else if (!known) {
                refuse(answer, by_id ? ErrorCode::unknown_topic_id : ErrorCode::unknown_topic_or_partition);
            } else {
                append(asked, *known, partition, answer, at);
            }
            ++at;
        }
    }
    response.throttle_time_ms = context.throttle(bytes);

    auto& pending = *asked.pending;
    if (request.acks == 0) {
        // Nobody reads an answer. An error is told by the closed connection.
        const bool all_well = conclude(context, response, pending) || [&] {
            for (const auto& outcome : pending.outcomes) {
                const auto code = outcome.load(std::memory_order_acquire);
                if (code != waiting && code != static_cast<std::int16_t>(ErrorCode::none)) return false;
            }
            for (const auto& topic : response.responses) {
                for (const auto& each : topic.partition_responses) {
                    if (each.error_code != ErrorCode::none && each.error_code != ErrorCode::request_timed_out) return false;
                }
            }
            return true;
        }();
        pending.alarm = std::make_shared<asio::steady_timer>(context.executor);
        pending.let_go();
        return all_well ? Answer<ProduceResponse>::none() : Answer<ProduceResponse>::close();
    }
    if (pending.open.load(std::memory_order_acquire) > 1) {
        pending.alarm = std::make_shared<asio::steady_timer>(
            context.executor, std::chrono::milliseconds(std::max(request.timeout_ms, 0)));
        if (!pending.let_go()) return answer_later(context, std::move(response), asked.pending);
    }
    conclude(context, response, pending);
    return response;
}

}  // namespace broker

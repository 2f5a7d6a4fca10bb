// Produce: append records to partitions.
//
//     headers, rights, topic, acks, leader     every partition, at once: a Job or a refusal
//     judge: the records themselves            here; or on the CPU pool, in a coroutine
//     append                                   in the order of the connection's requests
//     wait for acks                            without a coroutine if nothing is open
//
// Each partition is judged by itself, and one refusal does not stop the others. The records
// are written from the frame they came in.
//
// A job that inflates a lot, or compresses anew, would hold up all that its thread serves: it
// and those behind it in the request go to the CPU pool. Later requests of the connection then
// wait with their appends until it has made its own, so that no partition gets records in
// another order than they were sent in.
//
// Limits: a request inflates inline_inflated_max on the network thread, and each batch at most
// max(64 MiB, 10 x max.message.bytes).
//
// Checks and their order: facts/kafka.md §1.7; shapes come first, as Apache Kafka has it.

#include "broker/api/handlers.h"
#include "broker/cluster/run_on.h"
#include "protocol/records/validate.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <atomic>
#include <memory>
#include <optional>
#include <span>

namespace broker {

namespace asio = boost::asio;
using base::Offset;
using protocol::ErrorCode;
using protocol::ProduceRequest;
using protocol::ProduceResponse;

namespace {

constexpr std::int16_t waiting = std::numeric_limits<std::int16_t>::max();  // No code of Kafka's.

// What a request may cost on the network thread: about a millisecond.
constexpr std::size_t inline_inflated_max = std::size_t{1} << 20;
constexpr std::size_t inline_compressed_max = std::size_t{256} << 10;
constexpr std::size_t inline_recompressed_max = std::size_t{64} << 10;

constexpr std::size_t inflated_max_least = std::size_t{64} << 20;

// The appends of one request that are on their way.
struct Pending {
    explicit Pending(std::size_t partitions) : outcomes(partitions) {
        for (auto& outcome : outcomes)
            outcome.store(static_cast<std::int16_t>(ErrorCode::none), std::memory_order_relaxed);
    }

    std::vector<std::atomic<std::int16_t>> outcomes;  // By position in the answer.
    std::atomic<std::size_t> open{1};           // Appends that are open, and the handler itself.
    std::shared_ptr<asio::steady_timer> alarm;  // Set before the handler lets go.

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
        case records::ProduceError::corrupt_message:
            return ErrorCode::corrupt_message;
        case records::ProduceError::message_too_large:
            return ErrorCode::message_too_large;
        case records::ProduceError::record_list_too_large:
            return ErrorCode::record_list_too_large;
        case records::ProduceError::invalid_timestamp:
            return ErrorCode::invalid_timestamp;
        case records::ProduceError::unsupported_compression_type:
            return ErrorCode::unsupported_compression_type;
        case records::ProduceError::invalid_record:
            return ErrorCode::invalid_record;
    }
    return ErrorCode::unknown_server_error;
}

records::ProduceRules rules_of(const TopicConfig& topic, const BrokerConfig& broker,
                               std::int64_t now_ms) {
    records::ProduceRules rules{};
    rules.now_ms = now_ms;
    rules.message_bytes_max = topic.max_message_bytes;
    rules.segment_bytes = topic.segment_bytes;
    switch (topic.compression()) {
        case CompressionType::producer:
            break;
        case CompressionType::uncompressed:
            rules.codec = records::Codec::none;
            break;
        case CompressionType::gzip:
            rules.codec = records::Codec::gzip;
            rules.level = topic.compression_gzip_level;
            break;
        case CompressionType::snappy:
            rules.codec = records::Codec::snappy;
            break;
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
    rules.inflated_bytes_max = std::max(
        inflated_max_least, 10 * static_cast<std::size_t>(std::max(topic.max_message_bytes, 0)));
    return rules;
}

using Verdict = base::Result<records::Accepted, records::Rejection>;
using PartitionAnswer = ProduceResponse::Topic::Partition;

// The records for one partition, after all checks but those of the records themselves.
struct Job {
    const TopicImage* topic;
    const PartitionImage* partition;
    std::span<std::byte> records;
    PartitionAnswer* answer;
    std::size_t at;                  // Its place in the answer.
    std::optional<Verdict> verdict;  // Once it was judged elsewhere.
};

// A Produce on its way.
struct Work {
    ImagePointer image;  // Holds what the jobs point to.
    ProduceResponse response;
    std::vector<Job> jobs;
    std::size_t done = 0;  // Jobs that need nothing any more.
    std::shared_ptr<Pending> pending;
};

void refuse(PartitionAnswer& answer, ErrorCode error, std::string message = {}) {
    answer.error_code = error;
    answer.base_offset = Offset(-1);
    if (!message.empty()) answer.error_message = wire::Text(std::move(message));
}

void refuse(PartitionAnswer& answer, const records::Rejection& why) {
    refuse(answer, code_of(why.error), why.message);
    for (const auto& each : why.records) {
        answer.record_errors.push_back({each.batch_index, wire::Text(each.message)});
    }
}

// ---- Checks that look at no record --------------------------------------------------------

void take_job(const RequestContext& context, const ProduceRequest& request, Work& work,
              const TopicImage& topic, const ProduceRequest::Topic::Partition& asked,
              PartitionAnswer& answer, std::size_t at) {
    const PartitionImage* const partition = topic.find(asked.index);
    if (!partition) return refuse(answer, ErrorCode::unknown_topic_or_partition);
    const auto records = asked.records.bytes();
    if (const auto why = records::check_shape(records, context.api_version))
        return refuse(answer, *why);
    if (request.acks < -1 || request.acks > 1)
        return refuse(answer, ErrorCode::invalid_required_acks);
    if (topic.is_internal && context.client_id != "__admin_client") {
        return refuse(answer, ErrorCode::invalid_topic_exception);
    }
    if (!partition->local) return refuse(answer, partition->why_not_local(work.image->self));
    work.jobs.push_back({&topic, partition, records, &answer, at, std::nullopt});
}

// Whether any partition gets records of a transaction.
bool is_transactional(const ProduceRequest& request) {
    const auto has_transaction = [](const auto& partition) {
        const auto batch = records::Batch::view(partition.records.bytes());
        return batch && batch->is_transactional();
    };
    return std::ranges::any_of(request.topic_data, [&](const auto& topic) {
        return std::ranges::any_of(topic.partition_data, has_transaction);
    });
}

// The answer with its refusals, and the jobs of the others. Returns the bytes of all records.
std::size_t take_jobs(const RequestContext& context, const ProduceRequest& request, Work& work) {
    const bool by_id = context.api_version >= 13;
    const bool may_use_id = !is_transactional(request) ||
                            (request.transactional_id &&
                             context.authorise(Operation::write, ResourceType::transactional_id,
                                               *request.transactional_id));
    std::size_t partitions = 0;
    for (const auto& topic : request.topic_data) partitions += topic.partition_data.size();
    work.pending = std::make_shared<Pending>(partitions);
    work.jobs.reserve(partitions);
    work.response.responses.reserve(request.topic_data.size());
    std::size_t bytes = 0;
    std::size_t at = 0;
    for (const auto& topic : request.topic_data) {
        if (topic.partition_data.empty()) continue;
        auto& topic_answer = work.response.responses.emplace_back();
        topic_answer.name = topic.name;
        topic_answer.topic_id = topic.topic_id;
        const TopicImage* known = by_id ? work.image->find_topic(topic.topic_id)
                                        : work.image->find_topic(topic.name.view());
        const bool may_write =
            known ? context.authorise(Operation::write, ResourceType::topic, known->name)
                  : by_id || context.authorise(Operation::write, ResourceType::topic, topic.name);
        topic_answer.partition_responses.reserve(topic.partition_data.size());
        for (const auto& partition : topic.partition_data) {
            auto& answer = topic_answer.partition_responses.emplace_back();
            answer.index = partition.index;
            bytes += partition.records.size();
            if (const auto why = records::check_front(partition.records.bytes())) {
                refuse(answer, *why);
            } else if (!may_use_id) {
                refuse(answer, ErrorCode::transactional_id_authorization_failed);
            } else if (!may_write) {
                refuse(answer, ErrorCode::topic_authorization_failed);
            } else if (!known) {
                refuse(answer,
                       by_id ? ErrorCode::unknown_topic_id : ErrorCode::unknown_topic_or_partition);
            } else {
                take_job(context, request, work, *known, partition, answer, at);
            }
            ++at;
        }
    }
    return bytes;
}

// ---- The records --------------------------------------------------------------------------

records::ConvertScratch& scratch_of_this_thread() {
    thread_local records::ConvertScratch scratch;
    return scratch;
}

Verdict judge(const RequestContext& context, const Work& work, const Job& job,
              std::size_t inflated_max) {
    auto rules = rules_of(*job.topic->config, *work.image->config, context.now_ms);
    rules.inflated_bytes_max = std::min(rules.inflated_bytes_max, inflated_max);
    return records::validate_produce(job.records, context.api_version, rules,
                                     scratch_of_this_thread());
}

// Whether judging the job takes longer than this thread has, as far as its size tells.
bool is_heavy(const RequestContext& context, const Work& work, const Job& job,
              std::size_t compressed_bytes) {
    if (compressed_bytes > inline_compressed_max) return true;
    return job.records.size() > inline_recompressed_max &&
           records::deflates(job.records,
                             rules_of(*job.topic->config, *work.image->config, context.now_ms));
}

// Beside most refusals of records, Apache Kafka tells where the partition begins.
void tell_log_start(const Job& job) {
    switch (job.answer->error_code) {
        case ErrorCode::corrupt_message:
        case ErrorCode::message_too_large:
        case ErrorCode::record_list_too_large:
        case ErrorCode::not_leader_or_follower:
        case ErrorCode::kafka_storage_error:
            return;
        default:
            break;
    }
    const auto at = job.partition->local->positions();
    if (at) job.answer->log_start_offset = at->log_start;
}

void append(const RequestContext& context, const ProduceRequest& request, Work& work,
            const Job& job, Verdict accepted) {
    auto& answer = *job.answer;
    if (!accepted) {
        refuse(answer, accepted.error());
        return tell_log_start(job);
    }
    if (accepted->bytes.empty()) {  // An empty message set of an old client: nothing to do.
        answer.base_offset = Offset(-1);
        return;
    }
    if (accepted->transactional && !context.services.cluster.has_company()) {
        // There is no transaction coordinator here, so no transaction can have been begun.
        return refuse(answer, ErrorCode::invalid_txn_state);
    }

    // What is written lies in the frame, or in a batch made anew: one of them is kept.
    std::shared_ptr<const void> keeper = context.frame;
    const std::int64_t append_time = accepted->log_append_time;
    storage::AppendRequest wanted;
    wanted.batches = accepted->bytes;
    if (!accepted->rebuilt.empty()) {
        auto rebuilt = std::make_shared<std::vector<std::byte>>(std::move(accepted->rebuilt));
        wanted.batches = *rebuilt;
        keeper = std::move(rebuilt);
    }
    const Acks acks = request.acks == -1 ? Acks::all : Acks::leader;
    auto& pending = *work.pending;
    pending.outcomes[job.at].store(waiting, std::memory_order_relaxed);
    pending.open.fetch_add(1, std::memory_order_relaxed);
    auto done = [held = work.pending, keeper, at = job.at](ErrorCode error) {
        held->finish(at, error);
    };
    const auto appended =
        job.partition->local->append(wanted, acks, context.now_ms, std::move(done));
    if (!appended) {
        pending.outcomes[job.at].store(static_cast<std::int16_t>(ErrorCode::none),
                                       std::memory_order_relaxed);
        pending.open.fetch_sub(1, std::memory_order_relaxed);
        refuse(answer, appended.error().code, appended.error().detail);
        return tell_log_start(job);
    }
    const auto& repetition = appended->reserved.repetition;
    answer.base_offset = repetition ? repetition->first : appended->reserved.first;
    answer.log_append_time_ms = repetition ? repetition->timestamp : append_time;
    answer.log_start_offset = appended->log_start;
}

// Judge and append on this thread until a job is too heavy for it.
void do_light_jobs(const RequestContext& context, const ProduceRequest& request, Work& work) {
    const auto& inflater = scratch_of_this_thread().inflater;
    const auto inflated_before = inflater.inflated_bytes();
    std::size_t compressed_bytes = 0;
    for (; work.done < work.jobs.size(); ++work.done) {
        const Job& job = work.jobs[work.done];
        std::size_t inflated_max = inline_inflated_max;
        if (records::inflates(job.records)) {
            compressed_bytes += job.records.size();
            const auto inflated =
                static_cast<std::size_t>(inflater.inflated_bytes() - inflated_before);
            if (inflated >= inflated_max) return;
            inflated_max -= inflated;
        }
        if (is_heavy(context, work, job, compressed_bytes)) return;
        auto verdict = judge(context, work, job, inflated_max);
        if (!verdict && verdict.error().is_too_much) return;  // Perhaps not where there is time.
        append(context, request, work, job, std::move(verdict));
    }
}

// Errors that a client of this version knows.
ErrorCode for_version(ErrorCode error, std::int16_t version) noexcept {
    if (error == ErrorCode::kafka_storage_error && version <= 3)
        return ErrorCode::not_leader_or_follower;
    return error;
}

// Put the outcomes into the answer; whether all went well.
bool conclude(const RequestContext& context, ProduceResponse& response, const Pending& pending) {
    bool all_well = true;
    std::size_t at = 0;
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
            if (partition.error_code != ErrorCode::not_leader_or_follower ||
                context.api_version < 10)
                continue;
            const auto image = context.image();
            const TopicImage* known = topic.name.empty() ? image->find_topic(topic.topic_id)
                                                         : image->find_topic(topic.name.view());
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

// Nobody reads an answer with acks=0. An error is told by the closed connection: false then.
bool conclude_unread(const RequestContext& context, Work& work) {
    auto& pending = *work.pending;
    bool all_well = true;
    conclude(context, work.response, pending);
    for (const auto& topic : work.response.responses) {
        for (const auto& each : topic.partition_responses) {
            // What is still on its way counts as well.
            all_well &= each.error_code == ErrorCode::none ||
                        each.error_code == ErrorCode::request_timed_out;
        }
    }
    pending.alarm = std::make_shared<asio::steady_timer>(context.executor);
    pending.let_go();
    return all_well;
}

// Whether appends are open, and an answer has to wait for them.
bool must_wait(const RequestContext& context, const ProduceRequest& request, Pending& pending) {
    if (pending.open.load(std::memory_order_acquire) == 1) return false;
    pending.alarm = std::make_shared<asio::steady_timer>(
        context.executor, std::chrono::milliseconds(std::max(request.timeout_ms, 0)));
    return !pending.let_go();
}

// Jobs that are too heavy for the network thread, or behind such ones.
asio::awaitable<Ending<ProduceResponse>> produce_in_turn(RequestContext context,
                                                         ProduceRequest request, Work work,
                                                         Turns::Place place) {
    // A client that leaves has sent its records: they are appended, as if it had left later.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const std::span<Job> jobs = std::span(work.jobs).subspan(work.done);
    auto judge_all = [&context, &work, jobs] {
        for (Job& job : jobs)
            job.verdict = judge(context, work, job, std::numeric_limits<std::size_t>::max());
        return true;
    };
    co_await run_on(context.services.cpu, std::move(judge_all));
    {
        const Turns::Place turn = std::move(place);
        if (!turn.is_first()) {
            const auto alarm = std::make_shared<asio::steady_timer>(
                context.executor, asio::steady_timer::time_point::max());
            // Posted, so that it comes after the wait has begun.
            turn.when_first(
                [alarm] { asio::post(alarm->get_executor(), [alarm] { alarm->cancel(); }); });
            while (!turn.is_first())
                co_await alarm->async_wait(asio::as_tuple(asio::use_awaitable));
        }
        for (Job& job : jobs) append(context, request, work, job, *std::move(job.verdict));
    }
    if (request.acks == 0) {
        if (!conclude_unread(context, work)) co_return CloseConnection();
        co_return NoAnswer();
    }
    if (must_wait(context, request, *work.pending)) {
        co_await work.pending->alarm->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    conclude(context, work.response, *work.pending);
    co_return std::move(work.response);
}

}  // namespace

Answer<ProduceResponse> handle(RequestContext& context, ProduceRequest request) {
    Work work;
    work.image = context.image();
    const std::size_t bytes = take_jobs(context, request, work);
    work.response.throttle_time_ms = context.throttle(bytes);
    auto& turns = context.session.produces;
    if (turns.empty()) do_light_jobs(context, request, work);
    if (work.done < work.jobs.size()) {
        return produce_in_turn(context, std::move(request), std::move(work), turns.join());
    }
    if (request.acks == 0) {
        return conclude_unread(context, work) ? Answer<ProduceResponse>::none()
                                              : Answer<ProduceResponse>::close();
    }
    if (must_wait(context, request, *work.pending)) {
        return answer_later(context, std::move(work.response), work.pending);
    }
    conclude(context, work.response, *work.pending);
    return std::move(work.response);
}

}  // namespace broker

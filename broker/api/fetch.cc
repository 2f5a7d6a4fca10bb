// Fetch: records from an offset on, waiting for them if need be.
//
//     plan (the request, or its session) --> read each partition in turn
//         enough, an error, or no time to wait: answer
//         else: park on all partitions, read again when woken or when the time is over
//
// Records leave as slices of files; clients that speak version 3 or below get them converted.
//
// Rules and their order: facts/kafka.md §3.7, §3.8; down-conversion §1.8.

#include "broker/api/endpoint.h"
#include "broker/api/fetch_sessions.h"
#include "broker/api/handlers.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

namespace broker {

namespace asio = boost::asio;
using base::BrokerId;
using base::Offset;
using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;

namespace {

// What a round of reading found.
struct Round {
    std::vector<PartitionAnswer> answers;  // As the plan's partitions.
    std::size_t bytes = 0;
    bool must_answer = false;  // An error or a divergence: waiting changes nothing.
};

struct Reader {
    const RequestContext& context;
    const FetchRequest& request;
    const ClusterImage& image;
    BrokerId replica;
    std::size_t bytes_left;
    bool has_data = false;  // Some partition has given records: the next need not give a whole batch.
};

BrokerId replica_of(const FetchRequest& request, std::int16_t version) noexcept {
    return version >= 15 ? request.replica_state.replica_id : request.replica_id;
}

// An error that a client of this version knows.
ErrorCode for_version(ErrorCode error, std::int16_t version) noexcept {
    if (error == ErrorCode::kafka_storage_error && version <= 5) return ErrorCode::not_leader_or_follower;
    return error;
}

void refuse(FetchResponse::Topic::Partition& answer, ErrorCode error, std::int16_t version) {
    answer.error_code = for_version(error, version);
    answer.high_watermark = Offset(-1);
}

// Whether a fetcher with this replica id may read from the partition as a follower does.
bool is_replica(const PartitionImage& partition, BrokerId replica, const ClusterImage& image) {
    return replica != image.self && std::ranges::find(partition.replicas, replica) != partition.replicas.end();
}

void read_one(Reader& reader, const PlannedPartition& planned, PartitionAnswer& made) {
    auto& answer = made.answer;
    const auto version = reader.context.api_version;
    answer.partition_index = planned.index;
    if (planned.error != ErrorCode::none) return refuse(answer, planned.error, version);

    const TopicImage* topic = planned.topic_id == base::Uuid{} ? reader.image.find_topic(std::string_view(planned.topic))
                                                                : reader.image.find_topic(planned.topic_id);
    const bool by_id = version >= 13;
    if (!topic) return refuse(answer, by_id ? ErrorCode::unknown_topic_id : ErrorCode::unknown_topic_or_partition, version);
    if (!reader.context.authorise(Operation::read, ResourceType::topic, topic->name)) {
        return refuse(answer, ErrorCode::topic_authorization_failed, version);
    }
    const PartitionImage* partition = topic->find(planned.index);
    if (!partition) return refuse(answer, ErrorCode::unknown_topic_or_partition, version);
    if (!partition->local) return refuse(answer, partition->why_not_local(reader.image.self), version);
    // A follower that is none of ours gets nothing, and moves nothing (CVE-2018-1288).
    if (reader.replica >= BrokerId(0) && !is_replica(*partition, reader.replica, reader.image)) {
        return refuse(answer, ErrorCode::not_leader_or_follower, version);
    }

    ReadRequest wanted;
    wanted.from = planned.fetch_offset;
    wanted.bytes_max = std::min(static_cast<std::size_t>(std::max(planned.bytes_max, 0)), reader.bytes_left);
    wanted.at_least_one_batch = version >= 3 && !reader.has_data;
    wanted.committed_only = reader.request.isolation_level == 1;
    wanted.current_leader_epoch = planned.current_leader_epoch;
    wanted.last_fetched_epoch = planned.last_fetched_epoch;
    auto read = partition->local->read(wanted);
    answer.high_watermark = read.positions.high_watermark;
    answer.last_stable_offset = read.positions.last_stable;
    answer.log_start_offset = read.positions.log_start;
    if (read.error != ErrorCode::none) {
        refuse(answer, read.error, version);
        if (read.error != ErrorCode::not_leader_or_follower && read.error != ErrorCode::fenced_leader_epoch) return;
        answer.current_leader.leader_id = partition->leader;
        answer.current_leader.leader_epoch = partition->leader_epoch;
        return;
    }
    if (read.diverging) {
        answer.diverging_epoch.epoch = read.diverging->epoch;
        answer.diverging_epoch.end_offset = read.diverging->end;
        made.has_diverged = true;
        return;
    }
    made.bound = wanted.committed_only ? read.positions.last_stable : read.positions.high_watermark;
    made.local = partition->local;
    if (wanted.committed_only) {
        answer.aborted_transactions.emplace();
        for (const auto& aborted : read.data.aborted) {
            answer.aborted_transactions->push_back({aborted.producer, aborted.first});
        }
    }
    if (read.data.size() == 0) return;
    if (version <= 3) {
        convert_down(read.data, *topic->config, planned.fetch_offset, version, answer);
    } else if (version < 10 && topic->config->compression() == CompressionType::zstd) {
        refuse(answer, ErrorCode::unsupported_compression_type, version);
        return;
    } else if (!(version >= 3 && read.data.first_batch_is_cut)) {
        answer.records = read.data.payload();
    }
    const std::size_t size = answer.records.size();
    reader.has_data = reader.has_data || size > 0;
    reader.bytes_left -= std::min(reader.bytes_left, size);
}

Round read_all(const RequestContext& context, const FetchRequest& request, const FetchPlan& plan) {
    const auto image = context.image();
    const auto allowed = static_cast<std::size_t>(
        std::max(0, std::min(request.max_bytes, static_cast<std::int32_t>(image->config->fetch_max_bytes))));
    Reader reader{context, request, *image, replica_of(request, context.api_version), allowed};
    Round round;
    round.answers.resize(plan.partitions.size());
    for (std::size_t i = 0; i < plan.partitions.size(); ++i) {
        auto& made = round.answers[i];
        read_one(reader, plan.partitions[i], made);
        round.bytes += made.answer.records.size();
        round.must_answer |= made.answer.error_code != ErrorCode::none || made.has_diverged;
    }
    return round;
}

bool is_enough(const FetchRequest& request, const FetchPlan& plan, const Round& round) noexcept {
    return round.must_answer || plan.partitions.empty() || request.max_wait_ms <= 0 ||
           round.bytes >= static_cast<std::size_t>(std::max(request.min_bytes, 0));
}

asio::awaitable<FetchResponse> answer_later(RequestContext context, FetchRequest request, FetchPlan plan, Round round) {
    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::milliseconds(request.max_wait_ms);
    while (!is_enough(request, plan, round) && Clock::now() < deadline) {
        const auto alarm = std::make_shared<asio::steady_timer>(context.executor, deadline);
        // Posted to this thread, so that it comes after the wait has begun.
        const auto wake = [alarm] { asio::post(alarm->get_executor(), [alarm] { alarm->cancel(); }); };
        const auto waiter = std::make_shared<FetchWaiter>(
            std::max<std::int64_t>(1, request.min_bytes - static_cast<std::int64_t>(round.bytes)), wake);
        bool moved = false;
        std::vector<std::shared_ptr<Partition>> parked;
        for (const auto& made : round.answers) {
            if (!made.local) continue;
            if (!made.local->park(waiter, made.bound, request.isolation_level == 1)) {
                moved = true;
                break;
            }
            parked.push_back(made.local);
        }
        const Unpark unpark{waiter, std::move(parked)};
        if (!moved) co_await alarm->async_wait(asio::as_tuple(asio::use_awaitable));
        round = read_all(context, request, plan);
    }
    co_return context.services.fetch_sessions.answer(context, plan, std::move(round.answers));
}

}  // namespace

Answer<FetchResponse> handle(RequestContext& context, FetchRequest request) {
    auto plan = context.services.fetch_sessions.plan(context, request);
    if (plan.error != ErrorCode::none) {
        FetchResponse response;
        response.error_code = plan.error;
        return response;
    }
    Round round = read_all(context, request, plan);
    if (!is_enough(request, plan, round)) {
        return answer_later(context, std::move(request), std::move(plan), std::move(round));
    }
    return context.services.fetch_sessions.answer(context, plan, std::move(round.answers));
}

}  // namespace broker

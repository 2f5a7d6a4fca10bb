// Fetch: records from an offset on, waiting for them if need be.
//
//     plan (the request, or its session) --> read each partition in turn
//         enough, an error, or no time to wait: answer
//         else: park on all partitions, read again when woken or when the time is over
//
// The network thread reads what is in memory. When something else is asked for, the round is
// done on the disk pool, where it also brings the records into memory: up to cold_bytes_max at
// a time, so that nobody waits long behind it, and the kernel reads ahead for the next Fetch.
//
// Records leave as slices of files; clients that speak version 3 or below get them converted.
// In a session only what is news to the client is kept of a round, so that a Fetch of a
// thousand idle partitions makes no thousand answers.
//
// Rules and their order: facts/kafka.md §3.7, §3.8; down-conversion §1.8.

#include "broker/api/down_convert.h"
#include "broker/api/endpoint.h"
#include "broker/api/fetch_plan.h"
#include "broker/api/from_controller.h"
#include "broker/api/handlers.h"
#include "broker/cluster/run_on.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>

// g++ 12 inlines the operator new of a coroutine's frame and not its operator delete, and takes
// them for mismatched.
#pragma GCC diagnostic ignored "-Wmismatched-new-delete"

namespace broker {

namespace asio = boost::asio;
using base::BrokerId;
using base::Offset;
using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;

namespace {

using Clock = std::chrono::steady_clock;
using PartitionAnswer = FetchResponse::Topic::Partition;

constexpr std::int32_t first_epoch = 0;   // Asks for a session, and closes the one that is named.
constexpr std::int32_t final_epoch = -1;  // Asks for none, and closes the one that is named.
constexpr std::int16_t first_version_with_rack = 11;
constexpr std::int16_t first_version_with_leader = 16;

// The value of replica.selector.class that has consumers read from their own rack.
constexpr std::string_view rack_aware_selector =
    "org.apache.kafka.common.replica.RackAwareReplicaSelector";

// What a round on the disk pool reads, unless the client's min_bytes asks for more.
constexpr std::size_t cold_bytes_max = std::size_t{4} << 20;

// What a round of reading found.
struct Round {
    struct Read {
        FetchPartition* partition;
        PartitionAnswer answer;
    };
    struct Spot {
        Partition* partition;
        Offset bound;  // Where readable records ended.
    };

    ImagePointer image;         // Holds what `spots` point to.
    std::vector<Read> reads;    // What is answered, in order.
    std::vector<Read> refused;  // Likewise, behind them: what nobody tried to read.
    std::vector<Spot> spots;    // Where to wait for more.
    std::size_t bytes = 0;
    bool must_answer = false;  // An error or a divergence: waiting changes nothing.
    bool is_cold = false;      // Something is not in memory: nothing else counts.
};

struct Reader {
    const RequestContext& context;
    const FetchRequest& request;
    const ClusterImage& image;
    BrokerId replica;
    DiskUse disk;
    std::size_t bytes_left;
    ReadBound bound;
    ReadFrom whom;
    bool has_data =
        false;  // Some partition has given records: the next need not give a whole batch.

    // The topic of the partition before: the next one's, as a rule.
    const FetchTopic* last = nullptr;
    const TopicImage* topic = nullptr;
    ErrorCode refusal = ErrorCode::none;
};

enum class Kind {
    refused,  // Not read: unknown, or nobody's to see.
    failed,   // The answer is there at once, and it is not records.
    read,
    cold,  // Nothing is known: the disk would have to be waited for.
};

BrokerId replica_of(const FetchRequest& request, std::int16_t version) noexcept {
    return version >= 15 ? request.replica_state.replica_id : request.replica_id;
}

// Who compares replicas, as kafka-replica-verification.sh does: it reads what each of them has.
constexpr BrokerId comparing(-2);

ReadBound bound_of(const FetchRequest& request, BrokerId replica) noexcept {
    if (replica >= BrokerId(0) || replica == comparing) return ReadBound::log_end;
    return request.isolation_level == 1 ? ReadBound::last_stable : ReadBound::high_watermark;
}

// Consumers that may say which rack they are in, know what to make of a follower's answer.
ReadFrom whom_to_read(const RequestContext& context, BrokerId replica) noexcept {
    const bool knows = context.api_version >= first_version_with_rack && replica < BrokerId(0);
    return knows || replica == comparing ? ReadFrom::any_replica : ReadFrom::leader;
}

Offset end_of(const Positions& at, ReadBound bound) noexcept {
    if (bound == ReadBound::log_end) return at.log_end;
    return bound == ReadBound::last_stable ? at.last_stable : at.high_watermark;
}

// An error that a client of this version knows.
ErrorCode for_version(ErrorCode error, std::int16_t version) noexcept {
    if (error == ErrorCode::kafka_storage_error && version <= 5)
        return ErrorCode::not_leader_or_follower;
    return error;
}

Kind fail(PartitionAnswer& answer, ErrorCode error, std::int16_t version) {
    answer.error_code = for_version(error, version);
    answer.high_watermark = Offset(-1);
    answer.last_stable_offset = Offset(-1);
    answer.log_start_offset = Offset(-1);
    answer.aborted_transactions.reset();
    return Kind::failed;
}

// Records that are there and cannot be told: null, where all else has none.
Kind fail_without_records(PartitionAnswer& answer, ErrorCode error, std::int16_t version) {
    answer.records = wire::Payload::null();
    return fail(answer, error, version);
}

// To whom to go instead, for versions that may hear it.
Kind name_leader(const PartitionImage& partition, PartitionAnswer& answer, std::int16_t version) {
    if (version >= first_version_with_leader) {
        answer.current_leader.leader_id = partition.leader;
        answer.current_leader.leader_epoch = partition.leader_epoch;
    }
    return Kind::failed;
}

// As Apache Kafka words it: here the aborted transactions are none, not unknown.
Kind refuse(PartitionAnswer& answer, ErrorCode error, std::int16_t version) {
    fail(answer, error, version);
    answer.aborted_transactions.emplace();
    return Kind::refused;
}

// Whether a fetcher with this replica id may read from the partition as a follower does.
bool is_replica(const PartitionImage& partition, BrokerId replica, const ClusterImage& image) {
    return replica != image.self &&
           std::ranges::find(partition.replicas, replica) != partition.replicas.end();
}

std::int64_t steady_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(Clock::now().time_since_epoch()).count();
}

// What a follower asks for tells what it has.
void note_follower(const Reader& reader, const PartitionImage& partition,
                   const FetchPartition& wanted) {
    auto isr = partition.local->fetched_by(reader.replica, wanted.fetch_offset, steady_ms(),
                                           wanted.log_start);
    if (isr) reader.context.services.cluster.ask_for_isr(partition.local, std::move(*isr));
}

// Whether a follower in the consumer's own rack has what it asks for; then it hears of that one.
bool is_sent_nearer(const Reader& reader, const PartitionImage& partition,
                    const FetchPartition& wanted, PartitionAnswer& answer) {
    const auto& selector = reader.image.config->replica_selector_class;
    const auto rack = reader.request.rack_id.view();
    if (selector != rack_aware_selector || rack.empty()) return false;
    if (reader.whom != ReadFrom::any_replica || partition.leader != reader.image.self) return false;
    Isr::Brokers near;
    for (const auto& broker : reader.image.brokers) {
        if (broker.rack && *broker.rack == rack) near.push_back(broker.id);
    }
    if (std::ranges::find(near, reader.image.self) != near.end()) return false;
    const auto follower = partition.local->follower_to_read(near, wanted.fetch_offset);
    const auto at = partition.local->positions(wanted.current_leader_epoch);
    if (!follower || !at) return false;  // Reading here says what there is to say.
    answer.high_watermark = at->high_watermark;
    answer.last_stable_offset = at->last_stable;
    answer.log_start_offset = at->log_start;
    answer.aborted_transactions.reset();
    answer.preferred_read_replica = *follower;
    return true;
}

// Whether replicas of the partition are throttled, and that one is not in sync.
bool is_throttled(const Reader& reader, const PartitionImage& partition,
                  base::PartitionIndex index) {
    if (reader.replica < BrokerId(0)) return false;
    const auto& named = reader.topic->config->leader_replication_throttled_replicas;
    return names_replica(named, index, reader.image.self) &&
           !partition.local->is_in_sync(reader.replica);
}

// Followers read everything, where brokers speak with one another.
bool may_read(const Reader& reader, const FetchTopic& topic) {
    const auto& context = reader.context;
    if (reader.replica < BrokerId(0))
        return context.authorise(Operation::read, ResourceType::topic, topic.name);
    return is_between_brokers(context) &&
           context.authorise(Operation::cluster_action, ResourceType::cluster, cluster_resource);
}

void look_up(Reader& reader, const FetchTopic& topic) {
    reader.last = &topic;
    reader.topic = nullptr;
    if (topic.name.empty() && reader.context.api_version >= fetch_version_by_id) {
        reader.refusal = ErrorCode::unknown_topic_id;
    } else if (!may_read(reader, topic)) {
        reader.refusal = ErrorCode::topic_authorization_failed;
    } else {
        reader.topic = reader.image.find_topic(topic.name);
        reader.refusal = ErrorCode::unknown_topic_or_partition;
    }
}

// A log that is in the way of the topic that has taken its topic's name.
bool is_of_other(const Partition& local, const base::Uuid& id) {
    const auto ours = local.topic_id();
    return ours != id && ours != base::Uuid{};
}

Kind read_one(Reader& reader, const FetchPartition& wanted, PartitionAnswer& answer,
              std::vector<Round::Spot>& spots) {
    const auto version = reader.context.api_version;
    answer.partition_index = wanted.index;
    if (reader.last != wanted.topic) look_up(reader, *wanted.topic);
    const PartitionImage* const partition =
        reader.topic ? reader.topic->find(wanted.index) : nullptr;
    if (!partition) return refuse(answer, reader.refusal, version);
    if (!partition->local)
        return fail(answer, partition->why_not_local(reader.image.self), version);
    // A topic of that name, but not the one that was meant: it was deleted and made again.
    if (version >= fetch_version_by_id && (wanted.topic->id != reader.topic->id ||
                                           is_of_other(*partition->local, reader.topic->id))) {
        return fail(answer, ErrorCode::inconsistent_topic_id, version);
    }
    // A follower that is none of ours gets nothing, and moves nothing (CVE-2018-1288).
    if (reader.replica >= BrokerId(0) && !is_replica(*partition, reader.replica, reader.image)) {
        // Who names the epoch may know an assignment that is not known here yet.
        const bool names_epoch = wanted.current_leader_epoch >= base::LeaderEpoch(0);
        fail(answer,
             names_epoch ? ErrorCode::unknown_leader_epoch : ErrorCode::not_leader_or_follower,
             version);
        return name_leader(*partition, answer, version);
    }

    auto& quota = reader.context.services.cluster.leader_quota();
    const bool throttled = is_throttled(reader, *partition, wanted.index);
    const auto rate = reader.image.config->leader_replication_throttled_rate;
    const bool is_held_back = throttled && quota.is_exceeded(rate, steady_ms());
    if (is_sent_nearer(reader, *partition, wanted, answer)) return Kind::failed;
    ReadRequest request;
    request.from = wanted.fetch_offset;
    request.bytes_max =
        std::min(static_cast<std::size_t>(std::max(wanted.bytes_max, 0)), reader.bytes_left);
    request.at_least_one_batch = version >= 3 && !reader.has_data;
    request.bound = reader.bound;
    request.whom = reader.whom;
    request.current_leader_epoch = std::max(wanted.current_leader_epoch, base::LeaderEpoch(-1));
    request.last_fetched_epoch = wanted.last_fetched_epoch;
    request.disk = reader.disk;
    auto read = partition->local->read(request);
    if (read.would_block) return Kind::cold;
    if (read.error != ErrorCode::none) {
        fail(answer, read.error, version);
        if (read.error != ErrorCode::not_leader_or_follower &&
            read.error != ErrorCode::fenced_leader_epoch)
            return Kind::failed;
        return name_leader(*partition, answer, version);
    }
    answer.high_watermark = read.positions.high_watermark;
    answer.last_stable_offset = read.positions.last_stable;
    answer.log_start_offset = read.positions.log_start;
    answer.aborted_transactions.reset();
    if (read.diverging) {
        answer.diverging_epoch.epoch = read.diverging->epoch;
        answer.diverging_epoch.end_offset = read.diverging->end;
        return Kind::failed;
    }
    if (version < 10 && reader.topic->config->compression() == CompressionType::zstd &&
        read.data.size() > 0) {
        return fail_without_records(answer, ErrorCode::unsupported_compression_type, version);
    }
    if (reader.replica >= BrokerId(0)) note_follower(reader, *partition, wanted);
    spots.push_back({partition->local.get(), end_of(read.positions, reader.bound)});
    if (reader.bound == ReadBound::last_stable) {
        auto& aborted = answer.aborted_transactions.emplace();
        for (const auto& each : read.data.aborted) aborted.push_back({each.producer, each.first});
    }
    if (read.data.size() == 0 || is_held_back) return Kind::read;
    if (throttled) quota.charge(read.data.size(), steady_ms());
    if (version <= 3) {
        auto converted =
            down_convert(read.data, *reader.topic->config, wanted.fetch_offset, version);
        if (!converted) return fail_without_records(answer, converted.error(), version);
        answer.records = std::move(*converted);
    } else if (!read.data.first_batch_is_cut) {
        answer.records = read.data.payload();
    }
    const std::size_t size = answer.records.size();
    reader.has_data = reader.has_data || size > 0;
    reader.bytes_left -= std::min(reader.bytes_left, size);
    return Kind::read;
}

std::size_t bytes_max(const FetchRequest& request, const ClusterImage& image,
                      BrokerId replica) noexcept {
    // What a replica reads is bounded by its own configuration alone.
    const auto ours = replica >= BrokerId(0)
                          ? request.max_bytes
                          : static_cast<std::int32_t>(image.config->fetch_max_bytes);
    return static_cast<std::size_t>(std::max(0, std::min(request.max_bytes, ours)));
}

// One round over all partitions, on this thread.
Round read_all(const RequestContext& context, const FetchRequest& request, FetchPlan& plan,
               ImagePointer image, DiskUse disk) {
    Round round;
    round.image = std::move(image);
    const auto replica = replica_of(request, context.api_version);
    std::size_t allowed = bytes_max(request, *round.image, replica);
    if (disk == DiskUse::load) {
        const auto bytes_min = static_cast<std::size_t>(std::max(request.min_bytes, 0));
        allowed = std::min(allowed, std::max(cold_bytes_max, bytes_min));
    }
    Reader reader{context,
                  request,
                  *round.image,
                  replica,
                  disk,
                  allowed,
                  bound_of(request, replica),
                  whom_to_read(context, replica)};
    if (!plan.session) round.reads.reserve(plan.size());
    round.spots.reserve(plan.size());
    PartitionAnswer answer;
    plan.for_each([&](FetchPartition& partition) {
        if (round.is_cold) return;
        // Its topic was made since it was asked for.
        if (plan.session && partition.topic->name.empty() &&
            context.api_version >= fetch_version_by_id) {
            const TopicImage* const known = round.image->find_topic(partition.topic->id);
            if (known) plan.session->name(partition, known->name);
        }
        const Kind kind = read_one(reader, partition, answer, round.spots);
        round.is_cold = kind == Kind::cold;
        if (round.is_cold) return;
        round.bytes += answer.records.size();
        round.must_answer |= kind == Kind::failed;
        if (plan.session && !partition.is_news(answer)) return;
        (kind == Kind::refused ? round.refused : round.reads)
            .push_back({&partition, std::exchange(answer, {})});
    });
    return round;
}

// A round without waiting for the disk; it may turn out to be cold.
Round read_hot(const RequestContext& context, const FetchRequest& request, FetchPlan& plan) {
    return read_all(context, request, plan, context.image(), DiskUse::never);
}

asio::awaitable<Round> read_cold(const RequestContext& context, const FetchRequest& request,
                                 FetchPlan& plan) {
    // The image comes along, so that no thread of the pool keeps one for itself.
    auto read = [&, image = context.image()]() mutable {
        return read_all(context, request, plan, std::move(image), DiskUse::load);
    };
    co_return co_await run_on(context.services.disk, std::move(read));
}

bool is_enough(const FetchRequest& request, const Round& round) noexcept {
    if (round.is_cold) return false;
    const auto bytes_min = std::min(static_cast<std::size_t>(std::max(request.min_bytes, 0)),
                                    bytes_max(request, *round.image, BrokerId(-1)));
    return round.must_answer || round.spots.empty() || request.max_wait_ms <= 0 ||
           round.bytes >= bytes_min;
}

// ---- Answers -----------------------------------------------------------------------------

FetchResponse refusal(ErrorCode error) {
    FetchResponse response;
    response.error_code = error;
    return response;
}

std::int32_t new_session(const RequestContext& context, const FetchRequest& request,
                         const Round& round) {
    std::size_t count = 0;
    std::size_t bytes = 0;
    const FetchTopic* last = nullptr;
    const auto all = {&round.reads, &round.refused};
    for (const auto* reads : all) {
        for (const auto& read : *reads) {
            if (read.partition->topic != last)
                bytes += FetchSession::cost(read.partition->topic->name.size(), 0);
            last = read.partition->topic;
        }
        count += reads->size();
    }
    bytes += FetchSession::cost(0, count);
    return context.services.fetch_sessions.create(
        count, bytes, context.api_version >= fetch_version_by_id,
        replica_of(request, context.api_version) >= BrokerId(0), [&](FetchSession& session) {
            for (const auto* reads : all) {
                for (const auto& read : *reads) session.add(*read.partition).told(read.answer);
            }
        });
}

FetchResponse answer(const RequestContext& context, const FetchRequest& request, FetchPlan& plan,
                     Round round) {
    FetchResponse response;
    if (plan.makes_session) response.session_id = new_session(context, request, round);
    if (plan.session) response.session_id = plan.session->id();
    std::size_t bytes = 0;
    const FetchTopic* last = nullptr;
    for (auto* reads : {&round.reads, &round.refused}) {
        for (auto& read : *reads) {
            bytes += read.answer.records.size();
            const FetchTopic* const topic = read.partition->topic;
            if (plan.session) {
                read.partition->told(read.answer);
                if (read.answer.records.size() > 0) plan.session->move_to_end(*read.partition);
            }
            if (topic != last) {
                auto& named = response.responses.emplace_back();
                named.topic_id = topic->id;
                if (context.api_version < fetch_version_by_id)
                    named.topic = wire::Text(topic->name);
                last = topic;
            }
            response.responses.back().partitions.push_back(std::move(read.answer));
        }
    }
    response.throttle_time_ms = context.throttle(bytes);
    return response;
}

// Takes a waiter off its partitions again, however the wait ends.
struct Unpark {
    std::shared_ptr<FetchWaiter> waiter;
    std::span<const Round::Spot> spots;
    std::size_t parked = 0;

    Unpark(std::shared_ptr<FetchWaiter> who, std::span<const Round::Spot> where)
        : waiter(std::move(who)), spots(where) {}
    Unpark(const Unpark&) = delete;
    Unpark& operator=(const Unpark&) = delete;
    ~Unpark() {
        for (const auto& spot : spots.first(parked)) spot.partition->unpark(waiter);
    }

    // False when something is there already.
    bool park(ReadBound bound, ReadFrom whom) {
        for (; parked < spots.size(); ++parked) {
            const auto& spot = spots[parked];
            if (!spot.partition->park(waiter, spot.bound, bound, whom)) return false;
        }
        return true;
    }
};

asio::awaitable<FetchResponse> answer_later(RequestContext context, FetchRequest request,
                                            FetchPlan plan, Round round) {
    const auto deadline = Clock::now() + std::chrono::milliseconds(request.max_wait_ms);
    const auto replica = replica_of(request, context.api_version);
    if (round.is_cold) round = co_await read_cold(context, request, plan);
    while (!is_enough(request, round) && Clock::now() < deadline) {
        const auto alarm = std::make_shared<asio::steady_timer>(context.executor, deadline);
        // Posted to this thread, so that it comes after the wait has begun.
        const auto wake = [alarm] {
            asio::post(alarm->get_executor(), [alarm] { alarm->cancel(); });
        };
        const auto bytes_wanted =
            std::max<std::int64_t>(1, request.min_bytes - static_cast<std::int64_t>(round.bytes));
        {
            Unpark waiting(std::make_shared<FetchWaiter>(bytes_wanted, wake), round.spots);
            if (waiting.park(bound_of(request, replica), whom_to_read(context, replica))) {
                co_await alarm->async_wait(asio::as_tuple(asio::use_awaitable));
            }
        }
        round = read_hot(context, request, plan);
        if (round.is_cold) round = co_await read_cold(context, request, plan);
    }
    co_return answer(context, request, plan, std::move(round));
}

// Its turn in the session comes when the Fetches before it are answered.
asio::awaitable<FetchResponse> answer_in_turn(RequestContext context, FetchRequest request,
                                              FetchPlan plan) {
    const auto alarm = std::make_shared<asio::steady_timer>(context.executor,
                                                            asio::steady_timer::time_point::max());
    const auto wake = [alarm] { asio::post(alarm->get_executor(), [alarm] { alarm->cancel(); }); };
    if (plan.session.wake_when_granted(wake)) {
        while (!plan.session.is_granted())
            co_await alarm->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    plan.image = context.image();
    // Closed by one before it.
    if (!plan.session.is_open()) co_return refusal(ErrorCode::fetch_session_id_not_found);
    if (const auto error = update_session(context, request, plan); error != ErrorCode::none)
        co_return refusal(error);
    Round round = read_hot(context, request, plan);
    co_return co_await answer_later(std::move(context), std::move(request), std::move(plan),
                                    std::move(round));
}

}  // namespace

Answer<FetchResponse> handle(RequestContext& context, FetchRequest request) {
    auto& sessions = context.services.fetch_sessions;
    FetchPlan plan;
    plan.image = context.image();
    if (request.session_epoch == first_epoch || request.session_epoch == final_epoch) {
        if (request.session_id != 0) sessions.close(request.session_id);
        plan.makes_session = request.session_epoch == first_epoch && context.api_version >= 7;
        take_partitions(context, request, plan);
    } else {
        auto held = sessions.enter(request.session_id, request.session_epoch,
                                   context.api_version >= fetch_version_by_id);
        if (!held) return refusal(held.error());
        plan.session = std::move(*held);
        if (!plan.session.is_granted())
            return answer_in_turn(context, std::move(request), std::move(plan));
        if (const auto error = update_session(context, request, plan); error != ErrorCode::none)
            return refusal(error);
    }
    Round round = read_hot(context, request, plan);
    if (!is_enough(request, round))
        return answer_later(context, std::move(request), std::move(plan), std::move(round));
    return answer(context, request, plan, std::move(round));
}

}  // namespace broker

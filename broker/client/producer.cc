#include "broker/client/producer.h"

#include "protocol/records/batch_format.h"
#include "protocol/schema/api/init_producer_id.h"
#include "protocol/schema/api/produce.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace broker::inline client {
namespace {

using protocol::ErrorCode;

// Versions 12 and below name topics instead of giving their ids.
constexpr std::int16_t produce_version_cap = 11;

// A Produce request holds no more than this, as max.request.size of the Java client.
constexpr std::size_t request_bytes_max = 1'048'576;

std::int64_t now_us() {
    return std::chrono::duration_cast<std::chrono::microseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

std::size_t payload_bytes(const records::NewRecord& record) {
    return (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
}

ClientFault timed_out(std::string detail) {
    return {.kind = ClientFault::Kind::timed_out,
            .code = ErrorCode::request_timed_out,
            .detail = std::move(detail)};
}

}  // namespace

Producer::Producer(ClientSettings client, ProducerSettings settings)
    : settings_(std::move(settings)),
      batch_settings_{.codec = settings_.codec, .level = settings_.level},
      cluster_(std::move(client)),
      wake_descriptor_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    settings_.idempotent = settings_.idempotent && settings_.acks == -1;
    settings_.grown_batch_bytes = std::max(settings_.grown_batch_bytes, settings_.batch_bytes);
    sender_ = std::thread([this] { run(); });
}

Producer::~Producer() {
    close();
    ::close(wake_descriptor_);
}

void Producer::wake() {
    const std::uint64_t one = 1;
    if (::write(wake_descriptor_, &one, sizeof one) < 0) return;  // Full: a wake is due already.
}

ClientResult<Producer::Topic*> Producer::topic_of(const std::string& name) {
    if (last_topic_ && name == last_name_) return last_topic_;
    std::unique_lock lock(mutex_);
    auto found = topics_.find(name);
    if (found == topics_.end()) {
        topic_faults_.erase(name);
        wanted_topics_.push_back(name);
        wake();
        const auto known = [&] { return topics_.contains(name) || topic_faults_.contains(name); };
        if (!changed_.wait_for(lock, settings_.max_block, known)) {
            return base::Unexpected(timed_out("Topic " + name + " not present in metadata after " +
                                              std::to_string(settings_.max_block.count()) +
                                              " ms."));
        }
        found = topics_.find(name);
        if (found == topics_.end()) return base::Unexpected(topic_faults_.at(name));
    }
    last_name_ = name;
    last_topic_ = &found->second;
    return last_topic_;
}

ClientResult<void> Producer::send(const std::string& name, const records::NewRecord& record,
                                  std::optional<base::PartitionIndex> partition) {
    const auto topic = topic_of(name);
    if (!topic) return base::Unexpected(topic.error());
    const auto count = static_cast<std::int32_t>((*topic)->partitions.size());
    const auto size = records::BatchBuilder::record_bytes_max(record);

    std::unique_lock lock(mutex_);
    const auto has_room = [&] {
        return buffered_ == 0 || buffered_ + size <= settings_.buffer_bytes;
    };
    if (!has_room() && !changed_.wait_for(lock, settings_.max_block, has_room)) {
        return base::Unexpected(timed_out("no room in the producer's buffer for " +
                                          std::to_string(settings_.max_block.count()) + " ms"));
    }
    if (!partition) {
        partition =
            record.key ? partition_of_key(*record.key, count)
                       : (*topic)->sticky->take((*topic)->with_leader, size, settings_.batch_bytes);
    }
    if (partition->value() < 0 || partition->value() >= count) {
        return base::Unexpected(ClientFault{
            .kind = ClientFault::Kind::bad_input,
            .detail = "topic " + name + " has no partition " + std::to_string(partition->value())});
    }
    Queue& queue = *(*topic)->partitions[static_cast<std::size_t>(partition->value())];
    const auto limit = queue.under_way || !queue.full.empty() ? settings_.grown_batch_bytes
                                                              : settings_.batch_bytes;
    if (!queue.open.empty() && queue.open.size() + size > limit) close_batch(queue);
    const bool is_first = queue.open.empty();
    if (is_first) {
        queue.open_since = std::chrono::steady_clock::now();
        ++unfinished_;
    }
    queue.open.append(record);
    queue.open_payload_bytes += payload_bytes(record);
    if (settings_.timed) queue.open_started_us.push_back(now_us());
    buffered_ += payload_bytes(record);
    const bool is_due = is_first || queue.open.size() >= limit;
    const bool must_wake = is_due && asleep_ && !queue.under_way;
    if (must_wake) asleep_ = false;
    lock.unlock();
    if (must_wake) wake();
    return {};
}

// Requires mutex_.
void Producer::close_batch(Queue& queue) {
    Batch batch;
    batch.records = queue.open.count();
    batch.payload_bytes = queue.open_payload_bytes;
    batch.started_us = std::move(queue.open_started_us);
    batch.deadline = queue.open_since + settings_.delivery_timeout;
    queue.full.push_back(std::move(batch));
    queue.full_builders.push_back(
        std::exchange(queue.open, records::BatchBuilder(batch_settings_)));
    queue.open_payload_bytes = 0;
    queue.open_started_us.clear();
}

void Producer::flush() {
    std::unique_lock lock(mutex_);
    flushing_ = true;
    wake();
    changed_.wait(lock, [&] { return unfinished_ == 0; });
    flushing_ = false;
}

void Producer::close() {
    if (!sender_.joinable()) return;
    {
        const std::lock_guard lock(mutex_);
        closing_ = true;
    }
    wake();
    sender_.join();
}

void Producer::run() {
    while (true) {
        look_for_topics();
        std::vector<UnderWay> ready;
        auto until = take_ready(ready);
        if (!ready.empty()) dispatch(std::move(ready));

        std::vector<pollfd> waits{{wake_descriptor_, POLLIN, 0}};
        std::vector<base::BrokerId> leaders;
        for (const auto& [leader, requests] : under_way_) {
            if (requests.empty()) continue;
            const auto connection = cluster_.broker(leader);
            if (!connection) continue;
            waits.push_back({(*connection)->descriptor(), POLLIN, 0});
            leaders.push_back(leader);
            until = std::min(until, requests.front().deadline);
        }
        {
            const std::lock_guard lock(mutex_);
            if (closing_ && unfinished_ == 0) return;
            if (!asleep_ || refresh_) until = std::chrono::steady_clock::now();
        }
        ::poll(waits.data(), waits.size(), milliseconds_left(until));
        if (waits[0].revents) {
            std::uint64_t count = 0;
            if (::read(wake_descriptor_, &count, sizeof count) < 0) count = 0;
        }
        for (std::size_t at = 0; at < leaders.size(); ++at) {
            const auto& requests = under_way_[leaders[at]];
            if (waits[at + 1].revents) {
                receive_from(leaders[at]);
            } else if (!requests.empty() &&
                       requests.front().deadline <= std::chrono::steady_clock::now()) {
                fail_connection(leaders[at], timed_out("the broker did not answer in time"));
            }
        }
    }
}

// What may be sent now, one batch per partition. Returns when to look again.
Deadline Producer::take_ready(std::vector<UnderWay>& ready) {
    struct Taken {
        Queue* queue;
        Batch batch;
        std::optional<records::BatchBuilder> builder;
    };
    std::vector<Taken> taken;
    auto next = after(std::chrono::hours(1));
    {
        const std::lock_guard lock(mutex_);
        const auto now = std::chrono::steady_clock::now();
        for (auto& [name, topic] : topics_) {
            for (auto& each : topic.partitions) {
                Queue& queue = *each;
                if (queue.under_way) continue;
                if (queue.not_before > now) {
                    next = std::min(next, queue.not_before);
                    continue;
                }
                if (queue.ready.empty() && queue.full.empty() && !queue.open.empty()) {
                    const auto due = queue.open_since + settings_.linger;
                    if (flushing_ || closing_ || due <= now ||
                        queue.open.size() >= settings_.batch_bytes) {
                        close_batch(queue);
                    } else {
                        next = std::min(next, due);
                    }
                }
                if (!queue.ready.empty()) {
                    taken.push_back({&queue, std::move(queue.ready.front()), {}});
                    queue.ready.pop_front();
                } else if (!queue.full.empty()) {
                    taken.push_back({&queue, std::move(queue.full.front()),
                                     std::move(queue.full_builders.front())});
                    queue.full.pop_front();
                    queue.full_builders.pop_front();
                } else {
                    continue;
                }
                queue.under_way = true;
            }
        }
        asleep_ = taken.empty();
    }
    for (auto& each : taken) {
        if (each.builder) each.batch.bytes = each.builder->finish(deflater_);
        ready.push_back({each.queue, std::move(each.batch)});
    }
    return next;
}

const PartitionView* Producer::leader_of(const Queue& queue) const {
    const auto topic = cluster_.view().topics.find(queue.topic);
    if (topic == cluster_.view().topics.end()) return nullptr;
    for (const auto& partition : topic->second.partitions) {
        if (partition.index == queue.index)
            return partition.leader.value() >= 0 ? &partition : nullptr;
    }
    return nullptr;
}

void Producer::dispatch(std::vector<UnderWay> ready) {
    if (settings_.idempotent && producer_id_.value() == records::no_producer_id) {
        const auto taken = cluster_.retry([&] { return take_producer_id(); });
        if (!taken && taken.error().kind == ClientFault::Kind::unsupported) {
            settings_.idempotent = false;  // A broker before 0.11 has no producer ids.
        } else if (!taken) {
            for (auto& part : ready) finish(part, &taken.error(), {});
            return;
        }
    }
    std::map<base::BrokerId, std::vector<UnderWay>> by_leader;
    for (auto& part : ready) {
        if (settings_.idempotent && !part.batch.has_sequence) {
            auto bytes = std::span(part.batch.bytes);
            wire::store(bytes, records::batch_format::producer_id_at, producer_id_.value());
            wire::store(bytes, records::batch_format::producer_epoch_at, producer_epoch_);
            wire::store(bytes, records::batch_format::base_sequence_at, part.queue->sequence);
            records::set_crc(bytes);
            part.queue->sequence =
                records::sequence_after(part.queue->sequence, part.batch.records);
            part.batch.has_sequence = true;
        }
        if (const auto* partition = leader_of(*part.queue)) {
            by_leader[partition->leader].push_back(std::move(part));
        } else {
            try_again(std::move(part), refused(ErrorCode::leader_not_available));
        }
    }
    for (auto& [leader, parts] : by_leader) send_to(leader, std::move(parts));
}

void Producer::send_to(base::BrokerId leader, std::vector<UnderWay> parts) {
    while (!parts.empty()) {
        protocol::ProduceRequest request;
        request.acks = settings_.acks;
        request.timeout_ms = static_cast<std::int32_t>(settings_.request_timeout.count());
        Request sent;
        std::size_t bytes = 0;
        while (!parts.empty() && (sent.parts.empty() ||
                                  bytes + parts.back().batch.bytes.size() <= request_bytes_max)) {
            auto& part = sent.parts.emplace_back(std::move(parts.back()));
            parts.pop_back();
            bytes += part.batch.bytes.size();
            auto topic = std::ranges::find_if(request.topic_data, [&](const auto& each) {
                return each.name == part.queue->topic;
            });
            if (topic == request.topic_data.end()) {
                topic = request.topic_data.insert(topic, protocol::ProduceRequest::Topic{});
                topic->name = wire::Text::borrowed(part.queue->topic);
            }
            auto& partition = topic->partition_data.emplace_back();
            partition.index = part.queue->index;
            partition.records = wire::Payload::borrowed(part.batch.bytes);
        }
        sent.deadline = after(settings_.request_timeout);
        const bool is_answered = settings_.acks != 0;
        const auto connection = cluster_.broker(leader);
        const auto written = connection
                                 ? (*connection)
                                       ->send<protocol::ProduceApi>(
                                           request, sent.deadline, produce_version_cap, is_answered)
                                 : ClientResult<void>(base::Unexpected(connection.error()));
        if (!written) {
            for (auto& part : sent.parts) try_again(std::move(part), written.error());
            for (auto& part : parts) try_again(std::move(part), written.error());
            return fail_connection(leader, written.error());
        }
        if (is_answered) {
            under_way_[leader].push_back(std::move(sent));
        } else {
            for (auto& part : sent.parts) finish(part, nullptr, {});
        }
    }
}

void Producer::receive_from(base::BrokerId leader) {
    auto& requests = under_way_[leader];
    const auto connection = cluster_.broker(leader);
    if (!connection || (*connection)->pending() == 0) {
        return fail_connection(leader,
                               ClientFault{.kind = ClientFault::Kind::unreachable,
                                           .detail = "the connection to the broker was lost"});
    }
    const auto answer =
        (*connection)
            ->receive<protocol::ProduceApi, protocol::ProduceResponse>(requests.front().deadline);
    if (!answer) return fail_connection(leader, answer.error());
    auto request = std::move(requests.front());
    requests.pop_front();
    for (auto& part : request.parts) {
        const protocol::ProduceResponse::Topic::Partition* found = nullptr;
        for (const auto& topic : (*answer)->responses) {
            if (topic.name != part.queue->topic) continue;
            for (const auto& partition : topic.partition_responses) {
                if (partition.index == part.queue->index) found = &partition;
            }
        }
        if (!found) {
            const ClientFault fault{.kind = ClientFault::Kind::broken_answer,
                                    .detail = "the answer lacks a partition that was produced to"};
            answered(std::move(part), &fault, {});
        } else if (found->error_code != ErrorCode::none) {
            const auto fault =
                refused(found->error_code, found->error_message ? found->error_message->str() : "");
            answered(std::move(part), &fault, {});
        } else {
            answered(std::move(part), nullptr, found->base_offset);
        }
    }
}

void Producer::fail_connection(base::BrokerId leader, const ClientFault& fault) {
    auto requests = std::move(under_way_[leader]);
    under_way_.erase(leader);
    cluster_.forget(leader);
    for (auto& request : requests) {
        for (auto& part : request.parts) try_again(std::move(part), fault);
    }
}

void Producer::answered(UnderWay part, const ClientFault* fault, base::Offset base_offset) {
    if (!fault || fault->code == ErrorCode::duplicate_sequence_number)
        return finish(part, nullptr, base_offset);
    const bool is_too_large = fault->code == ErrorCode::message_too_large ||
                              fault->code == ErrorCode::record_list_too_large;
    if (is_too_large && part.batch.records > 1) return split(std::move(part));
    if (may_heal(*fault)) return try_again(std::move(part), *fault);
    finish(part, fault, {});
}

void Producer::try_again(UnderWay part, const ClientFault& fault) {
    refresh_ = true;
    const bool may =
        fault.kind != ClientFault::Kind::unsupported && part.batch.attempts < settings_.retries;
    if (!may || milliseconds_left(part.batch.deadline) == 0) {
        return finish(part, &fault, {});
    }
    ++part.batch.attempts;
    const std::lock_guard lock(mutex_);
    part.queue->not_before = after(cluster_.settings().retry_backoff);
    part.queue->ready.push_front(std::move(part.batch));
    part.queue->under_way = false;
}

// Make two batches of one, with the sequence numbers that it had.
void Producer::split(UnderWay part) {
    const auto whole = records::Batch::view(part.batch.bytes);
    base::ensure(whole.has_value(), "a batch that was built can be read");
    records::Inflater inflater;
    auto walk =
        records::RecordWalk::open(*whole, inflater, std::numeric_limits<std::int32_t>::max());
    base::ensure(walk.has_value(), "a batch that was built can be walked");
    const auto first_count = part.batch.records / 2;
    std::vector<Batch> halves(2);
    for (std::int32_t half = 0; half < 2; ++half) {
        auto settings = batch_settings_;
        settings.producer_id = whole->producer_id();
        settings.producer_epoch = whole->producer_epoch();
        if (whole->has_producer_id()) {
            settings.base_sequence =
                records::sequence_after(whole->base_sequence(), half == 0 ? 0 : first_count);
        }
        records::BatchBuilder builder(settings);
        Batch& made = halves[static_cast<std::size_t>(half)];
        made.records = half == 0 ? first_count : part.batch.records - first_count;
        for (std::int32_t left = made.records; left > 0; --left) {
            const auto* record = walk->next();
            base::ensure(record != nullptr, "a batch that was built holds its records");
            const std::vector<records::Header> headers = [&] {
                std::vector<records::Header> copied;
                for (const auto& header : record->headers) copied.push_back(header);
                return copied;
            }();
            const records::NewRecord copy{record->timestamp, record->key, record->value, headers};
            made.payload_bytes += payload_bytes(copy);
            builder.append(copy);
        }
        made.bytes = builder.finish(deflater_);
        made.deadline = part.batch.deadline;
        made.has_sequence = part.batch.has_sequence;
    }
    if (settings_.timed) {
        const auto middle = part.batch.started_us.begin() + first_count;
        halves[0].started_us.assign(part.batch.started_us.begin(), middle);
        halves[1].started_us.assign(middle, part.batch.started_us.end());
    }
    const std::lock_guard lock(mutex_);
    part.queue->ready.push_front(std::move(halves[1]));
    part.queue->ready.push_front(std::move(halves[0]));
    part.queue->under_way = false;
    ++unfinished_;
}

void Producer::finish(UnderWay& part, const ClientFault* fault,
                      std::optional<base::Offset> base_offset) {
    if (settings_.on_batch) {
        settings_.on_batch({part.queue->topic, part.queue->index, part.batch.records,
                            part.batch.payload_bytes, part.batch.started_us, base_offset,
                            fault ? std::optional(*fault) : std::nullopt});
    }
    if (fault && part.batch.has_sequence) {
        // Whether the broker has these sequence numbers is not known: a new producer id
        // starts them anew, for all partitions.
        producer_id_ = base::ProducerId(records::no_producer_id);
    }
    const std::lock_guard lock(mutex_);
    buffered_ -= std::min(buffered_, part.batch.payload_bytes);
    --unfinished_;
    part.queue->under_way = false;
    changed_.notify_all();
}

ClientResult<void> Producer::take_producer_id() {
    protocol::InitProducerIdRequest request;
    request.transactional_id.reset();
    request.transaction_timeout_ms = std::numeric_limits<std::int32_t>::max();
    const auto answer =
        cluster_.call<protocol::InitProducerIdApi, protocol::InitProducerIdResponse>(cluster_.any(),
                                                                                     request, 4);
    if (!answer) return base::Unexpected(answer.error());
    if ((*answer)->error_code != ErrorCode::none)
        return base::Unexpected(refused((*answer)->error_code));
    producer_id_ = (*answer)->producer_id;
    producer_epoch_ = (*answer)->producer_epoch;
    const std::lock_guard lock(mutex_);
    for (auto& [name, topic] : topics_) {
        for (auto& queue : topic.partitions) queue->sequence = 0;
    }
    return {};
}

// Learn of topics that send() asks for, and of new leaders after a failure.
void Producer::look_for_topics() {
    std::vector<std::string> names;
    std::vector<std::string> wanted;
    {
        const std::lock_guard lock(mutex_);
        wanted = wanted_topics_;
        if (wanted.empty() && !refresh_) return;
        names = wanted;
        for (const auto& [name, topic] : topics_) names.push_back(name);
    }
    refresh_ = false;
    const auto learnt = cluster_.refresh(names, true);
    if (!learnt) {
        while (!under_way_.empty()) fail_connection(under_way_.begin()->first, learnt.error());
        cluster_.forget_all();
        if (!silent_ && cluster_.settings().warn) cluster_.settings().warn(learnt.error().detail);
        silent_ = refresh_ = true;
        wait_for(cluster_.settings().retry_backoff);
        return;
    }
    silent_ = false;
    if (!take_topics(wanted)) {
        refresh_ = true;
        wait_for(cluster_.settings().retry_backoff);
    }
}

// True when what became of each of `wanted` is known.
bool Producer::take_topics(const std::vector<std::string>& wanted) {
    bool is_complete = true;
    const std::lock_guard lock(mutex_);
    for (const auto& name : wanted) {
        const auto found = cluster_.view().topics.find(name);
        const auto error = found == cluster_.view().topics.end()
                               ? ErrorCode::unknown_topic_or_partition
                               : found->second.error;
        if (error != ErrorCode::none || found->second.partitions.empty()) {
            if (!protocol::is_retriable(error) && error != ErrorCode::none) {
                topic_faults_[name] = refused(error);
                std::erase(wanted_topics_, name);
            } else {
                is_complete = false;
            }
            continue;
        }
        Topic topic;
        for (const auto& partition : found->second.partitions) {
            topic.partitions.push_back(
                std::make_unique<Queue>(name, partition.index, batch_settings_));
            if (partition.leader.value() >= 0) topic.with_leader.push_back(partition.index);
        }
        if (topic.with_leader.empty()) {
            for (const auto& partition : found->second.partitions)
                topic.with_leader.push_back(partition.index);
        }
        topic.sticky = std::make_unique<StickyPartition>(static_cast<std::uint64_t>(now_us()));
        topics_.emplace(name, std::move(topic));
        std::erase(wanted_topics_, name);
    }
    changed_.notify_all();
    return is_complete;
}

}  // namespace broker

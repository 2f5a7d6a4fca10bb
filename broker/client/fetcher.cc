#include "broker/client/fetcher.h"

#include "protocol/records/batch_format.h"
#include "protocol/records/message_set.h"
#include "protocol/schema/api/fetch.h"
#include "protocol/schema/api/list_offsets.h"

#include <algorithm>
#include <poll.h>
#include <set>

namespace broker::inline client {
namespace {

using protocol::ErrorCode;

// Versions above name topics by id only.
constexpr std::int16_t fetch_version_cap = 12;
constexpr std::int8_t read_committed_level = 1;

using PartitionAnswer = protocol::FetchResponse::Topic::Partition;

const PartitionView* find_partition(const ClusterView& view, const base::TopicPartition& at) {
    const auto topic = view.topics.find(at.topic);
    if (topic == view.topics.end()) return nullptr;
    for (const auto& partition : topic->second.partitions) {
        if (partition.index == at.partition) return &partition;
    }
    return nullptr;
}

ClientFault unreadable(const base::TopicPartition& at, base::Offset offset, std::string_view why) {
    return {.kind = ClientFault::Kind::broken_answer,
            .detail = "Record batch of " + at.topic + "-" + std::to_string(at.partition.value()) +
                      " at offset " + std::to_string(offset.value()) + ": " + std::string(why)};
}

// Which transactional batches of one answer were aborted.
class Aborted {
public:
    explicit Aborted(const PartitionAnswer& answer) {
        if (answer.aborted_transactions) open_ = *answer.aborted_transactions;
        std::ranges::sort(open_, {}, [](const auto& each) { return each.first_offset; });
    }

    bool holds(const records::BatchHeader& batch) {
        while (next_ < open_.size() && open_[next_].first_offset <= batch.last_offset()) {
            producers_.insert(open_[next_++].producer_id);
        }
        return batch.is_transactional() && producers_.contains(batch.producer_id());
    }

    void end(base::ProducerId producer) { producers_.erase(producer); }

private:
    std::vector<PartitionAnswer::AbortedTransaction> open_;
    std::size_t next_ = 0;
    std::set<base::ProducerId> producers_;
};

// Where to read on after what `bytes` holds; nothing when not a single entry is whole.
std::optional<base::Offset> end_of(std::span<const std::byte> bytes) {
    std::optional<base::Offset> end;
    while (!bytes.empty()) {
        const auto entry = records::peek_entry(bytes);
        if (!entry || entry->size > bytes.size()) break;
        end = entry->last_offset + std::int64_t{1};
        bytes = bytes.subspan(entry->size);
    }
    return end;
}

}  // namespace

ClientResult<std::map<base::TopicPartition, FoundOffset>> list_offsets(
    Cluster& cluster, const std::map<base::TopicPartition, std::int64_t>& times,
    bool read_committed) {
    std::map<base::TopicPartition, FoundOffset> found;
    auto left = times;
    const auto attempt = [&]() -> ClientResult<void> {
        std::map<base::BrokerId, protocol::ListOffsetsRequest> requests;
        std::optional<ClientFault> fault;
        for (const auto& [at, time] : left) {
            const auto* partition = find_partition(cluster.view(), at);
            if (!partition || partition->leader.value() < 0) {
                found[at].error = partition ? ErrorCode::leader_not_available
                                            : ErrorCode::unknown_topic_or_partition;
                fault = refused(found[at].error);
                continue;
            }
            auto& request = requests[partition->leader];
            request.replica_id = base::BrokerId(-1);
            request.isolation_level = read_committed ? read_committed_level : std::int8_t{0};
            request.timeout_ms =
                static_cast<std::int32_t>(cluster.settings().request_timeout.count());
            if (request.topics.empty() || request.topics.back().name != at.topic) {
                request.topics.emplace_back().name = wire::Text(at.topic);
            }
            auto& asked = request.topics.back().partitions.emplace_back();
            asked.partition_index = at.partition;
            asked.timestamp = time;
        }
        for (const auto& [leader, request] : requests) {
            const auto answer =
                cluster.call<protocol::ListOffsetsApi, protocol::ListOffsetsResponse>(
                    cluster.broker(leader), request);
            if (!answer) {
                fault = answer.error();
                continue;
            }
            for (const auto& topic : (*answer)->topics) {
                for (const auto& partition : topic.partitions) {
                    const base::TopicPartition at{topic.name.str(), partition.partition_index};
                    auto offset = partition.offset;
                    if (answer->version == 0 && !partition.old_style_offsets.empty()) {
                        offset = partition.old_style_offsets.front();
                    }
                    found[at] = {partition.error_code, offset, partition.timestamp,
                                 partition.leader_epoch};
                    if (protocol::is_retriable(partition.error_code)) {
                        fault = refused(partition.error_code);
                    } else {
                        left.erase(at);
                    }
                }
            }
        }
        if (!fault) return {};
        std::set<std::string> topics;
        for (const auto& [at, time] : times) topics.insert(at.topic);
        const auto refreshed =
            cluster.refresh(std::vector<std::string>(topics.begin(), topics.end()));
        if (!refreshed) return base::Unexpected(refreshed.error());
        return base::Unexpected(std::move(*fault));
    };
    const auto done = cluster.retry(attempt);
    // What the cluster refuses for one partition is that partition's; a lost cluster is
    // everybody's.
    if (!done && done.error().kind != ClientFault::Kind::refused)
        return base::Unexpected(done.error());
    return found;
}

void Fetcher::assign(const base::TopicPartition& partition, base::Offset next) {
    positions_[partition] = next;
    fetch_from_[partition] = next;
    ++generation_;
    stale_ = true;
}

void Fetcher::unassign_all() {
    positions_.clear();
    fetch_from_.clear();
    ++generation_;
}

void Fetcher::forget(base::BrokerId leader) {
    sources_.erase(leader);
    stale_ = true;
}

ClientResult<void> Fetcher::send_fetch(base::BrokerId leader, Source& source) {
    protocol::FetchRequest request;
    request.max_wait_ms = settings_.max_wait_ms;
    request.min_bytes = settings_.min_bytes;
    request.max_bytes = settings_.max_bytes;
    request.isolation_level = settings_.read_committed ? read_committed_level : std::int8_t{0};
    request.rack_id = wire::Text::borrowed(settings_.rack);
    for (const auto& [at, next] : fetch_from_) {
        const auto* partition = find_partition(cluster_.view(), at);
        if (!partition || partition->leader != leader) continue;
        if (request.topics.empty() || request.topics.back().topic != at.topic) {
            request.topics.emplace_back().topic = wire::Text::borrowed(at.topic);
        }
        auto& asked = request.topics.back().partitions.emplace_back();
        asked.partition = at.partition;
        asked.current_leader_epoch = partition->leader_epoch;
        asked.fetch_offset = next;
        asked.partition_max_bytes = settings_.partition_max_bytes;
    }
    if (request.topics.empty()) return {};
    source.generation = generation_;
    source.deadline = after(cluster_.settings().request_timeout +
                            std::chrono::milliseconds(settings_.max_wait_ms));
    return source.connection.send<protocol::FetchApi>(
        request, after(cluster_.settings().request_timeout), fetch_version_cap);
}

ClientResult<void> Fetcher::send_fetches() {
    if (stale_) {
        std::set<std::string> topics;
        for (const auto& [at, next] : positions_) topics.insert(at.topic);
        const auto refreshed =
            cluster_.refresh(std::vector<std::string>(topics.begin(), topics.end()));
        if (!refreshed) return refreshed;
        stale_ = false;
    }
    std::set<base::BrokerId> leaders;
    for (const auto& [at, next] : positions_) {
        const auto* partition = find_partition(cluster_.view(), at);
        if (partition && partition->leader.value() >= 0) {
            leaders.insert(partition->leader);
        } else {
            stale_ = true;
        }
    }
    for (const auto leader : leaders) {
        auto source = sources_.find(leader);
        if (source == sources_.end()) {
            const auto node = cluster_.view().nodes.find(leader);
            if (node == cluster_.view().nodes.end()) continue;
            auto opened = Connection::open(node->second.address, cluster_.settings().client_id,
                                           after(cluster_.settings().connect_timeout));
            if (!opened) return base::Unexpected(opened.error());
            source = sources_.emplace(leader, Source{std::move(*opened), generation_}).first;
        }
        if (source->second.connection.pending() > 0) continue;
        const auto sent = send_fetch(leader, source->second);
        if (!sent) {
            const auto fault = sent.error();
            forget(leader);
            return base::Unexpected(fault);
        }
    }
    return {};
}

ClientResult<void> Fetcher::reset(const base::TopicPartition& partition) {
    if (!settings_.reset) return base::Unexpected(refused(ErrorCode::offset_out_of_range));
    const auto found =
        list_offsets(cluster_, {{partition, *settings_.reset}}, settings_.read_committed);
    if (!found) return base::Unexpected(found.error());
    const auto& at = found->at(partition);
    if (at.error != ErrorCode::none) return base::Unexpected(refused(at.error));
    positions_[partition] = fetch_from_[partition] = at.offset;
    return {};
}

ClientResult<std::size_t> Fetcher::poll(Deadline deadline, const Take& take) {
    const auto sent = send_fetches();
    if (!sent) {
        if (!may_heal(sent.error()) && sent.error().kind != ClientFault::Kind::timed_out) {
            return base::Unexpected(sent.error());
        }
        stale_ = true;
        wait_for(std::min(cluster_.settings().retry_backoff,
                          std::chrono::milliseconds(milliseconds_left(deadline))));
        return 0;
    }
    std::vector<pollfd> waits;
    std::vector<base::BrokerId> leaders;
    std::erase_if(sources_, [&](const auto& each) {
        const bool is_lost = each.second.connection.pending() > 0 &&
                             each.second.deadline <= std::chrono::steady_clock::now();
        stale_ = stale_ || is_lost;
        return is_lost;
    });
    for (auto& [leader, source] : sources_) {
        if (source.connection.pending() == 0) continue;
        waits.push_back({source.connection.descriptor(), POLLIN, 0});
        leaders.push_back(leader);
    }
    const int most = stale_ ? static_cast<int>(cluster_.settings().retry_backoff.count())
                            : milliseconds_left(deadline);
    if (::poll(waits.data(), waits.size(), std::min(most, milliseconds_left(deadline))) <= 0)
        return 0;

    const auto ready =
        std::ranges::find_if(waits, [](const pollfd& each) { return each.revents != 0; });
    if (ready == waits.end()) return 0;
    const auto leader = leaders[static_cast<std::size_t>(ready - waits.begin())];
    auto& source = sources_.at(leader);
    const auto answer = source.connection.receive<protocol::FetchApi, protocol::FetchResponse>(
        after(cluster_.settings().request_timeout));
    if (!answer) {
        const auto fault = answer.error();
        forget(leader);
        if (fault.kind == ClientFault::Kind::broken_answer) return base::Unexpected(fault);
        return 0;
    }
    if ((*answer)->error_code != ErrorCode::none)
        return base::Unexpected(refused((*answer)->error_code));
    // An answer to what was assigned before is about offsets that nobody wants any more.
    if (source.generation != generation_) return 0;

    std::vector<base::TopicPartition> to_reset;
    for (const auto& topic : (*answer)->responses) {
        for (const auto& partition : topic.partitions) {
            const base::TopicPartition at{topic.topic.str(), partition.partition_index};
            if (!fetch_from_.contains(at)) continue;
            if (partition.error_code == ErrorCode::offset_out_of_range) {
                to_reset.push_back(at);
            } else if (protocol::is_retriable(partition.error_code)) {
                stale_ = true;
            } else if (partition.error_code != ErrorCode::none) {
                return base::Unexpected(refused(partition.error_code));
            } else if (const auto end = end_of(partition.records.bytes())) {
                fetch_from_[at] = *end;
            }
        }
    }
    if (to_reset.empty() && !stale_) {
        const auto next = send_fetch(leader, source);
        if (!next) forget(leader);
    }

    std::size_t count = 0;
    for (const auto& topic : (*answer)->responses) {
        for (const auto& partition : topic.partitions) {
            const base::TopicPartition at{topic.topic.str(), partition.partition_index};
            const auto position = positions_.find(at);
            if (position == positions_.end() || partition.error_code != ErrorCode::none) continue;
            Aborted aborted(partition);
            auto bytes = std::span<const std::byte>(partition.records.bytes());
            received_bytes_ += bytes.size();
            const auto hand_over = [&](const records::Record& record, bool is_append_time,
                                       std::int8_t magic) {
                if (record.offset < position->second) return true;
                position->second = record.offset + std::int64_t{1};
                ++count;
                return take({at.topic, at.partition, record, is_append_time, magic});
            };
            while (!bytes.empty()) {
                const auto entry = records::peek_entry(bytes);
                if (!entry || entry->size > bytes.size()) break;
                const auto whole = bytes.first(entry->size);
                bytes = bytes.subspan(entry->size);
                if (entry->magic < records::batch_format::magic) {
                    const auto message = records::Message::read(whole);
                    if (!message)
                        return base::Unexpected(
                            unreadable(at, position->second, describe(message.error())));
                    auto walk = records::MessageWalk::open(*message, inflater_);
                    if (!walk)
                        return base::Unexpected(
                            unreadable(at, position->second, describe(walk.error())));
                    const bool is_append_time =
                        message->timestamp_type() == records::TimestampType::log_append_time;
                    while (const auto* record = walk->next()) {
                        if (!hand_over(*record, is_append_time, entry->magic)) return count;
                    }
                    continue;
                }
                const auto batch = records::Batch::read(whole);
                if (!batch)
                    return base::Unexpected(unreadable(at, position->second, "it is damaged"));
                const bool skip = settings_.read_committed && aborted.holds(*batch);
                if (batch->is_control()) {
                    const auto control = records::read_control(*batch);
                    if (control && control->is(records::ControlType::abort))
                        aborted.end(batch->producer_id());
                } else if (!skip) {
                    auto walk = records::RecordWalk::open(*batch, inflater_, std::size_t{1} << 30);
                    if (!walk)
                        return base::Unexpected(
                            unreadable(at, position->second, describe(walk.error())));
                    const bool is_append_time =
                        batch->timestamp_type() == records::TimestampType::log_append_time;
                    while (const auto* record = walk->next()) {
                        if (!hand_over(*record, is_append_time, entry->magic)) return count;
                    }
                    if (walk->fault())
                        return base::Unexpected(
                            unreadable(at, position->second, describe(*walk->fault())));
                }
                position->second =
                    std::max(position->second, batch->last_offset() + std::int64_t{1});
            }
        }
    }
    for (const auto& at : to_reset) {
        const auto moved = reset(at);
        if (!moved) return base::Unexpected(moved.error());
    }
    return count;
}

}  // namespace broker

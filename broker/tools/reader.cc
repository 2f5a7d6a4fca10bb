#include "broker/tools/reader.h"

#include <algorithm>

namespace broker {

using protocol::ErrorCode;

namespace {

// A reader goes on trying for as long as its caller likes; no single attempt holds it up.
constexpr auto attempt_time = std::chrono::milliseconds(5'000);

ClientSettings impatient(ClientSettings client) {
    client.api_timeout = std::min(client.api_timeout, attempt_time);
    return client;
}

}  // namespace

TopicReader::TopicReader(ClientSettings client, ReaderSettings settings)
    : settings_(std::move(settings)),
      cluster_(impatient(std::move(client))),
      fetcher_(cluster_, settings_.fetch) {}

ClientResult<void> TopicReader::look() {
    const auto refreshed = cluster_.retry([&] {
        return settings_.include ? cluster_.refresh(std::nullopt)
                                 : cluster_.refresh(settings_.topics, true);
    });
    if (!refreshed) return base::Unexpected(refreshed.error());
    std::optional<TopicFilter> filter;
    if (settings_.include) filter.emplace(*settings_.include);
    std::map<std::string, std::size_t> found;
    for (const auto& [name, topic] : cluster_.view().topics) {
        if (filter && (is_internal_topic(name) || !filter->matches(name))) continue;
        if (topic.error != ErrorCode::none) {
            if (filter || protocol::is_retriable(topic.error)) continue;
            return base::Unexpected(refused(topic.error));
        }
        if (!topic.partitions.empty()) found[name] = topic.partitions.size();
    }
    next_look_ =
        after(found.empty() ? cluster_.settings().retry_backoff : settings_.metadata_max_age);
    if (found == seen_) return {};
    seen_ = std::move(found);
    must_assign_ = true;
    return {};
}

ClientResult<void> TopicReader::assign_from(
    std::vector<base::TopicPartition> partitions,
    const std::map<base::TopicPartition, base::Offset>& known) {
    std::map<base::TopicPartition, std::int64_t> unknown;
    for (const auto& at : partitions) {
        if (!known.contains(at)) unknown[at] = settings_.start;
    }
    std::map<base::TopicPartition, FoundOffset> offsets;
    if (!unknown.empty()) {
        auto found = list_offsets(cluster_, unknown, settings_.fetch.read_committed);
        if (!found) return base::Unexpected(found.error());
        offsets = std::move(*found);
    }
    fetcher_.unassign_all();
    for (const auto& at : partitions) {
        if (const auto start = known.find(at); start != known.end()) {
            fetcher_.assign(at, start->second);
        } else {
            const auto& found = offsets[at];
            if (found.error != ErrorCode::none) return base::Unexpected(refused(found.error));
            fetcher_.assign(at, found.offset);
        }
    }
    return {};
}

ClientResult<void> TopicReader::assign() {
    std::vector<base::TopicPartition> partitions;
    std::map<base::TopicPartition, base::Offset> known;
    if (settings_.group) {
        if (!member_) member_ = std::make_unique<GroupMember>(cluster_, *settings_.group);
        std::vector<std::string> topics;
        for (const auto& [name, count] : seen_) topics.push_back(name);
        const auto began = std::chrono::steady_clock::now();
        auto assigned = member_->join(topics);
        joining_time_ = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::chrono::steady_clock::now() - began);
        if (!assigned) return base::Unexpected(assigned.error());
        partitions = std::move(*assigned);
        const auto refreshed = cluster_.retry([&] { return cluster_.refresh(topics); });
        if (!refreshed) return refreshed;
        if (!partitions.empty()) {
            auto committed = member_->committed(partitions);
            if (!committed) return base::Unexpected(committed.error());
            known = std::move(*committed);
        }
    } else {
        for (const auto& [name, count] : seen_) {
            for (std::size_t index = 0; index < count; ++index) {
                const base::PartitionIndex partition(static_cast<std::int32_t>(index));
                if (settings_.partition && partition != *settings_.partition) continue;
                partitions.push_back({name, partition});
            }
        }
        if (partitions.empty() && settings_.partition) {
            return base::Unexpected(ClientFault{
                .kind = ClientFault::Kind::bad_input,
                .detail =
                    "the topic has no partition " + std::to_string(settings_.partition->value())});
        }
        known = fetcher_.positions();
        if (settings_.offset && known.empty()) known[partitions.front()] = *settings_.offset;
        // What appeared while reading is read from its beginning.
        if (is_assigned_) settings_.start = earliest_timestamp;
    }
    next_commit_ = after(settings_.auto_commit_interval);
    const auto assigned = assign_from(std::move(partitions), known);
    if (assigned) is_assigned_ = true;
    if (assigned) must_assign_ = false;
    return assigned;
}

ClientResult<void> TopicReader::commit() {
    next_commit_ = after(settings_.auto_commit_interval);
    if (!member_ || !settings_.auto_commit) return {};
    return member_->commit(fetcher_.positions());
}

ClientResult<std::size_t> TopicReader::poll(Deadline deadline, const Fetcher::Take& take) {
    const auto polled = poll_once(deadline, take);
    if (polled) return polled;
    if (!may_heal(polled.error()) && polled.error().kind != ClientFault::Kind::timed_out)
        return polled;
    wait_for(std::min(cluster_.settings().retry_backoff,
                      std::chrono::milliseconds(milliseconds_left(deadline))));
    return 0;
}

ClientResult<std::size_t> TopicReader::poll_once(Deadline deadline, const Fetcher::Take& take) {
    if (next_look_ <= std::chrono::steady_clock::now()) {
        const auto looked = look();
        if (!looked) return base::Unexpected(looked.error());
    }
    if (seen_.empty()) {
        wait_for(std::chrono::milliseconds(
            std::min(milliseconds_left(deadline), milliseconds_left(next_look_))));
        return 0;
    }
    if (member_ && member_->must_rejoin()) must_assign_ = true;
    if (must_assign_) {
        // A commit that the rebalance forbids is lost to the next reader, which repeats a little.
        if (member_ && is_assigned_) {
            const auto committed = commit();
            if (!committed && committed.error().kind == ClientFault::Kind::broken_answer) {
                return base::Unexpected(committed.error());
            }
        }
        const auto assigned = assign();
        if (!assigned) return base::Unexpected(assigned.error());
    }
    if (next_commit_ <= std::chrono::steady_clock::now()) {
        const auto committed = commit();
        if (!committed && !member_->must_rejoin()) return base::Unexpected(committed.error());
    }
    auto until = deadline;
    if (member_) until = std::min(until, after(std::chrono::milliseconds(500)));
    return fetcher_.poll(until, take);
}

ClientResult<void> TopicReader::close() {
    const auto committed = is_assigned_ ? commit() : ClientResult<void>();
    if (member_) member_->leave();
    if (!committed && member_ && member_->must_rejoin()) return {};
    return committed;
}

}  // namespace broker

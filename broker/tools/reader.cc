#include "broker/tools/reader.h"

#include <algorithm>

namespace broker {

using protocol::ErrorCode;

ClientResult<bool> TopicReader::look() {
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
    if (found == seen_) return false;
    seen_ = std::move(found);
    return true;
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
            for (const auto& partition : cluster_.view().topics.at(name).partitions) {
                if (settings_.partition && partition.index != *settings_.partition) continue;
                partitions.push_back({name, partition.index});
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
    is_assigned_ = true;
    next_commit_ = after(settings_.auto_commit_interval);
    return assign_from(std::move(partitions), known);
}

ClientResult<void> TopicReader::commit() {
    next_commit_ = after(settings_.auto_commit_interval);
    if (!member_ || !settings_.auto_commit) return {};
    return member_->commit(fetcher_.positions());
}

ClientResult<std::size_t> TopicReader::poll(Deadline deadline, const Fetcher::Take& take) {
    bool must_assign = !is_assigned_;
    if (next_look_ <= std::chrono::steady_clock::now()) {
        const auto changed = look();
        if (!changed) return base::Unexpected(changed.error());
        must_assign = must_assign || *changed;
    }
    if (seen_.empty()) {
        wait_for(std::chrono::milliseconds(
            std::min(milliseconds_left(deadline), milliseconds_left(next_look_))));
        return 0;
    }
    if (member_ && member_->must_rejoin()) must_assign = true;
    if (must_assign) {
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

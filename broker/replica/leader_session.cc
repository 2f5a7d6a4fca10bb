#include "broker/replica/leader_session.h"

#include <algorithm>
#include <limits>
#include <utility>

namespace broker {

using base::TopicPartition;
using protocol::ErrorCode;
using protocol::FetchRequest;
using protocol::FetchResponse;

namespace {

// The topic of a list that a partition goes under: partitions come topic by topic.
template <class Topic>
Topic& topic_for(std::vector<Topic>& topics, const TopicPartition& at, const base::Uuid& id) {
    if (topics.empty() || topics.back().topic != at.topic || topics.back().topic_id != id) {
        auto& topic = topics.emplace_back();
        topic.topic = wire::Text::borrowed(at.topic);
        topic.topic_id = id;
    }
    return topics.back();
}

void add(FetchRequest& request, const TopicPartition& at, const LeaderSession::Ask& ask) {
    auto& asked = topic_for(request.topics, at, ask.topic_id).partitions.emplace_back();
    asked.partition = at.partition;
    asked.current_leader_epoch = ask.leader_epoch;
    asked.fetch_offset = ask.from;
    asked.last_fetched_epoch = ask.last_epoch;
    asked.log_start_offset = ask.log_start;
    asked.partition_max_bytes = ask.bytes_max;
}

}  // namespace

bool LeaderSession::begin(Asks asks, FetchRequest& request) {
    const bool by_id = std::ranges::none_of(
        asks, [](const auto& each) { return each.second.topic_id == base::Uuid{}; });
    // A session that knows topics by their ids knows none by its name.
    if (by_id != by_id_) epoch_ = 0;
    by_id_ = by_id;
    request.session_id = id_;
    request.session_epoch = epoch_;
    forgotten_.clear();
    if (epoch_ == 0) told_.clear();
    for (const auto& [at, ask] : told_) {
        const auto now = asks.find(at);
        if (now == asks.end() || now->second.topic_id != ask.topic_id) forgotten_.emplace(at, ask);
    }
    for (const auto& [at, ask] : forgotten_) {
        topic_for(request.forgotten_topics_data, at, ask.topic_id)
            .partitions.push_back(at.partition);
    }
    for (const auto& [at, ask] : asks) {
        const auto before = told_.find(at);
        if (before == told_.end() || before->second != ask) add(request, at, ask);
    }
    told_ = std::move(asks);  // The keys, and the names in them, stay where they are.
    return by_id;
}

void LeaderSession::answered(const FetchResponse& response) {
    constexpr auto epoch_max = std::numeric_limits<std::int32_t>::max();
    if (response.error_code == ErrorCode::fetch_session_id_not_found) {
        id_ = 0;
        epoch_ = 0;
    } else if (response.error_code != ErrorCode::none) {
        epoch_ = 0;
    } else if (response.session_id == 0) {
        id_ = 0;
        epoch_ = 0;
    } else if (epoch_ == 0) {
        id_ = response.session_id;
        epoch_ = 1;
    } else {
        epoch_ = epoch_ == epoch_max ? 1 : epoch_ + 1;
    }
}

void LeaderSession::lost() {
    epoch_ = 0;
}

}  // namespace broker

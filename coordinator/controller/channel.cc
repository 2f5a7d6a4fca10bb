#include "coordinator/controller/channel.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace coordinator::controller {

void Channel::lead_or_follow(Key partition) {
    const auto [at, added] = roles_.try_emplace(partition);
    if (at->second) --stops_;
    at->second.reset();
}

void Channel::stop(Key partition, bool deletes) {
    const auto [at, added] = roles_.try_emplace(partition);
    if (!at->second) ++stops_;
    at->second = Stop{partition, deletes || (at->second && at->second->deletes)};
}

bool Channel::is_idle() const noexcept {
    return closed_ || (!sent_ && !brokers_ && roles_.empty() && metadata_.empty());
}

std::optional<Channel::Message> Channel::take(std::uint64_t id) {
    if (sent_ || is_idle()) return std::nullopt;
    sent_ = next();
    sent_id_ = id;
    return sent_;
}

Channel::Message Channel::next() {
    if (!std::exchange(greeted_, true)) {
        brokers_ = false;
        return {Kind::metadata};
    }
    if (stops_ < roles_.size()) {
        Message message{Kind::lead_or_follow};
        for (const auto& [key, stop] : roles_)
            if (!stop) message.partitions.push_back(key);
        std::erase_if(roles_, [](const auto& role) { return !role.second; });
        return message;
    }
    if (brokers_ || !metadata_.empty()) {
        brokers_ = false;
        Message message{Kind::metadata, std::exchange(metadata_, {})};
        std::ranges::sort(message.partitions);
        const auto repeated = std::ranges::unique(message.partitions);
        message.partitions.erase(repeated.begin(), repeated.end());
        return message;
    }
    Message message{Kind::stop};
    for (const auto& [key, stop] : roles_) message.stops.push_back(*stop);
    roles_.clear();
    stops_ = 0;
    return message;
}

std::optional<Channel::Message> Channel::take_sent(std::uint64_t id) {
    if (!sent_ || id != sent_id_) return std::nullopt;
    return std::exchange(sent_, std::nullopt);
}

std::optional<Channel::Message> Channel::answered(std::uint64_t id) {
    auto message = take_sent(id);
    if (!message) return std::nullopt;
    std::erase_if(message->stops, [&](const Stop& stop) {
        if (!stop.deletes || stop.stopped) return false;
        // Unless it is to be followed again meanwhile.
        stops_ += roles_.try_emplace(stop.key, Stop{stop.key, true, true}).second;
        return true;
    });
    return message;
}

void Channel::unanswered(std::uint64_t id) {
    const auto message = take_sent(id);
    if (!message) return;
    switch (message->kind) {
        case Kind::lead_or_follow:
            for (const Key key : message->partitions) roles_.try_emplace(key);
            break;
        case Kind::metadata:
            brokers_ = true;
            // A broker that does not know who lives does not follow anybody.
            if (message->partitions.empty()) greeted_ = false;
            std::ranges::copy(message->partitions, std::back_inserter(metadata_));
            break;
        case Kind::stop:
            for (const Stop& stop : message->stops)
                stops_ += roles_.try_emplace(stop.key, stop).second;
            break;
    }
}

void Channel::close() {
    closed_ = true;
    sent_.reset();
}

}  // namespace coordinator::controller

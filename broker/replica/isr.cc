#include "broker/replica/isr.h"

#include "protocol/base/ensure.h"
#include "protocol/base/plant.h"

#include <algorithm>
#include <utility>

namespace broker {

using base::BrokerId;
using base::Offset;

namespace {

// Older than any time there is.
constexpr std::int64_t never_ms = std::int64_t{-1} << 60;

}  // namespace

Isr::Isr(Members members, std::int64_t now_ms, std::int64_t lag_ms_max)
    : isr_(std::move(members.isr)),
      partition_epoch_(members.partition_epoch),
      lag_ms_max_(lag_ms_max) {
    for (const BrokerId replica : members.replicas) {
        if (replica == members.self || find(replica)) continue;
        Follower follower;
        follower.id = replica;
        follower.caught_up_ms = has(isr_, replica) ? now_ms : never_ms;
        followers_.push_back(follower);
    }
}

const Isr::Follower* Isr::find(BrokerId broker) const noexcept {
    const auto found = std::ranges::find(followers_, broker, &Follower::id);
    return found == followers_.end() ? nullptr : &*found;
}

bool Isr::has(const Brokers& brokers, BrokerId broker) const noexcept {
    return std::ranges::find(brokers, broker) != brokers.end();
}

// Whether the broker is in the ISR, or may be soon.
bool Isr::holds_back(BrokerId broker) const noexcept {
    return has(isr_, broker) || (proposed_ && has(*proposed_, broker));
}

bool Isr::is_replica(BrokerId broker) const noexcept {
    return find(broker) != nullptr;
}

bool Isr::is_caught_up(const Follower& follower, Offset log_end,
                       std::int64_t now_ms) const noexcept {
    return follower.end == log_end || now_ms - follower.caught_up_ms <= lag_ms_max_;
}

bool Isr::fetched(BrokerId follower, Offset from, Offset log_end, std::int64_t now_ms) {
    const auto found = std::ranges::find(followers_, follower, &Follower::id);
    if (found == followers_.end()) return false;
    // A follower that is always one Fetch behind a busy leader keeps up all the same.
    if (from >= log_end) {
        found->caught_up_ms = std::max(found->caught_up_ms, now_ms);
    } else if (found->end >= Offset(0) && from >= found->leader_end_then) {
        found->caught_up_ms = std::max(found->caught_up_ms, found->fetched_ms);
    }
    found->end = from;
    found->fetched_ms = now_ms;
    found->leader_end_then = log_end;
    return true;
}

bool Isr::starts_at(BrokerId follower, Offset log_start) {
    const auto found = std::ranges::find(followers_, follower, &Follower::id);
    if (found == followers_.end() || found->log_start == log_start) return false;
    found->log_start = log_start;
    return true;
}

Offset Isr::low_watermark(Offset log_start, const Brokers& live) const {
    Offset everybody = log_start;
    for (const Follower& follower : followers_) {
        if (has(live, follower.id)) everybody = std::min(everybody, follower.log_start);
    }
    return everybody;
}

std::optional<BrokerId> Isr::best_of(const Brokers& candidates, Offset offset) const {
    const Follower* best = nullptr;
    for (const Follower& follower : followers_) {
        const bool serves = has(isr_, follower.id) && has(candidates, follower.id) &&
                            follower.log_start <= offset && offset <= follower.end;
        if (serves && (!best || follower.end > best->end)) best = &follower;
    }
    if (!best) return std::nullopt;
    return best->id;
}

std::optional<Offset> Isr::high_watermark(Offset log_end, std::size_t isr_min,
                                          std::int64_t now_ms) const {
    if (size() < isr_min) return std::nullopt;
    Offset everybody = log_end;
    if (base::is_planted(base::Plant::ack_before_isr)) return everybody;
    for (const Follower& follower : followers_) {
        // Who is about to come in counts already: it must not find itself behind.
        if (!holds_back(follower.id) && !is_caught_up(follower, log_end, now_ms)) continue;
        everybody = std::min(everybody, follower.end);
    }
    return everybody;
}

std::optional<Isr::Proposal> Isr::expansion(BrokerId follower, Offset high_watermark,
                                            Offset term_start) const {
    const Follower* const found = find(follower);
    if (!found || proposed_ || has(isr_, follower)) return std::nullopt;
    if (found->end < high_watermark || found->end < term_start) return std::nullopt;
    Proposal proposal{isr_, partition_epoch_};
    proposal.isr.push_back(follower);
    return proposal;
}

std::optional<Isr::Proposal> Isr::shrink(Offset log_end, std::int64_t now_ms) const {
    if (proposed_ || base::is_planted(base::Plant::isr_never_shrunk)) return std::nullopt;
    Proposal proposal{isr_, partition_epoch_};
    std::erase_if(proposal.isr, [&](BrokerId each) {
        const Follower* const follower = find(each);
        return follower && !is_caught_up(*follower, log_end, now_ms);
    });
    if (proposal.isr.size() == isr_.size()) return std::nullopt;
    return proposal;
}

void Isr::propose(const Proposal& proposal) {
    base::ensure(!proposed_, "one ISR at a time is proposed");
    proposed_ = proposal.isr;
}

void Isr::commit(Brokers isr, std::int32_t partition_epoch) {
    proposed_.reset();
    isr_ = std::move(isr);
    partition_epoch_ = partition_epoch;
}

void Isr::reject() {
    proposed_.reset();
}

}  // namespace broker

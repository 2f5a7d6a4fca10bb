#include "storage/epochs.h"

#include <algorithm>

namespace storage {

using base::LeaderEpoch;
using base::Offset;

bool EpochStarts::assign(LeaderEpoch epoch, Offset start) {
    if (epoch < LeaderEpoch(0)) return false;
    if (!starts_.empty() && starts_.back().epoch == epoch && starts_.back().start <= start) {
        return false;
    }
    while (!starts_.empty() && (starts_.back().epoch >= epoch || starts_.back().start >= start)) {
        starts_.pop_back();
    }
    starts_.push_back({epoch, start});
    return true;
}

std::optional<LeaderEpoch> EpochStarts::latest() const noexcept {
    if (starts_.empty()) return std::nullopt;
    return starts_.back().epoch;
}

std::optional<LeaderEpoch> EpochStarts::at(Offset offset) const noexcept {
    const auto after = std::ranges::upper_bound(starts_, offset, {}, &EpochStart::start);
    if (after == starts_.begin()) return std::nullopt;
    return std::prev(after)->epoch;
}

EpochStart EpochStarts::end_of(LeaderEpoch epoch, Offset log_end) const noexcept {
    constexpr EpochStart unknown{LeaderEpoch(-1), Offset(-1)};
    if (starts_.empty() || epoch < LeaderEpoch(0) || epoch > starts_.back().epoch) return unknown;
    if (epoch == starts_.back().epoch) return {epoch, log_end};
    const auto after = std::ranges::upper_bound(starts_, epoch, {}, &EpochStart::epoch);
    if (after == starts_.begin()) return {epoch, after->start};
    return {std::prev(after)->epoch, after->start};
}

bool EpochStarts::truncate_end(Offset end) {
    const auto before = starts_.size();
    while (!starts_.empty() && starts_.back().start >= end) starts_.pop_back();
    return starts_.size() != before;
}

bool EpochStarts::truncate_start(Offset start) {
    const auto after = std::ranges::upper_bound(starts_, start, {}, &EpochStart::start);
    if (after == starts_.begin()) return false;
    const auto holds = std::prev(after);
    if (holds == starts_.begin() && holds->start == start) return false;
    holds->start = start;
    starts_.erase(starts_.begin(), holds);
    return true;
}

}  // namespace storage

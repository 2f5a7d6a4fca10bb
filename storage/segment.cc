#include "storage/segment.h"

#include "protocol/base/plant.h"
#include "storage/names.h"

#include <algorithm>

namespace storage {

using base::Offset;

namespace {

constexpr std::size_t recent_max = 64;

}  // namespace

Segment::Segment(FileCache& files, std::shared_ptr<Place> place, Offset base)
    : base_(base), place_(std::move(place)), log_(files, place_, file_name(base, ".log")) {
    recent_floor = Offset(base.value() - 1);
}

std::filesystem::path Segment::path(std::string_view suffix) const {
    return place_->path() / (file_name(base_, suffix) + extra_suffix());
}

std::string Segment::extra_suffix() const {
    const std::lock_guard lock(mutex_);
    return extra_suffix_;
}

base::Result<void, Fault> Segment::rename_files(
    std::string suffix, const std::function<base::Result<void, Fault>()>& rename) {
    names_.fetch_add(1, std::memory_order_acq_rel);
    const auto done = rename();
    if (done) {
        log_.renamed(file_name(base_, ".log") + suffix);
        const std::lock_guard lock(mutex_);
        extra_suffix_ = std::move(suffix);
    }
    names_.fetch_add(1, std::memory_order_acq_rel);
    return done;
}

bool Segment::is_checked(std::uint64_t from, std::uint64_t to) const {
    const std::lock_guard lock(mutex_);
    return own_from_ <= from || (checked_from_ <= from && to <= checked_to_);
}

void Segment::is_foreign_before(std::uint64_t position) {
    const std::lock_guard lock(mutex_);
    own_from_ = position;
}

// One stretch is remembered. Who reads on from it makes it longer; who reads elsewhere
// starts a new one.
void Segment::checked(std::uint64_t from, std::uint64_t to) const {
    const std::lock_guard lock(mutex_);
    if (to >= own_from_) {
        own_from_ = std::min(own_from_, from);
        return;
    }
    if (from <= checked_to_ && checked_from_ <= to) {
        checked_from_ = std::min(checked_from_, from);
        checked_to_ = std::max(checked_to_, to);
    } else {
        checked_from_ = from;
        checked_to_ = to;
    }
}

Segment::Learnt Segment::learnt() const {
    const std::lock_guard lock(mutex_);
    return learnt_;
}

void Segment::learn(const Learnt& learnt) const {
    const std::lock_guard lock(mutex_);
    learnt_ = learnt;
}

void Segment::add(const EntryFacts& facts, std::int64_t index_interval_bytes) {
    if (bytes == 0) first_timestamp = facts.max_timestamp;
    if (facts.max_timestamp > largest.timestamp) largest = {facts.max_timestamp, facts.last};
    if (bytes_since_index > static_cast<std::uint64_t>(index_interval_bytes)) {
        const auto position = bytes + (base::is_planted(base::Plant::index_off_by_one) ? 1 : 0);
        tails.offsets.push_back({facts.last, static_cast<std::uint32_t>(position)});
        if (const auto entry = final_time_entry()) {
            tails.times.push_back(*entry);
            indexed_timestamp = entry->timestamp;
        }
        bytes_since_index = 0;
    }
    bytes_since_index += facts.bytes;

    if (recent.size() == recent_max) {
        const auto keep = recent.begin() + recent_max / 2;
        recent_floor = std::prev(keep)->last;
        recent.erase(recent.begin(), keep);
    }
    recent.push_back({facts.last, bytes});
    bytes += facts.bytes;
}

std::optional<TimeEntry> Segment::final_time_entry() const noexcept {
    if (largest.timestamp <= indexed_timestamp || largest.timestamp < 0) return std::nullopt;
    return largest;
}

}  // namespace storage

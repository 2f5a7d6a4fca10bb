#include "broker/replica/log_move.h"

#include "protocol/base/log.h"
#include "storage/entry.h"
#include "storage/move_note.h"

#include <algorithm>
#include <utility>

namespace broker {

using base::Offset;
using base::Result;
using base::Unexpected;
using storage::Fault;
using storage::FaultKind;

namespace {

// A copy is synced whenever so much has come to it.
constexpr std::uint64_t flush_bytes = std::uint64_t{64} << 20;

// While appends are held back the rest is copied in pieces of this size.
constexpr std::size_t last_pieces_bytes = std::size_t{1} << 20;

// How many of the bytes are whole entries.
std::size_t whole_entries(std::span<const std::byte> bytes) {
    std::size_t whole = 0;
    while (const auto facts = storage::read_entry_header(bytes.subspan(whole))) {
        if (facts->bytes > bytes.size() - whole) break;
        whole += static_cast<std::size_t>(facts->bytes);
    }
    return whole;
}

}  // namespace

LogMove::LogMove(std::shared_ptr<Partition> partition, Target target)
    : partition_(std::move(partition)),
      target_(std::move(target)),
      cleaned_to_(partition_->begin_move()) {}

LogMove::~LogMove() {
    partition_->end_move();
}

Result<void, Fault> LogMove::begin(std::int64_t now_ms) {
    // It is of an earlier move, and would be taken for one of this.
    if (auto done = storage::remove_move_note(target_.directory.disk(), partition_->directory());
        !done)
        return done;
    return start_over(now_ms);
}

Result<void, Fault> LogMove::start_over(std::int64_t now_ms) {
    if (copy_) discard();
    // The log may begin in the middle of an entry, which is copied whole.
    Offset start = partition_->look([](const storage::Log& log) { return log.log_start_offset(); });
    Offset end;
    auto first = read_entries(start, 1, end);
    if (!first) return Unexpected(first.error());
    if (const auto facts = storage::read_entry_header(*first)) start = std::min(start, facts->base);
    const auto config = partition_->look([](const storage::Log& log) { return log.config(); });
    const auto& id = partition_->topic_id();
    auto made = target_.directory.create_copy(partition_->id(),
                                              id == base::Uuid{} ? std::nullopt : std::optional(id),
                                              start, config, now_ms, target_.random_id());
    if (!made) return Unexpected(made.error());
    copy_ = std::move(*made);
    publish();
    return storage::write_move_note(target_.directory.disk(), copy_->directory(), cleaned_to_);
}

Result<void, Fault> LogMove::resume(const storage::LogDirectory::Found& found,
                                    std::int64_t now_ms) {
    const auto config = partition_->look([](const storage::Log& log) { return log.config(); });
    auto loaded = target_.directory.load_copy(found, config, now_ms);
    if (loaded) {
        copy_ = std::move(*loaded);
        const auto note = storage::read_move_note(target_.directory.disk(), found.directory);
        if (!note) return Unexpected(note.error());
        const bool was_compacted =
            *note ? **note != cleaned_to_ : config.compacts || cleaned_to_ > Offset(0);
        const auto goes_on = was_compacted ? Result<bool, Fault>(false) : is_prefix();
        if (!goes_on) return Unexpected(goes_on.error());
        if (*goes_on) {
            publish();
            return *note ? Result<void, Fault>()
                         : storage::write_move_note(target_.directory.disk(), found.directory,
                                                    cleaned_to_);
        }
    } else if (loaded.error().kind == FaultKind::io || loaded.error().kind == FaultKind::no_space) {
        return Unexpected(loaded.error());
    }
    base::log_info("storage",
                   found.directory.string() + " cannot be gone on with; the copy is made anew");
    if (!copy_) {
        const auto gone =
            target_.directory.retire_copy(found.at, found.directory, target_.random_id());
        if (!gone) return gone;
    }
    return start_over(now_ms);
}

// Whether the last batch of the copy is in the partition's log too, and the copy lacks nothing in
// front of it.
Result<bool, Fault> LogMove::is_prefix() {
    const auto [start, end] = partition_->look([](const storage::Log& log) {
        return std::pair(log.log_start_offset(), log.end_offset());
    });
    if (copy_->first_base() > start || copy_->end_offset() > end) return false;
    if (copy_->end_offset() == copy_->log_start_offset()) return copy_->end_offset() <= start;
    const Offset last = copy_->end_offset() + std::int64_t{-1};
    if (last < start) return false;

    const auto plan = copy_->locate(
        last, {.bound = copy_->end_offset(), .bytes_max = 1, .at_least_one_batch = true});
    if (!plan) return Unexpected(plan.error());
    const auto read = copy_->read(*plan);
    if (!read) return Unexpected(read.error());
    std::vector<std::byte> ours(read->size());
    if (!read->slice || !read->slice->read(0, ours)) return false;
    Offset unused;
    const auto theirs = read_entries(last, ours.size(), unused);
    if (!theirs)
        return theirs.error().kind == FaultKind::io
                   ? Result<bool, Fault>(Unexpected(theirs.error()))
                   : false;
    return *theirs == ours;
}

// Whole entries of the partition's log; none at its end. `end` is where it ended then.
Result<std::vector<std::byte>, Fault> LogMove::read_entries(Offset from, std::size_t bytes_max,
                                                            Offset& end) const {
    const auto piece = partition_->read_piece(from, bytes_max);
    if (!piece) return Unexpected(piece.error());
    end = piece->end;
    std::vector<std::byte> bytes(piece->data.size());
    if (!bytes.empty() && !piece->data.slice->read(0, bytes)) {
        return Unexpected(Fault(FaultKind::busy, "the log changed while it was read"));
    }
    bytes.resize(whole_entries(bytes));
    return bytes;
}

Result<LogMove::Step, LogMove::Failure> LogMove::advance(std::size_t bytes_max,
                                                         std::int64_t now_ms) {
    Step step;
    Offset end;
    const auto copied = copy_piece(bytes_max, now_ms, end);
    if (!copied) {
        if (copied.error().fault.kind == FaultKind::busy) return step;
        // Retention took what was to be copied next.
        if (copied.error().fault.kind == FaultKind::out_of_range) {
            if (auto done = start_over(now_ms); !done)
                return Unexpected(Failure{done.error(), true});
            return step;
        }
        return Unexpected(copied.error());
    }
    step.bytes = *copied;
    const bool is_near_the_end = copy_->end_offset() >= end;
    if (is_near_the_end || copy_->unflushed_bytes() >= flush_bytes) {
        if (auto done = flush(); !done) return Unexpected(Failure{done.error(), true});
    }
    if (!is_near_the_end) return step;

    std::optional<Failure> failure;
    const auto settled = partition_->take_over(
        *copy_, target_.pace,
        [&]() -> Result<void, Fault> {
            auto done = settle(now_ms);
            if (done) return {};
            failure = done.error();
            return Unexpected(done.error().fault);
        },
        now_ms);
    step.has_moved = settled.has_value();
    if (settled) return step;
    // The log's start may have passed the copy's end meanwhile: it is copied anew.
    if (settled.error().kind == FaultKind::out_of_range || settled.error().kind == FaultKind::busy)
        return step;
    return Unexpected(failure ? *failure : Failure{settled.error(), false});
}

Result<std::uint64_t, LogMove::Failure> LogMove::copy_piece(std::size_t bytes_max,
                                                            std::int64_t now_ms, Offset& end) {
    // Where the log begins in the middle of an entry, the copy begins before it.
    Offset from = copy_->end_offset();
    if (copy_->size_bytes() == 0) {
        from = std::max(
            from, partition_->look([](const storage::Log& log) { return log.log_start_offset(); }));
    }
    auto entries = read_entries(from, bytes_max, end);
    if (!entries) return Unexpected(Failure{entries.error(), false});
    Result<void, Fault> done;
    if (!entries->empty()) {
        done = append(*entries, now_ms);
    } else if (copy_->end_offset() < end) {
        // Compaction took what lay in front of the end.
        if (auto gap = copy_->take_gap(end, now_ms)) done = write(std::move(*gap));
    }
    if (!done) return Unexpected(Failure{done.error(), true});
    publish();
    return entries->size();
}

Result<void, Fault> LogMove::append(std::span<std::byte> entries, std::int64_t now_ms) {
    const auto reserved =
        copy_->reserve({entries, storage::Origin::replication, base::LeaderEpoch(-1)});
    if (!reserved) return Unexpected(Fault(FaultKind::io, reserved.error().detail));
    while (auto group = copy_->take_group(now_ms)) {
        if (auto done = write(std::move(*group)); !done) return done;
    }
    return {};
}

Result<void, Fault> LogMove::write(storage::AppendGroup group) {
    auto done = copy_->write(group);
    if (done) {
        copy_->commit(std::move(group));
    } else {
        copy_->roll_back(std::move(group));
    }
    return done;
}

Result<void, Fault> LogMove::flush() {
    auto plan = copy_->begin_flush(storage::FlushKind::checkpoint);
    if (!plan) return {};
    auto done = copy_->flush(*plan);
    copy_->finish_flush(std::move(*plan), done.has_value());
    publish();
    return done;
}

// While nobody writes to the partition's log.
Result<void, LogMove::Failure> LogMove::settle(std::int64_t now_ms) {
    for (Offset end = copy_->end_offset() + 1; copy_->end_offset() < end;) {
        if (const auto copied = copy_piece(last_pieces_bytes, now_ms, end); !copied)
            return Unexpected(copied.error());
    }
    partition_->look([&](const storage::Log& log) { log.finish_copy(*copy_); });
    const auto targets = [&]() -> Result<void, Fault> {
        if (auto done = copy_->close(); !done) return done;
        publish();
        if (auto done = target_.save_positions(); !done) return done;
        if (auto done = target_.directory.promote(partition_->id(), *copy_); !done) return done;
        auto synced = target_.directory.disk().sync_directory(target_.directory.path());
        // The next start takes the copy for the partition: nothing may be added to the other one.
        if (!synced) partition_->go_offline();
        return synced;
    }();
    if (!targets) return Unexpected(Failure{targets.error(), true});
    return {};
}

void LogMove::discard() {
    const auto gone =
        target_.directory.retire_copy(partition_->id(), copy_->directory(), target_.random_id());
    if (!gone) base::log_warn("storage", gone.error().detail);
    copy_.reset();
}

void LogMove::close() {
    if (!copy_) return;
    if (const auto closed = copy_->close(); !closed)
        base::log_warn("storage", closed.error().detail);
    publish();
}

void LogMove::publish() noexcept {
    end_ = copy_->end_offset().value();
    first_ = copy_->first_base().value();
    recovery_point_ = copy_->recovery_point().value();
    bytes_ = copy_->size_bytes();
}

LogMove::Progress LogMove::progress() const noexcept {
    return {Offset(end_), Offset(first_), Offset(recovery_point_), bytes_};
}

}  // namespace broker

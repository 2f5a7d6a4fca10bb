// LogManager: replicas that move from one log directory to another.

#include "broker/replica/log_manager.h"
#include "protocol/base/log.h"
#include "storage/move_note.h"
#include "storage/names.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

namespace broker {

using base::Result;
using protocol::ErrorCode;
using storage::Fault;
using storage::FaultKind;
using Outcome = LogMover::Ports::Outcome;
using Then = LogMover::Ports::Then;

namespace {

// Directories are remembered for so many partitions that are not there yet.
constexpr std::size_t wanted_max = 10'000;

std::string absolute(const std::string& path) {
    return std::filesystem::absolute(path).lexically_normal().string();
}

}  // namespace

std::string LogManager::Directory::name() const {
    return absolute(path);
}

// Requires mutex_.
LogManager::Held* LogManager::home_of(storage::Flusher::LogId number) {
    const auto home = std::ranges::find_if(
        held_, [&](const auto& held) { return held->partitions.contains(number); });
    return home == held_.end() ? nullptr : home->get();
}

LogManager::Held* LogManager::home_of(const Partition& partition) {
    const auto is_it = [&](const auto& each) { return each.second.get() == &partition; };
    const std::lock_guard lock(mutex_);
    const auto home = std::ranges::find_if(
        held_, [&](const auto& held) { return std::ranges::any_of(held->partitions, is_it); });
    return home == held_.end() ? nullptr : home->get();
}

LogManager::Held* LogManager::find(const std::string& directory) {
    const auto found = std::ranges::find_if(
        held_, [&](const auto& held) { return absolute(held->path) == directory; });
    return found == held_.end() ? nullptr : found->get();
}

std::shared_ptr<LogMove> LogManager::move_of(const base::TopicPartition& at) const {
    const std::lock_guard lock(mutex_);
    const auto found = moves_.find(at);
    return found == moves_.end() ? nullptr : found->second;
}

LogManager::Moves LogManager::moves_to(const Held& held) const {
    Moves found;
    const std::lock_guard lock(mutex_);
    for (const auto& each : moves_) {
        const LogMove& move = *each.second;
        if (&move.target() == held.directory.get() && !move.is_abandoned()) found.insert(each);
    }
    return found;
}

// ---- What a request begins ---------------------------------------------------------------

ErrorCode LogManager::move(const base::TopicPartition& at,
                           const std::shared_ptr<Partition>& partition,
                           const std::string& directory) {
    if (!storage::can_name_copy(at)) return ErrorCode::invalid_topic_exception;
    Held* const target = find(directory);
    if (!target) return ErrorCode::log_dir_not_found;
    if (target->offline) return ErrorCode::kafka_storage_error;
    if (!partition) {
        const std::lock_guard lock(mutex_);
        if (wanted_.size() < wanted_max || wanted_.contains(at))
            wanted_.insert_or_assign(at, directory);
        return ErrorCode::replica_not_available;
    }
    if (partition->is_offline()) return ErrorCode::kafka_storage_error;
    if (const auto under_way = move_of(at)) {
        if (&under_way->target() == target->directory.get()) return ErrorCode::none;
        base::log_info("storage", storage::directory_name(at) + " does not move to " +
                                      under_way->target().path().string() + " any more");
        end_move(at);
    }
    if (home_of(*partition) == target) return ErrorCode::none;
    // What is offline may hold a copy of it already.
    if (std::ranges::any_of(held_, [](const auto& held) { return held->offline.load(); }))
        return ErrorCode::kafka_storage_error;
    auto made = std::make_shared<LogMove>(partition, target_of(*target));
    if (const auto begun = made->begin(settings_.wall_ms()); !begun) {
        take_fault(*target, begun.error());
        return ErrorCode::kafka_storage_error;
    }
    base::log_info("storage", storage::directory_name(at) + " moves from " +
                                  partition->directory().parent_path().string() + " to " +
                                  target->path);
    {
        const std::lock_guard lock(mutex_);
        moves_.emplace(at, made);
        target->was_read = true;
    }
    mover_->add(std::move(made));
    return ErrorCode::none;
}

LogMove::Target LogManager::target_of(Held& target) {
    return {
        *target.directory, target.pace, settings_.random_id,
        [this, &target]() -> Result<void, Fault> {
            for (const auto which :
                 {storage::Checkpoint::recovery_point, storage::Checkpoint::log_start,
                  storage::Checkpoint::cleaner}) {
                if (auto done = target.directory->checkpoint(which, positions_of(target, which));
                    !done)
                    return done;
            }
            return {};
        }};
}

// ---- What the mover does -----------------------------------------------------------------

void LogManager::start_mover() {
    LogMover::Ports ports;
    ports.advance = [this](const std::shared_ptr<LogMove>& move, std::size_t bytes) {
        return advance(move, bytes);
    };
    ports.bytes_per_second = settings_.moved_bytes_per_second;
    ports.monotonic_ms = settings_.monotonic_ms;
    mover_ = std::make_unique<LogMover>(std::move(ports), settings_.mover_threads);
    for (const auto& [at, move] : moves_) mover_->add(move);
}

Outcome LogManager::advance(const std::shared_ptr<LogMove>& move, std::size_t bytes) {
    if (move->is_abandoned()) {
        const std::lock_guard lock(mutex_);
        std::erase_if(moves_, [&](const auto& each) { return each.second == move; });
        return {Then::end};
    }
    const auto step = move->advance(bytes, settings_.wall_ms());
    if (!step) return move_failed(*move, step.error());
    if (!step->has_moved) return {Then::go_on, step->bytes};
    moved(*move);
    const std::lock_guard lock(mutex_);
    moves_.erase(move->partition()->id());
    return {Then::end, step->bytes};
}

Outcome LogManager::move_failed(const LogMove& move, const LogMove::Failure& failure) {
    const auto at = move.partition()->id();
    const auto where = move.target().path().string();
    if (failure.fault.kind == FaultKind::no_space) {
        base::log_warn("storage", storage::directory_name(at) + " cannot move to " + where +
                                      " for now: " + failure.fault.detail);
        return {Then::rest};
    }
    base::log_error("storage", storage::directory_name(at) + " does not move to " + where + ": " +
                                   failure.fault.detail);
    // What is copied stays: the next start goes on with it, or finds that it cannot.
    if (failure.is_targets) {
        if (Held* const target = find(absolute(where))) take_fault(*target, failure.fault);
    }
    const std::lock_guard lock(mutex_);
    moves_.erase(at);
    return {Then::end};
}

// The partition is in the other directory. What it leaves behind goes, and after that the note
// which says so; only then it may move again.
void LogManager::moved(LogMove& move) {
    const auto& partition = move.partition();
    const auto& at = partition->id();
    Held* const source = home_of(*partition);
    Held* const target = find(absolute(move.target().path().string()));
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(source->partitions, partition,
                                             [](const auto& each) { return each.second; });
        source->flusher.forget(found->first);
        target->partitions.insert(source->partitions.extract(found));
        move.abandon();  // Nothing is on its way any more.
    }
    base::log_info("storage", storage::directory_name(at) + " has moved from " + source->path +
                                  " to " + target->path);
    auto left = source->directory->retire(at, &move.old_log(), settings_.random_id());
    if (!left) {
        take_fault(*source, left.error());
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        purge_ = true;
        changed_.notify_all();
    }
    const auto& log = move.old_log();
    if (const auto done = storage::remove_move_note(log.disk(), partition->directory()); !done)
        take_fault(*target, done.error());
}

// Nobody wants what was copied any more.
void LogManager::end_move(const base::TopicPartition& at) {
    const auto move = move_of(at);
    if (!move) return;
    mover_->remove(move);
    {
        const std::lock_guard lock(mutex_);
        if (moves_.erase(at) == 0) return;  // It came to its end before it was told.
    }
    move->discard();
    const std::lock_guard lock(mutex_);
    purge_ = true;
    changed_.notify_all();
}

// ---- What the last process left ----------------------------------------------------------

// A crash between the two renames of a take-over leaves a partition in two directories.
void LogManager::settle_duplicates(const TopicOf& topic_of, std::vector<Loaded>& all) {
    struct Standing {
        Held* held;
        const storage::LogDirectory::Found* found;
    };
    std::unordered_map<base::TopicPartition, Standing> first;
    const auto online =
        std::ranges::count_if(held_, [](const auto& held) { return !held->offline; });
    if (online < 2) return;
    for (const auto& held : held_) {
        if (held->offline) continue;
        for (const auto& found : held->directory->partitions()) {
            const auto [other, is_first] =
                first.try_emplace(found.at, Standing{held.get(), &found});
            if (is_first) continue;
            const auto topic = topic_of(found.at);
            if (!topic) continue;
            auto& disk = storage::real_disk();
            Standing keeps = other->second;
            Standing goes{held.get(), &found};
            if (storage::has_move_note(disk, found.directory).value_or(false))
                std::swap(keeps, goes);
            const bool is_told =
                storage::has_move_note(disk, keeps.found->directory).value_or(false) &&
                !storage::has_move_note(disk, goes.found->directory).value_or(true);
            goes.held->left_out.insert(found.at);
            if (is_told) {
                base::log_info("storage", goes.found->directory.string() +
                                              " goes: the partition has moved to " +
                                              keeps.held->path);
                const auto gone =
                    goes.held->directory->retire(found.at, nullptr, settings_.random_id());
                if (!gone) base::log_error("storage", gone.error().detail);
                other->second = keeps;
                if (!gone) continue;
                const auto done = storage::remove_move_note(disk, keeps.found->directory);
                if (!done) base::log_error("storage", done.error().detail);
                continue;
            }
            keeps.held->left_out.insert(found.at);
            Loaded refused{found.at, found.topic_id, nullptr, {}};
            refused.fault = storage::directory_name(found.at) + " is in " + keeps.held->path +
                            " and in " + goes.held->path +
                            "; it is not served until one of the two directories is taken away";
            base::log_error("storage", refused.fault);
            all.push_back(std::move(refused));
        }
    }
}

void LogManager::resume_moves(const TopicOf& topic_of, const std::vector<Loaded>& all) {
    const bool all_online =
        std::ranges::none_of(held_, [](const auto& held) { return held->offline.load(); });
    for (const auto& held : held_) {
        if (held->offline) continue;
        for (const auto& found : held->directory->copies()) {
            const auto loaded = std::ranges::find(all, found.at, &Loaded::at);
            if (!topic_of(found.at) || (loaded != all.end() && !loaded->partition) ||
                (loaded == all.end() && !all_online)) {
                base::log_warn(
                    "storage",
                    found.directory.string() +
                        " is a copy of a partition that is not served; it is left as it is");
            } else if (loaded == all.end()) {
                base::log_warn("storage", found.directory.string() +
                                              " is a copy of a partition that is in no log "
                                              "directory; it is set aside as -stray");
                const auto gone =
                    held->directory->retire_copy(found.at, found.directory, settings_.random_id(),
                                                 storage::DirectoryKind::stray);
                if (!gone) base::log_error("storage", gone.error().detail);
            } else {
                resume_move(*held, found, loaded->partition);
            }
        }
    }
}

void LogManager::resume_move(Held& target, const storage::LogDirectory::Found& found,
                             const std::shared_ptr<Partition>& partition) {
    if (moves_.contains(found.at) || home_of(*partition) == &target) {
        const auto gone =
            target.directory->retire_copy(found.at, found.directory, settings_.random_id());
        if (!gone) base::log_error("storage", gone.error().detail);
        return;
    }
    auto move = std::make_shared<LogMove>(partition, target_of(target));
    if (const auto resumed = move->resume(found, settings_.wall_ms()); !resumed) {
        base::log_error("storage", found.directory.string() + " is not gone on with");
        take_fault(target, resumed.error());
        return;
    }
    base::log_info("storage", storage::directory_name(found.at) + " goes on moving to " +
                                  target.path + ", from offset " +
                                  std::to_string(move->progress().end.value()));
    moves_.emplace(found.at, std::move(move));
}

}  // namespace broker

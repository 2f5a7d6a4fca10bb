#include "coordinator/metadata/recovery.h"

#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/snapshot.h"
#include "coordinator/metadata/snapshot_format.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <utility>

namespace coordinator {
namespace {

using storage::Fault;
using storage::FaultKind;

// What the places hold, oldest first.
struct Files {
    std::vector<Zxid> snapshots;
    std::vector<Zxid> segments;
};

base::Result<std::vector<Zxid>, Fault> numbers(storage::Disk& disk,
                                               const std::filesystem::path& directory,
                                               std::string_view prefix) {
    const auto entries = disk.list(directory);
    if (!entries) return base::Unexpected(entries.error());
    std::vector<Zxid> found;
    for (const storage::DirectoryEntry& entry : *entries) {
        const auto number = number_of(entry.name, prefix);
        if (number && !entry.is_directory) found.push_back(*number);
    }
    std::ranges::sort(found);
    return found;
}

base::Result<Files, Fault> list(storage::Disk& disk, const Places& places) {
    auto snapshots = numbers(disk, places.snapshots, snapshot_format::name_prefix);
    if (!snapshots) return base::Unexpected(snapshots.error());
    auto segments = numbers(disk, places.journal, journal_format::name_prefix);
    if (!segments) return base::Unexpected(segments.error());
    return Files{std::move(*snapshots), std::move(*segments)};
}

struct Segment {
    Zxid first;  // By its name.
    std::filesystem::path path;
    std::shared_ptr<storage::File> file;
    std::vector<std::byte> bytes;
};

base::Result<Segment, Fault> read_segment(storage::Disk& disk,
                                          const std::filesystem::path& directory, Zxid first) {
    Segment segment{first, directory / numbered_name(journal_format::name_prefix, first), {}, {}};
    auto file = disk.open(segment.path, storage::OpenMode::read_write);
    if (!file) return base::Unexpected(file.error());
    segment.file = std::move(*file);
    const auto size = segment.file->size();
    if (!size) return base::Unexpected(size.error());
    segment.bytes.resize(*size);
    const auto got = segment.file->read(0, segment.bytes);
    if (!got) return base::Unexpected(got.error());
    segment.bytes.resize(*got);
    return segment;
}

// One run of recovery; what it knows so far.
class Recovery {
public:
    Recovery(storage::Disk& disk, const Places& places, std::uint64_t room_bytes_max,
             const std::function<std::int64_t()>& monotonic_ms)
        : disk_(disk),
          places_(places),
          room_bytes_max_(room_bytes_max),
          monotonic_ms_(monotonic_ms),
          begun_ms_(monotonic_ms()) {}

    base::Result<Recovered, Fault> run(const std::function<base::Uuid()>& draw_tree_id) {
        auto files = list(disk_, places_);
        if (!files) return base::Unexpected(files.error());
        auto begun = load_newest(files->snapshots);
        loaded_ms_ = monotonic_ms_();
        if (begun) begun = drop_unborn(files->segments);
        if (begun) begun = pass_over_given_up(files->segments);
        if (!begun) return base::Unexpected(begun.error());
        if (files->segments.empty()) return begin(files->snapshots, draw_tree_id);

        auto done = check_reach(files->snapshots, files->segments);
        for (std::size_t i = 0; done && i < files->segments.size(); ++i) {
            if (!is_needed(files->segments, i)) continue;
            done = replay(files->segments[i], std::span(files->segments).subspan(i + 1));
        }
        if (!done) return base::Unexpected(done.error());
        return finish();
    }

private:
    Fault corrupt(const std::filesystem::path& path, std::size_t at, const std::string& why) const {
        return {FaultKind::corrupt, path.string() + ": byte " + std::to_string(at) + ": " + why};
    }

    // The newest snapshot that is valid, if there is one.
    base::Result<void, Fault> load_newest(const std::vector<Zxid>& snapshots) {
        for (auto zxid = snapshots.rbegin(); zxid != snapshots.rend(); ++zxid) {
            auto loaded = load_snapshot(disk_, places_.snapshots, *zxid);
            if (loaded) {
                tree_ = std::move(loaded->tree);
                tree_id_ = loaded->tree_id;
                return {};
            }
            // Not so an I/O error, which may pass, or a newer format, which is right as it is.
            if (loaded.error().kind != FaultKind::corrupt) return base::Unexpected(loaded.error());
            durable_ = std::max(durable_, *zxid);
            notes_.push_back("damaged snapshot passed over: " + loaded.error().detail);
        }
        return {};
    }

    // Remove the segments at the end of which nothing ever became durable: a crash left them
    // without their header.
    base::Result<void, Fault> drop_unborn(std::vector<Zxid>& segments) {
        while (!segments.empty()) {
            const auto segment = read_segment(disk_, places_.journal, segments.back());
            if (!segment) return base::Unexpected(segment.error());
            SegmentReader reader(segment->bytes);
            const auto header = reader.header();
            last_has_entries_ = header && reader.next();
            if (last_has_entries_) return {};
            const auto said = reader.synced_behind(0, segment->first);
            last_has_entries_ = said.has_value();
            if (header) return {};
            const bool is_newer = header.error().kind == FaultKind::foreign;
            if (is_newer || (said && *said >= segment->first)) {
                return base::Unexpected(Fault(
                    header.error().kind, segment->path.string() + ": " + header.error().detail));
            }
            const auto removed = disk_.remove_file(segment->path);
            if (!removed) return removed;
            notes_.push_back("removed a journal that a crash left before it was durable: " +
                             segment->path.string());
            segments.pop_back();
        }
        return {};
    }

    // A segment before the last that is nothing but a header was begun and given up at once,
    // for want of space; the one before it went on. If it was not so, a gap will show.
    base::Result<void, Fault> pass_over_given_up(std::vector<Zxid>& segments) {
        if (segments.empty()) return {};
        std::vector<Zxid> begun;
        for (const Zxid first : std::span(segments).first(segments.size() - 1)) {
            const auto name = numbered_name(journal_format::name_prefix, first);
            const auto facts = disk_.facts(places_.journal / name);
            if (!facts) return base::Unexpected(facts.error());
            if (facts->bytes > journal_format::header_bytes) begun.push_back(first);
        }
        begun.push_back(segments.back());
        segments = std::move(begun);
        return {};
    }

    base::Result<Recovered, Fault> begin(const std::vector<Zxid>& snapshots,
                                         const std::function<base::Uuid()>& draw_tree_id) {
        if (!snapshots.empty() && snapshots.back() > Zxid(0)) {
            return base::Unexpected(
                Fault(FaultKind::corrupt,
                      places_.journal.string() +
                          ": there are snapshots of the metadata but no journal; put " +
                          "back the files milena-metadata-journal.* that belong to them"));
        }
        if (!tree_id_) tree_id_ = draw_tree_id();
        auto journal =
            Journal::create(disk_, places_.journal, *tree_id_, tree_.last_zxid(), room_bytes_max_);
        if (!journal) return base::Unexpected(journal.error());
        return recovered(std::move(*journal));
    }

    Recovered recovered(Journal journal) {
        const std::int64_t now_ms = monotonic_ms_();
        return {std::move(tree_),
                std::move(journal),
                *tree_id_,
                std::move(notes_),
                {.snapshot_ms = loaded_ms_ - begun_ms_,
                 .journal_ms = now_ms - loaded_ms_,
                 .all_ms = now_ms - begun_ms_,
                 .transactions = transactions_}};
    }

    // The journal has to begin at or before what follows the snapshot.
    base::Result<void, Fault> check_reach(const std::vector<Zxid>& snapshots,
                                          const std::vector<Zxid>& segments) const {
        if (segments.front() <= tree_.last_zxid() + std::int64_t{1}) return {};
        std::string why = places_.journal.string() + ": the journal begins with transaction " +
                          std::to_string(segments.front().value()) + ", but ";
        why += snapshots.empty() ? "there is no snapshot before it"
                                 : "no valid snapshot reaches up to it";
        for (const std::string& note : notes_) why += "; " + note;
        return base::Unexpected(Fault(FaultKind::corrupt, std::move(why)));
    }

    // Segments that end before the snapshot are history.
    bool is_needed(const std::vector<Zxid>& segments, std::size_t i) const {
        return i + 1 == segments.size() || segments[i + 1] > tree_.last_zxid() + std::int64_t{1};
    }

    // `behind` are the segments after this one.
    base::Result<void, Fault> replay(Zxid first, std::span<const Zxid> behind) {
        const bool is_empty = behind.empty() && !last_has_entries_;
        // A segment is durable when the next one begins, as the mark at its end says. But the
        // next one may have been given up at once, for want of space, and this one gone on.
        const bool may_be_torn = behind.empty() || (behind.size() == 1 && !last_has_entries_);
        auto segment = read_segment(disk_, places_.journal, first);
        if (!segment) return base::Unexpected(segment.error());
        SegmentReader reader(segment->bytes);
        const auto header = reader.header();
        if (!header) {
            return base::Unexpected(
                Fault(header.error().kind, segment->path.string() + ": " + header.error().detail));
        }
        if (header->first_zxid != first) {
            return base::Unexpected(corrupt(segment->path, journal_format::first_zxid_at,
                                            "the zxid is not that of the name"));
        }
        if (!tree_id_) tree_id_ = header->tree_id;
        if (header->tree_id != *tree_id_) {
            return base::Unexpected(Fault(
                FaultKind::foreign, segment->path.string() +
                                        ": it belongs to another metadata tree than the files " +
                                        "beside it; take away what was copied in"));
        }
        if (!next_) next_ = first;
        if (first < *next_ && is_empty) return drop(*segment);
        if (first != *next_) {
            return base::Unexpected(corrupt(segment->path, journal_format::first_zxid_at,
                                            "it begins with transaction " +
                                                std::to_string(first.value()) + ", but " +
                                                std::to_string(next_->value()) + " is the next"));
        }
        marked_ = first + std::int64_t{-1};
        while (const auto entry = reader.next()) {
            marked_ = std::max(marked_, entry->synced_zxid);
            if (entry->transaction.empty()) continue;
            const auto applied = apply(*segment, *entry);
            if (!applied) return applied;
        }
        if (!reader.at_end()) {
            const auto said = reader.synced_behind(reader.position(), first);
            // Half a mark may stand where the next segment goes on without a gap.
            const bool is_continued = !behind.empty() && behind.front() == *next_;
            const Zxid durable = std::max({durable_, tree_.last_zxid(), said.value_or(Zxid(0))});
            const bool is_damage =
                is_continued ? said && *said >= *next_ : !may_be_torn || durable >= *next_;
            if (is_damage) {
                return base::Unexpected(corrupt(
                    segment->path, reader.position(),
                    "transaction " + std::to_string(next_->value()) +
                        " is damaged, and it was acknowledged; restore the file from a copy"));
            }
            if (!is_continued) {
                const auto cut = cut_tail(*segment, reader.position());
                if (!cut) return cut;
            }
        }
        end_bytes_ = reader.position();
        last_segment_ = std::move(*segment);
        return {};
    }

    base::Result<void, Fault> apply(const Segment& segment, const SegmentReader::Entry& entry) {
        const auto transaction = read_transaction(entry.transaction);
        if (!transaction) {
            return base::Unexpected(corrupt(segment.path, entry.at, transaction.error()));
        }
        if (transaction->zxid != *next_) {
            return base::Unexpected(
                corrupt(segment.path, entry.at,
                        "transaction " + std::to_string(transaction->zxid.value()) + ", but " +
                            std::to_string(next_->value()) + " is the next"));
        }
        next_ = *next_ + std::int64_t{1};
        if (transaction->zxid <= tree_.last_zxid()) return {};
        const auto fits = tree_.fits(*transaction);
        if (!fits) return base::Unexpected(corrupt(segment.path, entry.at, fits.error()));
        tree_.apply(*transaction);
        ++transactions_;
        return {};
    }

    base::Result<void, Fault> cut_tail(Segment& segment, std::size_t at) {
        const auto cut = segment.file->truncate(at);
        if (!cut) return cut;
        was_cut_ = true;
        notes_.push_back("cut " + std::to_string(segment.bytes.size() - at) +
                         " bytes that a crash left unfinished: " + segment.path.string() +
                         ": byte " + std::to_string(at));
        segment.bytes.resize(at);
        return {};
    }

    // A segment that was begun when the one before it was not left after all.
    base::Result<void, Fault> drop(const Segment& segment) {
        notes_.push_back("removed an empty journal: " + segment.path.string());
        return disk_.remove_file(segment.path);
    }

    base::Result<Recovered, Fault> finish() {
        const Zxid reached = *next_ + std::int64_t{-1};
        const Zxid durable = std::max(durable_, tree_.last_zxid());
        if (reached < durable) {
            return base::Unexpected(corrupt(
                last_segment_->path, end_bytes_,
                "it ends with transaction " + std::to_string(reached.value()) +
                    ", but a snapshot shows that there were " + std::to_string(durable.value())));
        }
        // What was read may have come from the page cache of a process that was killed; unless
        // the file itself says that all of it is durable.
        if (marked_ < reached || was_cut_) {
            auto synced = last_segment_->file->sync();
            if (synced) synced = disk_.sync_directory(places_.journal);
            if (!synced) return base::Unexpected(synced.error());
        }
        auto journal = Journal::resume(disk_, places_.journal, *tree_id_,
                                       {.file = last_segment_->file,
                                        .first = last_segment_->first,
                                        .last = reached,
                                        .marked = marked_,
                                        .bytes = end_bytes_,
                                        .room = last_segment_->bytes.size()},
                                       room_bytes_max_);
        return recovered(std::move(journal));
    }

    storage::Disk& disk_;
    const Places& places_;
    const std::uint64_t room_bytes_max_;
    const std::function<std::int64_t()>& monotonic_ms_;
    const std::int64_t begun_ms_;
    std::int64_t loaded_ms_ = 0;  // When the snapshot was.
    std::int64_t transactions_ = 0;
    Tree tree_;
    std::optional<base::Uuid> tree_id_;
    bool last_has_entries_ = false;  // The last segment.
    Zxid durable_;                   // By the name of a snapshot that cannot be read.
    std::optional<Zxid> next_;       // The transaction that the journal has to go on with.
    std::optional<Segment> last_segment_;
    std::size_t end_bytes_ = 0;
    Zxid marked_;  // Of the last segment.
    bool was_cut_ = false;
    std::vector<std::string> notes_;
};

}  // namespace

base::Result<Recovered, Fault> recover(storage::Disk& disk, const Places& places,
                                       const std::function<base::Uuid()>& draw_tree_id,
                                       std::uint64_t room_bytes_max,
                                       const std::function<std::int64_t()>& monotonic_ms) {
    return Recovery(disk, places, room_bytes_max, monotonic_ms).run(draw_tree_id);
}

bool holds_metadata(storage::Disk& disk, const std::filesystem::path& directory) {
    const auto files = list(disk, directory);
    return files && !(files->snapshots.empty() && files->segments.empty());
}

base::Result<void, Fault> remove_superseded(storage::Disk& disk, const Places& places,
                                            std::size_t snapshots_kept) {
    auto files = list(disk, places);
    if (!files) return base::Unexpected(files.error());
    if (snapshots_kept == 0 || files->snapshots.size() < snapshots_kept) return {};
    const Zxid oldest = files->snapshots[files->snapshots.size() - snapshots_kept];
    for (const Zxid snapshot : files->snapshots) {
        if (snapshot >= oldest) break;
        const auto name = numbered_name(snapshot_format::name_prefix, snapshot);
        const auto removed = disk.remove_file(places.snapshots / name);
        if (!removed) return removed;
    }
    for (std::size_t i = 0; i + 1 < files->segments.size(); ++i) {
        if (files->segments[i + 1] > oldest + std::int64_t{1}) break;
        const auto name = numbered_name(journal_format::name_prefix, files->segments[i]);
        const auto removed = disk.remove_file(places.journal / name);
        if (!removed) return removed;
    }
    return {};
}

}  // namespace coordinator

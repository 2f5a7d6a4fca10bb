#include "coordinator/metadata/journal.h"

#include "coordinator/metadata/journal_format.h"
#include "protocol/base/crc32c.h"
#include "protocol/base/ensure.h"
#include "protocol/base/plant.h"
#include "protocol/wire/big_endian.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

namespace coordinator {

namespace format = journal_format;
using storage::Fault;
using storage::FaultKind;

namespace {

constexpr std::uint64_t room_bytes_min = 64 * 1024;  // What an empty service takes.

std::array<std::byte, format::header_bytes> made_header(const base::Uuid& tree_id, Zxid first) {
    std::array<std::byte, format::header_bytes> header{};
    std::ranges::copy(std::as_bytes(std::span(format::magic)), header.begin());
    wire::store(header, format::version_at, format::version);
    std::ranges::copy(tree_id, header.begin() + format::tree_id_at);
    wire::store(header, format::first_zxid_at, first.value());
    const auto summed = std::span(header).first(format::header_crc_at);
    wire::store(header, format::header_crc_at, base::crc32c(summed));
    return header;
}

}  // namespace

std::string numbered_name(std::string_view prefix, Zxid number) {
    char digits[32];
    std::snprintf(digits, sizeof digits, "%020lld", static_cast<long long>(number.value()));
    return std::string(prefix) + digits;
}

std::optional<Zxid> number_of(std::string_view name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return std::nullopt;
    name.remove_prefix(prefix.size());
    std::int64_t number = 0;
    const auto parsed = std::from_chars(name.data(), name.data() + name.size(), number);
    const bool is_number = parsed.ec == std::errc() && parsed.ptr == name.data() + name.size();
    if (!is_number || name.size() != format::name_digits || number < 0) return std::nullopt;
    return Zxid(number);
}

// ---- Journal ------------------------------------------------------------------------------

base::Result<Journal, Fault> Journal::create(storage::Disk& disk,
                                             const std::filesystem::path& directory,
                                             const base::Uuid& tree_id, Zxid last,
                                             std::uint64_t room_bytes_max) {
    Journal made(disk, directory, tree_id, room_bytes_max);
    made.first_ = last + std::int64_t{1};
    made.synced_ = made.marked_ = last;
    made.bytes_ = made.room_ = format::header_bytes;
    const auto path = directory / numbered_name(format::name_prefix, made.first_);
    auto file = disk.open(path, storage::OpenMode::create);
    if (!file) return base::Unexpected(file.error());
    made.file_ = std::move(*file);
    // What a crash left of it before it counted may be there: cut it.
    const auto header = made_header(tree_id, made.first_);
    auto done = made.file_->truncate(0);
    if (done) done = made.file_->write(0, std::span<const std::byte>(header));
    if (!done) {
        // If it cannot be removed, recovery passes over it.
        static_cast<void>(disk.remove_file(path));
        return base::Unexpected(done.error());
    }
    return made;
}

Journal Journal::resume(storage::Disk& disk, const std::filesystem::path& directory,
                        const base::Uuid& tree_id, Resumed segment, std::uint64_t room_bytes_max) {
    Journal made(disk, directory, tree_id, room_bytes_max);
    made.file_ = std::move(segment.file);
    made.first_ = segment.first;
    made.synced_ = segment.last;
    made.marked_ = segment.marked;
    made.bytes_ = segment.bytes;
    made.room_ = segment.room;
    made.named_ = segment.last >= segment.first;
    return made;
}

void JournalBatch::add_entry(const Transaction* transaction) {
    const std::size_t at = bytes_.size();
    entries_.push_back(at);
    bytes_.resize(at + format::entry_transaction_at);
    if (transaction != nullptr) write(*transaction, bytes_);
    const auto length = bytes_.size() - at - format::entry_synced_zxid_at;
    base::ensure(length <= format::entry_bytes_max, "transactions are limited where they come in");
    wire::store(std::span(bytes_).subspan(at), format::entry_length_at,
                static_cast<std::uint32_t>(length));
}

void JournalBatch::add(const Transaction& transaction) {
    base::ensure(empty() || transaction.zxid == last_ + std::int64_t{1}, "the journal has no gaps");
    if (empty()) first_ = transaction.zxid;
    add_entry(&transaction);
    last_ = transaction.zxid;
}

void JournalBatch::take_over(JournalBatch& behind) {
    if (empty()) {
        std::swap(*this, behind);
        return;
    }
    for (const std::size_t at : behind.entries_) entries_.push_back(bytes_.size() + at);
    bytes_.insert(bytes_.end(), behind.bytes_.begin(), behind.bytes_.end());
    last_ = behind.last_;
    behind = {};
}

// As late as can be: what the entries say was durable tells damage from a torn tail.
void JournalBatch::seal(Zxid synced) {
    for (std::size_t i = 0; i < entries_.size(); ++i) {
        const auto end = i + 1 < entries_.size() ? entries_[i + 1] : bytes_.size();
        const auto entry = std::span(bytes_).subspan(entries_[i], end - entries_[i]);
        wire::store(entry, format::entry_synced_zxid_at, synced.value());
        wire::store(entry, format::entry_crc_at,
                    base::crc32c(entry.subspan(format::entry_length_at)));
    }
}

void Journal::take_room(std::uint64_t end) {
    if (room_bytes_max_ == 0 || end <= room_) return;
    const auto least = std::min(room_bytes_min, room_bytes_max_);
    const auto room = end + std::clamp(bytes_, least, room_bytes_max_);
    // A disk without room to spare may have enough for what is to be written.
    if (file_->reserve(room) && file_->truncate(room)) room_ = room;
}

void Journal::give_back_room() {
    // Zeros behind the last entry do no harm.
    if (room_ > bytes_ && file_->truncate(bytes_)) room_ = bytes_;
}

base::Result<void, Fault> Journal::failed(Fault fault) {
    fault_ = fault;
    return base::Unexpected(std::move(fault));
}

base::Result<void, Fault> Journal::commit(JournalBatch& batch) {
    if (fault_) return base::Unexpected(*fault_);
    if (batch.empty()) return {};
    base::ensure(batch.first_ == synced_ + std::int64_t{1}, "the journal has no gaps");
    batch.seal(synced_);
    take_room(bytes_ + batch.bytes_.size());
    const auto written = file_->write(bytes_, std::span<const std::byte>(batch.bytes_));
    if (!written && written.error().kind == FaultKind::no_space) {
        // Nobody was promised these bytes; the same ones go to the same place next time.
        return base::Unexpected(written.error());
    }
    if (!written) return failed(written.error());
    if (!base::is_planted(base::Plant::ack_before_sync)) {
        auto synced = file_->sync();
        if (!synced && base::is_planted(base::Plant::retry_after_failed_sync))
            synced = file_->sync();
        if (!synced) return failed(synced.error());
    }
    if (!named_ && !base::is_planted(base::Plant::names_not_synced)) {
        const auto named = disk_->sync_directory(directory_);
        if (!named) return failed(named.error());
        named_ = true;
    }
    bytes_ += batch.bytes_.size();
    marked_ = std::max(marked_, synced_);  // The entries say what was durable before them.
    synced_ = batch.last_;
    batch = {};
    return {};
}

void Journal::mark() {
    if (fault_ || marked_ == synced_) return;
    JournalBatch mark;
    mark.add_entry(nullptr);
    mark.seal(synced_);
    // When it cannot be written, the next entry will say the same.
    if (!file_->write(bytes_, std::span<const std::byte>(mark.bytes_))) return;
    bytes_ += mark.bytes_.size();
    marked_ = synced_;
}

base::Result<void, Fault> Journal::roll() {
    if (fault_) return base::Unexpected(*fault_);
    if (synced_ < first_) return {};
    mark();
    give_back_room();
    const auto synced = file_->sync();
    if (!synced) return failed(synced.error());
    auto next = create(*disk_, directory_, tree_id_, synced_, room_bytes_max_);
    if (!next && next.error().kind == FaultKind::no_space) return base::Unexpected(next.error());
    if (!next) return failed(next.error());
    *this = std::move(*next);
    return {};
}

void Journal::close() {
    if (fault_) return;
    mark();
    give_back_room();
    // Nothing was promised about the mark: its loss loses no transaction.
    static_cast<void>(file_->sync());
}

// ---- SegmentReader ------------------------------------------------------------------------

base::Result<SegmentReader::Header, Fault> SegmentReader::header() const {
    const auto corrupt = [](const char* why) {
        return base::Unexpected(Fault(FaultKind::corrupt, why));
    };
    if (bytes_.size() < format::header_bytes) return corrupt("the header is cut short");
    const auto header = bytes_.first(format::header_bytes);
    if (!std::ranges::equal(header.first(format::magic.size()),
                            std::as_bytes(std::span(format::magic)))) {
        return corrupt("not a journal of Milena's metadata: bad magic at byte 0");
    }
    const auto version = wire::load<std::int32_t>(header, format::version_at);
    if (version > format::version) {
        return base::Unexpected(Fault(
            FaultKind::foreign, "format version " + std::to_string(version) +
                                    ", this build knows up to " + std::to_string(format::version)));
    }
    const auto crc = wire::load<std::uint32_t>(header, format::header_crc_at);
    if (version != format::version || crc != base::crc32c(header.first(format::header_crc_at))) {
        return corrupt("bad checksum of the header");
    }
    Header read;
    std::ranges::copy(header.subspan(format::tree_id_at, read.tree_id.size()),
                      read.tree_id.begin());
    read.first_zxid = Zxid(wire::load<std::int64_t>(header, format::first_zxid_at));
    return read;
}

std::optional<SegmentReader::Entry> SegmentReader::entry_at(std::size_t at) const {
    if (at > bytes_.size() || bytes_.size() - at < format::entry_transaction_at)
        return std::nullopt;
    const auto rest = bytes_.subspan(at);
    const std::size_t length = wire::load<std::uint32_t>(rest, format::entry_length_at);
    if (length < format::entry_length_min || length > format::entry_bytes_max ||
        length > rest.size() - format::entry_synced_zxid_at) {
        return std::nullopt;
    }
    const auto entry = rest.first(format::entry_synced_zxid_at + length);
    if (wire::load<std::uint32_t>(entry, format::entry_crc_at) !=
        base::crc32c(entry.subspan(format::entry_length_at))) {
        return std::nullopt;
    }
    return Entry{at, Zxid(wire::load<std::int64_t>(entry, format::entry_synced_zxid_at)),
                 entry.subspan(format::entry_transaction_at)};
}

std::optional<SegmentReader::Entry> SegmentReader::next() {
    const auto entry = entry_at(position_);
    if (entry) position_ += format::entry_transaction_at + entry->transaction.size();
    return entry;
}

bool SegmentReader::at_end() const noexcept {
    const auto rest = bytes_.subspan(position_);
    if (rest.empty()) return true;
    // Zero, and each byte as the one before it.
    return rest.front() == std::byte{0} &&
           std::memcmp(rest.data(), rest.data() + 1, rest.size() - 1) == 0;
}

std::optional<Zxid> SegmentReader::synced_behind(std::size_t from, Zxid first) const {
    // What an entry here could say; asked before its checksum is computed, because data may
    // look like a great many long entries.
    const Zxid least = first + std::int64_t{-1};
    const Zxid most = first + static_cast<std::int64_t>(bytes_.size());
    std::optional<Zxid> highest;
    for (std::size_t at = from; bytes_.size() - at >= format::entry_transaction_at;) {
        const Zxid synced(wire::load<std::int64_t>(bytes_, at + format::entry_synced_zxid_at));
        const bool is_possible = synced >= least && synced <= most;
        const auto entry = is_possible ? entry_at(at) : std::nullopt;
        if (entry) highest = std::max(highest.value_or(synced), synced);
        // Not into what is valid: where two numbers of it meet, they look like a long entry.
        at += entry ? format::entry_transaction_at + entry->transaction.size() : 1;
    }
    return highest;
}

}  // namespace coordinator

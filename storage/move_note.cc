#include "storage/move_note.h"

#include <charconv>
#include <string>
#include <string_view>

namespace storage {

using base::Offset;
using base::Result;
using base::Unexpected;
using std::filesystem::path;

namespace {

constexpr const char* note_file = "move.milena";
constexpr std::string_view head = "milena-move 1\ncleaned-to ";
constexpr std::uint64_t note_bytes_max = 64;

}  // namespace

Result<void, Fault> write_move_note(Disk& disk, const path& directory, Offset cleaned_to) {
    const std::string text = std::string(head) + std::to_string(cleaned_to.value()) + "\n";
    return replace_file(disk, directory / note_file, std::as_bytes(std::span(text)));
}

Result<std::optional<Offset>, Fault> read_move_note(Disk& disk, const path& directory) {
    const auto bytes = read_whole(disk, directory / note_file, note_bytes_max);
    if (!bytes && bytes.error().kind == FaultKind::io) return Unexpected(bytes.error());
    if (!bytes) return std::nullopt;
    const std::string_view text(reinterpret_cast<const char*>(bytes->data()), bytes->size());
    if (!text.starts_with(head) || !text.ends_with('\n')) return std::nullopt;
    std::int64_t offset = -1;
    const char* const end = text.data() + text.size() - 1;
    const auto [stop, fault] = std::from_chars(text.data() + head.size(), end, offset);
    if (fault != std::errc() || stop != end || offset < 0) return std::nullopt;
    return Offset(offset);
}

Result<void, Fault> remove_move_note(Disk& disk, const path& directory) {
    auto done = disk.remove_file(directory / note_file);
    if (!done && done.error().kind == FaultKind::not_found) return {};
    return done;
}

Result<bool, Fault> has_move_note(Disk& disk, const path& directory) {
    const auto facts = disk.facts(directory / note_file);
    if (facts) return true;
    if (facts.error().kind == FaultKind::not_found) return false;
    return Unexpected(facts.error());
}

}  // namespace storage

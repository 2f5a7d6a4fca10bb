#include "storage/checkpoint.h"

#include "storage/names.h"

#include <algorithm>
#include <charconv>
#include <string_view>

namespace storage {

using base::LeaderEpoch;
using base::Offset;
using base::Result;
using base::Unexpected;
using std::filesystem::path;

namespace {

constexpr std::uint64_t checkpoint_bytes_max = std::uint64_t{256} << 20;
constexpr std::uint64_t properties_bytes_max = std::uint64_t{1} << 20;

Unexpected<Fault> corrupt(const path& name, std::string_view why) {
    return Unexpected(Fault(FaultKind::corrupt, name.string() + ": " + std::string(why)));
}

Unexpected<Fault> foreign(const path& name, int version, std::string_view known) {
    return Unexpected(Fault(FaultKind::foreign, name.string() + " has version " +
                                                    std::to_string(version) +
                                                    "; this program knows " + std::string(known)));
}

std::span<const std::byte> bytes_of(const std::string& text) {
    return std::as_bytes(std::span(text));
}

Result<std::string, Fault> read_text(Disk& disk, const path& name, std::uint64_t bytes_max) {
    const auto bytes = read_whole(disk, name, bytes_max);
    if (!bytes) return Unexpected(bytes.error());
    std::string text(bytes->size(), '\0');
    std::ranges::transform(*bytes, text.begin(),
                           [](std::byte byte) { return static_cast<char>(byte); });
    return text;
}

template <class Number>
std::optional<Number> number(std::string_view text) noexcept {
    Number value{};
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string topic_id_text(const base::Uuid& id) {
    return "version: 0\ntopic_id: " + uuid_text(id);
}

// Takes one line off the front of `text`, without its end.
std::string_view take_line(std::string_view& text) noexcept {
    const auto end = text.find('\n');
    auto line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

// Takes the last word off the end of `line`.
std::string_view take_last_word(std::string_view& line) noexcept {
    const auto space = line.rfind(' ');
    if (space == std::string_view::npos) return std::exchange(line, {});
    const auto word = line.substr(space + 1);
    line = line.substr(0, space);
    return word;
}

// The lines behind version and count; nothing when those are wrong.
Result<std::vector<std::string_view>, Fault> lines_of(const path& name, std::string_view text) {
    std::vector<std::string_view> lines;
    if (text.empty()) return lines;
    if (take_line(text) != "0") return corrupt(name, "the first line is not version 0");
    const auto count = number<std::uint64_t>(take_line(text));
    if (!count) return corrupt(name, "the second line is not a count");
    while (!text.empty()) {
        const auto line = take_line(text);
        if (!line.empty()) lines.push_back(line);
    }
    if (lines.size() != *count) {
        return corrupt(name, std::to_string(lines.size()) + " lines where " +
                                 std::to_string(*count) + " are announced");
    }
    return lines;
}

}  // namespace

Result<Offsets, Fault> read_offsets(Disk& disk, const path& name) {
    const auto text = read_text(disk, name, checkpoint_bytes_max);
    if (!text) return Unexpected(text.error());
    const auto lines = lines_of(name, *text);
    if (!lines) return Unexpected(lines.error());
    Offsets offsets;
    for (std::string_view line : *lines) {
        const auto offset = number<std::int64_t>(take_last_word(line));
        const auto partition = number<std::int32_t>(take_last_word(line));
        if (!offset || *offset < 0 || !partition || *partition < 0 || !is_topic_name(line)) {
            return corrupt(name, "a line is not: topic partition offset");
        }
        offsets[{std::string(line), base::PartitionIndex(*partition)}] = Offset(*offset);
    }
    return offsets;
}

Result<void, Fault> write_offsets(Disk& disk, const path& name, const Offsets& offsets) {
    std::string text = "0\n" + std::to_string(offsets.size()) + "\n";
    for (const auto& [at, offset] : offsets) {
        text += at.topic + " " + std::to_string(at.partition.value()) + " " +
                std::to_string(offset.value()) + "\n";
    }
    return replace_file(disk, name, bytes_of(text));
}

Result<std::vector<EpochStart>, Fault> read_epochs(Disk& disk, const path& name) {
    const auto text = read_text(disk, name, checkpoint_bytes_max);
    if (!text) return Unexpected(text.error());
    const auto lines = lines_of(name, *text);
    if (!lines) return Unexpected(lines.error());
    std::vector<EpochStart> starts;
    for (std::string_view line : *lines) {
        const auto start = number<std::int64_t>(take_last_word(line));
        const auto epoch = number<std::int32_t>(line);
        if (!start || *start < 0 || !epoch || *epoch < 0) {
            return corrupt(name, "a line is not: epoch offset");
        }
        if (!starts.empty() &&
            (starts.back().epoch.value() >= *epoch || starts.back().start.value() >= *start)) {
            return corrupt(name, "epochs or their offsets do not rise");
        }
        starts.push_back({LeaderEpoch(*epoch), Offset(*start)});
    }
    return starts;
}

Result<void, Fault> write_epochs(Disk& disk, const path& name, std::span<const EpochStart> epochs) {
    std::string text = "0\n" + std::to_string(epochs.size()) + "\n";
    for (const EpochStart& epoch : epochs) {
        text +=
            std::to_string(epoch.epoch.value()) + " " + std::to_string(epoch.start.value()) + "\n";
    }
    return replace_file(disk, name, bytes_of(text));
}

Result<base::Uuid, Fault> read_topic_id(Disk& disk, const path& name) {
    const auto text = read_text(disk, name, properties_bytes_max);
    if (!text) return Unexpected(text.error());
    std::string_view rest = *text;
    constexpr std::string_view version_key = "version: ";
    const auto first = take_line(rest);
    const auto version = first.starts_with(version_key)
                             ? number<int>(first.substr(version_key.size()))
                             : std::nullopt;
    if (!version || *version < 0) return corrupt(name, "the first line is not version: 0");
    if (*version > 0) return foreign(name, *version, "0");
    constexpr std::string_view key = "topic_id: ";
    const auto line = take_line(rest);
    if (!line.starts_with(key)) return corrupt(name, "the second line is not a topic_id");
    const auto id = parse_uuid(line.substr(key.size()));
    if (!id || *id == base::Uuid{}) return corrupt(name, "the topic_id is none");
    return *id;
}

Result<void, Fault> write_topic_id(Disk& disk, const path& name, const base::Uuid& id) {
    return replace_file(disk, name, bytes_of(topic_id_text(id)));
}

Result<void, Fault> write_new_topic_id(Disk& disk, const path& name, const base::Uuid& id) {
    const auto file = disk.open(name, OpenMode::create);
    if (!file) return Unexpected(file.error());
    return (*file)->write(0, bytes_of(topic_id_text(id)));
}

Result<Identity, Fault> read_identity(Disk& disk, const path& name) {
    const auto text = read_text(disk, name, properties_bytes_max);
    if (!text) return Unexpected(text.error());
    Identity identity;
    bool has_version = false;
    for (std::string_view rest = *text; !rest.empty();) {
        const auto line = take_line(rest);
        if (line.empty() || line.starts_with('#')) continue;
        const auto equals = line.find('=');
        if (equals == std::string_view::npos) return corrupt(name, "a line is not key=value");
        const auto key = line.substr(0, equals);
        const auto value = line.substr(equals + 1);
        if (key == "version") {
            const auto version = number<int>(value);
            if (!version || *version < 0) return corrupt(name, "version is not a number");
            if (*version > 1) return foreign(name, *version, "0 and 1");
            identity.version = *version;
            has_version = true;
        } else if (key == "broker.id" || key == "node.id") {
            const auto broker = number<std::int32_t>(value);
            if (!broker) return corrupt(name, std::string(key) + " is not a number");
            identity.broker = base::BrokerId(*broker);
        } else if (key == "cluster.id") {
            identity.cluster = value;
        } else if (key == "directory.id") {
            identity.directory = value;
        }
    }
    if (!has_version) return corrupt(name, "it has no version");
    return identity;
}

Result<void, Fault> write_identity(Disk& disk, const path& name, const Identity& identity) {
    std::string text = "version=" + std::to_string(identity.version) + "\n";
    if (identity.broker) {
        text += (identity.version == 0 ? "broker.id=" : "node.id=") +
                std::to_string(identity.broker->value()) + "\n";
    }
    if (!identity.directory.empty()) text += "directory.id=" + identity.directory + "\n";
    if (!identity.cluster.empty()) text += "cluster.id=" + identity.cluster + "\n";
    return replace_file(disk, name, bytes_of(text));
}

}  // namespace storage

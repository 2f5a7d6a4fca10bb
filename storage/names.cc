#include "storage/names.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace storage {

namespace {

constexpr std::size_t topic_characters_max = 249;
constexpr std::size_t name_characters_max = 255;
constexpr std::size_t digits = 20;

struct KindSuffix {
    DirectoryKind kind;
    std::string_view text;
};
constexpr std::array kind_suffixes{KindSuffix{DirectoryKind::deleted, "-delete"},
                                   KindSuffix{DirectoryKind::future, "-future"},
                                   KindSuffix{DirectoryKind::stray, "-stray"}};

constexpr std::string_view alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

constexpr std::string_view hex = "0123456789abcdef";

template <class Number>
std::optional<Number> number(std::string_view text) noexcept {
    Number value{};
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (fault != std::errc() || end != text.data() + text.size()) return std::nullopt;
    return value;
}

// topic-N, without looking at the topic's characters: a shortened name of a deleted
// partition may hold anything.
std::optional<base::TopicPartition> split(std::string_view name) {
    const auto dash = name.rfind('-');
    if (dash == std::string_view::npos || dash == 0) return std::nullopt;
    const auto text = name.substr(dash + 1);
    const auto partition = number<std::int32_t>(text);
    if (!partition || *partition < 0 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
    return base::TopicPartition{std::string(name.substr(0, dash)),
                                base::PartitionIndex(*partition)};
}

}  // namespace

bool is_topic_name(std::string_view name) noexcept {
    if (name.empty() || name.size() > topic_characters_max || name == "." || name == "..") {
        return false;
    }
    return std::ranges::all_of(name, [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '.' || c == '_' || c == '-';
    });
}

DirectoryName parse_directory_name(std::string_view name) {
    if (name == "remote-log-index-cache" || name.starts_with("__cluster_metadata-")) {
        return {DirectoryKind::metadata, {}};
    }
    for (const KindSuffix& suffix : kind_suffixes) {
        if (!name.ends_with(suffix.text)) continue;
        auto rest = name.substr(0, name.size() - suffix.text.size());
        const auto dot = rest.rfind('.');
        if (dot == std::string_view::npos || rest.size() - dot - 1 != 32) break;
        const auto id = rest.substr(dot + 1);
        if (!std::ranges::all_of(id, [](char c) { return hex.contains(c); })) break;
        rest = rest.substr(0, dot);
        return {suffix.kind, split(rest).value_or(base::TopicPartition{std::string(rest), {}})};
    }
    auto at = split(name);
    if (!at || !is_topic_name(at->topic)) return {};
    return {DirectoryKind::partition, std::move(*at)};
}

std::string directory_name(const base::TopicPartition& at) {
    return at.topic + "-" + std::to_string(at.partition.value());
}

std::string directory_name(const base::TopicPartition& at, DirectoryKind kind,
                           const base::Uuid& id) {
    std::string tail = ".";
    for (const std::byte byte : id) {
        tail += hex[std::to_integer<std::size_t>(byte >> 4)];
        tail += hex[std::to_integer<std::size_t>(byte & std::byte{15})];
    }
    for (const KindSuffix& suffix : kind_suffixes) {
        if (suffix.kind == kind) tail += suffix.text;
    }
    // The topic is what is shortened, so that the partition's number stays readable.
    const std::string partition = "-" + std::to_string(at.partition.value());
    const std::size_t room = name_characters_max - tail.size() - partition.size();
    return at.topic.substr(0, room) + partition + tail;
}

bool can_name_copy(const base::TopicPartition& at) {
    constexpr std::size_t id_and_suffix = 40;  // .0123456789abcdef0123456789abcdef-future
    return directory_name(at).size() + id_and_suffix <= name_characters_max;
}

std::string file_name(base::Offset offset, std::string_view suffix) {
    std::string text = std::to_string(offset.value());
    text.insert(0, digits - std::min(digits, text.size()), '0');
    return text.append(suffix);
}

std::optional<FileName> parse_file_name(std::string_view name) noexcept {
    if (name.size() <= digits || name[digits] != '.') return std::nullopt;
    const auto offset = number<std::int64_t>(name.substr(0, digits));
    if (!offset || *offset < 0) return std::nullopt;
    return FileName{base::Offset(*offset), name.substr(digits)};
}

std::string uuid_text(const base::Uuid& id) {
    std::string text;
    std::uint32_t bits = 0;
    int count = 0;
    for (const std::byte byte : id) {
        bits = (bits << 8) | std::to_integer<std::uint32_t>(byte);
        for (count += 8; count >= 6; count -= 6) text += alphabet[(bits >> (count - 6)) & 63];
    }
    text += alphabet[(bits << (6 - count)) & 63];
    return text;
}

std::optional<base::Uuid> parse_uuid(std::string_view text) noexcept {
    if (text.size() != 22) return std::nullopt;
    base::Uuid id{};
    std::size_t at = 0;
    std::uint32_t bits = 0;
    int count = 0;
    for (const char c : text) {
        const auto value = alphabet.find(c);
        if (value == std::string_view::npos) return std::nullopt;
        bits = (bits << 6) | static_cast<std::uint32_t>(value);
        count += 6;
        if (count >= 8 && at < id.size()) {
            count -= 8;
            id[at++] = static_cast<std::byte>((bits >> count) & 255);
        }
    }
    if ((bits & 15) != 0) return std::nullopt;  // The last character has two bits of the id.
    return id;
}

}  // namespace storage

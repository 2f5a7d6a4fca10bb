#include "coordinator/metadata/path.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace coordinator::zk_path {
namespace {

// Take the first code point off `text`. Nothing for bytes that are not UTF-8.
std::optional<std::uint32_t> take_code_point(std::string_view& text) {
    const auto first = static_cast<std::uint8_t>(text.front());
    std::size_t size = 1;
    std::uint32_t point = first;
    std::uint32_t least = 0;
    if (first >= 0xf0 && first < 0xf8) {
        size = 4, point = first & 0x07, least = 0x10000;
    } else if (first >= 0xe0) {
        size = 3, point = first & 0x0f, least = 0x800;
    } else if (first >= 0xc0) {
        size = 2, point = first & 0x1f, least = 0x80;
    } else if (first >= 0x80) {
        return std::nullopt;
    }
    if (first >= 0xf8 || text.size() < size) return std::nullopt;
    for (std::size_t i = 1; i < size; ++i) {
        const auto next = static_cast<std::uint8_t>(text[i]);
        if ((next & 0xc0) != 0x80) return std::nullopt;
        point = point << 6 | (next & 0x3f);
    }
    if (point < least) return std::nullopt;
    text.remove_prefix(size);
    return point;
}

bool may_stand_in_path(std::uint32_t point) {
    return point > 0x1f && (point < 0x7f || point > 0x9f) && (point < 0xd800 || point > 0xf8ff) &&
           point < 0xfff0;
}

bool is_valid_component(std::string_view component) {
    if (component.empty() || component == "." || component == "..") return false;
    while (!component.empty()) {
        const auto point = take_code_point(component);
        if (!point || !may_stand_in_path(*point)) return false;
    }
    return true;
}

// The byte's rank in a walk: '/' comes before what else may stand in a name.
int rank(char byte) noexcept {
    return byte == '/' ? -1 : static_cast<unsigned char>(byte);
}

}  // namespace

bool is_valid(std::string_view path) {
    if (path.empty() || path.front() != '/') return false;
    if (path == "/") return true;
    for (;;) {
        path.remove_prefix(1);
        const auto end = path.find('/');
        if (!is_valid_component(path.substr(0, end))) return false;
        if (end == path.npos) return true;
        path.remove_prefix(end);
    }
}

bool has_name(std::string_view path) {
    return path.contains('/') && !path.contains('\0');
}

std::string_view parent(std::string_view path) {
    const auto slash = path.rfind('/');
    return slash == 0 ? std::string_view("/") : path.substr(0, slash);
}

std::string_view name(std::string_view path) {
    return path.substr(path.rfind('/') + 1);
}

bool WalkOrder::operator()(std::string_view a, std::string_view b) const noexcept {
    // "/" is its children's prefix without a separator of its own.
    if (a == "/" || b == "/") return a == "/" && b != "/";
    return std::ranges::lexicographical_compare(a, b, {}, rank, rank);
}

}  // namespace coordinator::zk_path

// Path: the names of znodes: "/", "/brokers/ids/1".
#pragma once

#include <string_view>

namespace coordinator::zk_path {

// Whether a node may have this path: "/" or components that are not empty, "." or "..", of
// UTF-8 text without control characters, U+D800 to U+F8FF, U+FFF0 and above. As Java's
// PathUtils, which looks at UTF-16 units, nothing outside the basic plane passes.
bool is_valid(std::string_view path);

// Whether it has a last component, as far as a create looks before it looks for the parent: what
// stands before the last slash may be anything.
bool has_name(std::string_view path);

// Of "/a/b" it is "/a", of "/a" and of "/" it is "/". Requires a '/' in the path.
std::string_view parent(std::string_view path);

// Of "/a/b" it is "b". Requires a '/' in the path.
std::string_view name(std::string_view path);

// Paths in the order of a walk: a node before its children, children by name.
struct WalkOrder {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const noexcept;
};

}  // namespace coordinator::zk_path

// Text: the string of a message, borrowed from a frame or owned.
//
//     request.group_id                      borrowed from the frame that was read
//     answer.error_message = "..."s         owned: a std::string was moved in
//     std::string(request.group_id)         what outlives the request is copied out
//
// A decoded message borrows, so decoding copies nothing; an answer that is built may
// borrow from the request it answers, because the frame lives until the answer is sent.
// What goes into a long-lived state is a std::string: Text is for messages only.
#pragma once

#include <compare>
#include <cstddef>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>

namespace wire {

class Text {
public:
    Text() noexcept = default;
    Text(std::string text) noexcept : owned_(std::move(text)), owns_(true) {}
    Text(std::string_view text) : owned_(text), owns_(true) {}
    Text(const char* text) : owned_(text), owns_(true) {}

    // Requires that `text` outlives this Text and every copy of it.
    static Text borrowed(std::string_view text) noexcept {
        Text made;
        made.borrowed_ = text;
        return made;
    }

    std::string_view view() const noexcept { return owns_ ? std::string_view(owned_) : borrowed_; }
    std::string str() const { return std::string(view()); }
    operator std::string_view() const noexcept { return view(); }

    bool empty() const noexcept { return view().empty(); }
    std::size_t size() const noexcept { return view().size(); }

    friend bool operator==(const Text& a, const Text& b) noexcept { return a.view() == b.view(); }
    friend auto operator<=>(const Text& a, const Text& b) noexcept { return a.view() <=> b.view(); }
    friend bool operator==(const Text& a, std::string_view b) noexcept { return a.view() == b; }
    friend bool operator==(const Text& a, const char* b) noexcept { return a.view() == b; }
    friend bool operator==(const Text& a, const std::string& b) noexcept { return a.view() == b; }

    friend std::ostream& operator<<(std::ostream& out, const Text& text) { return out << text.view(); }

private:
    std::string owned_;
    std::string_view borrowed_;
    bool owns_ = false;
};

}  // namespace wire

template <>
struct std::hash<wire::Text> {
    std::size_t operator()(const wire::Text& text) const noexcept {
        return std::hash<std::string_view>()(text.view());
    }
};

#include "broker/config/properties.h"

#include <cstdint>
#include <optional>

namespace broker {
namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\f';
}

void append_utf8(std::string& to, std::uint32_t code) {
    const auto put = [&](std::uint32_t byte) { to.push_back(static_cast<char>(byte)); };
    if (code < 0x80) {
        put(code);
    } else if (code < 0x800) {
        put(0xC0 | code >> 6);
        put(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
        put(0xE0 | code >> 12);
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    } else {
        put(0xF0 | code >> 18);
        put(0x80 | (code >> 12 & 0x3F));
        put(0x80 | (code >> 6 & 0x3F));
        put(0x80 | (code & 0x3F));
    }
}

// Length of the UTF-8 character that `text` begins with, or 0 when it begins with none.
std::size_t utf8_length(std::string_view text) {
    const auto byte = static_cast<unsigned char>(text[0]);
    const std::size_t length = byte < 0x80                   ? 1
                               : byte >= 0xC2 && byte < 0xE0 ? 2
                               : byte >= 0xE0 && byte < 0xF0 ? 3
                               : byte >= 0xF0 && byte < 0xF5 ? 4
                                                             : 0;
    if (length == 0 || length > text.size()) return 0;
    for (std::size_t i = 1; i < length; ++i) {
        if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) return 0;
    }
    return length;
}

std::string as_utf8(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t length = utf8_length(text);
        if (length == 0)
            append_utf8(out, static_cast<unsigned char>(text[0]));
        else
            out.append(text.substr(0, length));
        text.remove_prefix(length == 0 ? 1 : length);
    }
    return out;
}

// One assignment or comment, as long as it is: continuation lines are joined, escapes stay.
struct LogicalLine {
    std::string text;
    int number = 0;
};

class Lines {
public:
    explicit Lines(std::string_view text) : rest_(text) {}

    // The next line that is neither empty nor a comment.
    std::optional<LogicalLine> next() {
        while (!rest_.empty()) {
            std::string_view natural = take();
            LogicalLine line{std::string(natural), number_};
            if (natural.empty() || natural[0] == '#' || natural[0] == '!') continue;
            while (ends_in_odd_backslashes(line.text)) {
                line.text.pop_back();
                if (rest_.empty()) break;
                line.text += take();
            }
            return line;
        }
        return std::nullopt;
    }

private:
    // A natural line without its end and its leading blanks. Ends are \n, \r\n and \r.
    std::string_view take() {
        ++number_;
        const std::size_t end = std::min(rest_.find_first_of("\r\n"), rest_.size());
        std::string_view line = rest_.substr(0, end);
        rest_.remove_prefix(end);
        if (rest_.starts_with("\r\n"))
            rest_.remove_prefix(2);
        else if (!rest_.empty())
            rest_.remove_prefix(1);
        while (!line.empty() && is_blank(line.front())) line.remove_prefix(1);
        return line;
    }

    static bool ends_in_odd_backslashes(std::string_view line) {
        std::size_t count = 0;
        while (count < line.size() && line[line.size() - 1 - count] == '\\') ++count;
        return count % 2 == 1;
    }

    std::string_view rest_;
    int number_ = 0;
};

std::optional<std::uint32_t> hex4(std::string_view digits) {
    if (digits.size() < 4) return std::nullopt;
    std::uint32_t code = 0;
    for (const char c : digits.substr(0, 4)) {
        const int digit = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (digit < 0) return std::nullopt;
        code = code << 4 | static_cast<std::uint32_t>(digit);
    }
    return code;
}

// None: a \u without its four digits.
std::optional<std::string> unescaped(std::string_view text) {
    std::string out;
    std::uint32_t high = 0;  // First half of a surrogate pair, if the character before was one.
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] != '\\' || i + 1 == text.size()) {
            if (text[i] != '\\') out.push_back(text[i]);
            high = 0;
            continue;
        }
        const char c = text[++i];
        if (c != 'u') {
            out.push_back(c == 't'   ? '\t'
                          : c == 'n' ? '\n'
                          : c == 'r' ? '\r'
                          : c == 'f' ? '\f'
                                     : c);
            high = 0;
            continue;
        }
        const std::optional<std::uint32_t> code = hex4(text.substr(i + 1));
        if (!code) return std::nullopt;
        i += 4;
        if (high != 0 && *code >= 0xDC00 && *code < 0xE000) {
            out.resize(out.size() - 3);
            append_utf8(out, 0x10000 + ((high - 0xD800) << 10) + (*code - 0xDC00));
            high = 0;
        } else {
            append_utf8(out, *code);
            high = *code >= 0xD800 && *code < 0xDC00 ? *code : 0;
        }
    }
    return out;
}

}  // namespace

base::Result<std::vector<Property>, PropertiesFault> parse_properties(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);  // An editor's byte order mark.
    std::vector<Property> properties;
    Lines lines(text);
    while (const std::optional<LogicalLine> line = lines.next()) {
        const std::string_view whole = line->text;
        std::size_t end = 0;  // Of the key: the first separator that is not escaped.
        while (end < whole.size() && whole[end] != '=' && whole[end] != ':' &&
               !is_blank(whole[end])) {
            end += whole[end] == '\\' ? 2 : 1;
        }
        end = std::min(end, whole.size());
        std::size_t begin = end;  // Of the value: after blanks, one = or :, and blanks.
        while (begin < whole.size() && is_blank(whole[begin])) ++begin;
        if (begin < whole.size() && (whole[begin] == '=' || whole[begin] == ':')) ++begin;
        while (begin < whole.size() && is_blank(whole[begin])) ++begin;

        const std::optional<std::string> key = unescaped(whole.substr(0, end));
        const std::optional<std::string> value = unescaped(whole.substr(begin));
        if (!key || !value) {
            return base::Unexpected(
                PropertiesFault{line->number, "\\u wants four hexadecimal digits behind it"});
        }
        properties.push_back({as_utf8(*key), as_utf8(*value), line->number});
    }
    return properties;
}

}  // namespace broker

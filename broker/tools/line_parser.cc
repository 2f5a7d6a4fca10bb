#include "broker/tools/line_parser.h"

namespace broker {
namespace {

bool is_true(const std::string& text) {
    return text == "true" || text == "TRUE" || text == "True";
}

base::Unexpected<std::string> bad(std::string sentence) {
    return base::Unexpected(std::move(sentence));
}

}  // namespace

base::Result<LineParser, std::string> LineParser::make(
    const std::map<std::string, std::string>& properties) {
    LineParser parser;
    for (const auto& [key, value] : properties) {
        if (key == "parse.key") parser.parse_key_ = is_true(value);
        if (key == "parse.headers") parser.parse_headers_ = is_true(value);
        if (key == "ignore.error") parser.ignore_error_ = is_true(value);
        if (key == "key.separator") parser.key_separator_ = value;
        if (key == "headers.delimiter") parser.headers_delimiter_ = value;
        if (key == "headers.separator") parser.headers_separator_ = value;
        if (key == "headers.key.separator") parser.header_key_separator_ = value;
        if (key == "null.marker") parser.null_marker_ = value;
    }
    const bool has_empty = parser.key_separator_.empty() || parser.headers_delimiter_.empty() ||
                           parser.headers_separator_.empty() ||
                           parser.header_key_separator_.empty();
    if (has_empty) return bad("a separator may not be empty");
    if (parser.headers_delimiter_ == parser.headers_separator_) {
        return bad("headers.delimiter and headers.separator may not be equal");
    }
    if (parser.headers_separator_ == parser.header_key_separator_) {
        return bad("headers.separator and headers.key.separator may not be equal");
    }
    return parser;
}

std::optional<records::Bytes> LineParser::bytes_or_null(std::string_view text) const {
    if (null_marker_ && text == *null_marker_) return std::nullopt;
    return records::bytes_of(text);
}

std::optional<std::string_view> LineParser::take(std::string_view& rest,
                                                 const std::string& delimiter,
                                                 std::string_view name, std::int64_t number,
                                                 std::string_view line, std::string& fault) const {
    const auto at = rest.find(delimiter);
    if (at == std::string_view::npos) {
        if (!ignore_error_) {
            fault = "No " + std::string(name) + " found on line number " + std::to_string(number) +
                    ": '" + std::string(line) + "'";
        }
        return std::nullopt;
    }
    const auto taken = rest.substr(0, at);
    rest.remove_prefix(at + delimiter.size());
    return taken;
}

base::Result<records::NewRecord, std::string> LineParser::parse(std::string_view line,
                                                                std::int64_t number) {
    records::NewRecord record;
    auto rest = line;
    std::string fault;
    if (parse_headers_) {
        headers_.clear();
        const auto text = take(rest, headers_delimiter_, "headers delimiter", number, line, fault);
        if (!fault.empty()) return bad(std::move(fault));
        auto left = text.value_or(std::string_view());
        if (null_marker_ && left == *null_marker_) left = {};
        while (!left.empty()) {
            const auto end = left.find(headers_separator_);
            const auto pair = left.substr(0, end);
            left = end == std::string_view::npos ? std::string_view()
                                                 : left.substr(end + headers_separator_.size());
            const auto middle = pair.find(header_key_separator_);
            if (middle == std::string_view::npos) {
                if (ignore_error_) {
                    headers_.push_back({pair, std::nullopt});
                    continue;
                }
                return bad("No header key separator found in pair '" + std::string(pair) +
                           "' on line number " + std::to_string(number));
            }
            headers_.push_back({pair.substr(0, middle),
                                bytes_or_null(pair.substr(middle + header_key_separator_.size()))});
        }
        record.headers = headers_;
    }
    if (parse_key_) {
        const auto key = take(rest, key_separator_, "key separator", number, line, fault);
        if (!fault.empty()) return bad(std::move(fault));
        if (key) record.key = bytes_or_null(*key);
    }
    record.value = bytes_or_null(rest);
    return record;
}

}  // namespace broker

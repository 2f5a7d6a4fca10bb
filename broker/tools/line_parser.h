// LineParser: how the console producer makes a record of a line.
//
//     headers.delimiter          \t             headers:  key:value,key:value
//     h1:a,h2:b \t key \t value                 parse.headers, parse.key
//
// Borrowed views: what parse() gives lies in the line.
#pragma once

#include "protocol/base/result.h"
#include "protocol/records/batch_builder.h"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

class LineParser {
public:
    // The reader properties of Kafka's LineMessageReader: parse.key, key.separator,
    // parse.headers, headers.delimiter, headers.separator, headers.key.separator,
    // ignore.error, null.marker. The fault is a sentence.
    [[nodiscard]] static base::Result<LineParser, std::string> make(
        const std::map<std::string, std::string>& properties);

    // The record of line `number`, without a timestamp; valid until the next call and while
    // `line` is. The fault is Kafka's sentence.
    [[nodiscard]] base::Result<records::NewRecord, std::string> parse(std::string_view line,
                                                                      std::int64_t number);

private:
    std::optional<std::string_view> take(std::string_view& rest, const std::string& delimiter,
                                         std::string_view name, std::int64_t number,
                                         std::string_view line, std::string& fault) const;
    std::optional<records::Bytes> bytes_or_null(std::string_view text) const;

    bool parse_key_ = false;
    bool parse_headers_ = false;
    bool ignore_error_ = false;
    std::string key_separator_ = "\t";
    std::string headers_delimiter_ = "\t";
    std::string headers_separator_ = ",";
    std::string header_key_separator_ = ":";
    std::optional<std::string> null_marker_;
    std::vector<records::Header> headers_;
};

}  // namespace broker

// records_probe: reads and writes record batches and message sets for programs that want a
// second opinion on them (compat-tests/records).
//
// Commands on stdin, one a line, words divided by spaces. Bytes are in hex; no bytes are ".",
// null is "-".
//
//     read HEX               entries of any format -> their records, then "end" or "fault"
//     batch CODEC COUNT      COUNT records follow  -> one batch, in hex
//     messages MAGIC HEX     batches               -> messages of format MAGIC, in hex
//     to_batch CODEC HEX     messages              -> one batch, in hex
//     recompress CODEC HEX   batch                 -> the same in another codec, in hex
//
// A record is a line: OFFSET TIMESTAMP KEY VALUE [HEADER_KEY VALUE]...
#include "protocol/records/convert.h"

#include <iostream>
#include <sstream>
#include <string>

using namespace records;

namespace {

std::string hex(Bytes bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    if (bytes.empty()) return ".";
    std::string text;
    for (const auto byte : bytes) {
        text += digits[std::to_integer<unsigned>(byte) >> 4];
        text += digits[std::to_integer<unsigned>(byte) & 15];
    }
    return text;
}

std::string hex_or_null(const std::optional<Bytes>& bytes) {
    return bytes ? hex(*bytes) : "-";
}

std::vector<std::byte> bytes_from(const std::string& text) {
    std::vector<std::byte> bytes;
    if (text == ".") return bytes;
    for (std::size_t at = 0; at + 1 < text.size(); at += 2) {
        bytes.push_back(static_cast<std::byte>(std::stoul(text.substr(at, 2), nullptr, 16)));
    }
    return bytes;
}

Codec codec_from(const std::string& name) {
    for (const auto codec : {Codec::gzip, Codec::snappy, Codec::lz4, Codec::zstd}) {
        if (name_of(codec) == name) return codec;
    }
    return Codec::none;
}

void show(const Record& record) {
    std::cout << record.offset.value() << ' ' << record.timestamp << ' ' << hex_or_null(record.key)
              << ' ' << hex_or_null(record.value);
    for (const Header& header : record.headers) {
        std::cout << ' ' << hex(bytes_of(header.key)) << ' ' << hex_or_null(header.value);
    }
    std::cout << '\n';
}

// The records of the entries, until one is not right.
bool show_entries(Bytes bytes, Inflater& inflater) {
    while (!bytes.empty()) {
        const auto entry = read_entry(bytes);
        if (!entry) return false;
        if (entry->magic == batch_format::magic) {
            auto walk = RecordWalk::open(*Batch::view(bytes), inflater);
            if (!walk) return false;
            while (const Record* record = walk->next()) show(*record);
            if (walk->fault()) return false;
        } else {
            auto walk = MessageWalk::open(*Message::read(bytes), inflater);
            if (!walk) return false;
            while (const Record* record = walk->next()) show(*record);
        }
        bytes = bytes.subspan(entry->size);
    }
    return true;
}

std::vector<std::byte> build(Codec codec, std::size_t count) {
    BatchBuilder builder({.codec = codec});
    for (std::string line; count > 0 && std::getline(std::cin, line); --count) {
        std::istringstream words(line);
        std::int64_t offset = 0, timestamp = 0;
        std::string key, value;
        words >> offset >> timestamp >> key >> value;
        const auto key_bytes = bytes_from(key), value_bytes = bytes_from(value);
        std::vector<std::pair<std::vector<std::byte>, std::vector<std::byte>>> fields;
        std::vector<bool> nulls;
        for (std::string name, content; words >> name >> content;) {
            fields.emplace_back(bytes_from(name), bytes_from(content));
            nulls.push_back(content == "-");
        }
        std::vector<Header> headers;
        for (std::size_t i = 0; i < fields.size(); ++i) {
            Header header{text_of(fields[i].first), std::nullopt};
            if (!nulls[i]) header.value = fields[i].second;
            headers.push_back(header);
        }
        NewRecord record{.timestamp = timestamp, .headers = headers};
        if (key != "-") record.key = key_bytes;
        if (value != "-") record.value = value_bytes;
        builder.append_at(base::Offset(offset), record);
    }
    return builder.finish();
}

void answer(const base::Result<void, ConvertFault>& done, const std::vector<std::byte>& out) {
    std::cout << (done ? hex(out) : std::string("fault")) << '\n';
}

}  // namespace

int main() {
    ConvertScratch scratch;
    for (std::string line; std::getline(std::cin, line);) {
        std::istringstream words(line);
        std::string command, first, second;
        words >> command >> first >> second;
        std::vector<std::byte> out;
        if (command == "read") {
            std::cout << (show_entries(bytes_from(first), scratch.inflater) ? "end\n" : "fault\n");
        } else if (command == "batch") {
            std::cout << hex(build(codec_from(first), std::stoul(second))) << '\n';
        } else if (command == "messages") {
            const auto magic = static_cast<std::int8_t>(first == "1");
            const auto done =
                to_messages(bytes_from(second), magic, base::Offset(0), {}, scratch, out);
            std::cout << (done ? hex(out) : std::string("fault")) << '\n';
        } else if (command == "to_batch") {
            answer(to_batch(bytes_from(second), codec_from(first), std::nullopt, {}, scratch, out),
                   out);
        } else if (command == "recompress") {
            const auto bytes = bytes_from(second);
            const auto batch = Batch::read(bytes);
            if (!batch) return 1;
            answer(recompress(*batch, codec_from(first), std::nullopt, {}, scratch, out), out);
        } else {
            return 1;
        }
        std::cout << std::flush;
    }
    return 0;
}

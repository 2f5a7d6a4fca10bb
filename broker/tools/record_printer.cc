#include "broker/tools/record_printer.h"

#include "protocol/wire/big_endian.h"

#include <array>
#include <bit>
#include <charconv>

namespace broker {
namespace {

template <class T>
void append_integer(records::Bytes bytes, std::string& out) {
    if (bytes.size() == sizeof(T)) {
        out += std::to_string(wire::load<T>(bytes, 0));
    } else {
        out += "(" + std::to_string(bytes.size()) + " bytes)";
    }
}

}  // namespace

bool RecordPrinter::parse_form(std::string name, Form& form) {
    if (const auto dot = name.rfind('.'); dot != std::string::npos) name.erase(0, dot + 1);
    static const std::map<std::string, Form> forms = {
        {"StringDeserializer", Form::text},    {"ByteArrayDeserializer", Form::text},
        {"BytesDeserializer", Form::text},     {"ShortDeserializer", Form::int16},
        {"IntegerDeserializer", Form::int32},  {"LongDeserializer", Form::int64},
        {"DoubleDeserializer", Form::float64},
    };
    const auto found = forms.find(name);
    if (found == forms.end()) return false;
    form = found->second;
    return true;
}

base::Result<RecordPrinter, std::string> RecordPrinter::make(
    const std::map<std::string, std::string>& properties) {
    RecordPrinter printer;
    for (const auto& [key, value] : properties) {
        const bool is_true = value == "true" || value == "True" || value == "TRUE";
        if (key == "print.timestamp") printer.timestamp_ = is_true;
        if (key == "print.partition") printer.partition_ = is_true;
        if (key == "print.offset") printer.offset_ = is_true;
        if (key == "print.headers") printer.headers_ = is_true;
        if (key == "print.key") printer.key_ = is_true;
        if (key == "print.value") printer.value_ = is_true;
        if (key == "key.separator") printer.key_separator_ = value;
        if (key == "line.separator") printer.line_separator_ = value;
        if (key == "headers.separator") printer.headers_separator_ = value;
        if (key == "null.literal") printer.null_literal_ = value;
        const bool is_known =
            (key != "key.deserializer" || parse_form(value, printer.key_form_)) &&
            (key != "value.deserializer" || parse_form(value, printer.value_form_));
        if (!is_known)
            return base::Unexpected("deserializer " + value +
                                    " is a Java class that is not known here");
    }
    return printer;
}

void RecordPrinter::append(const std::optional<records::Bytes>& bytes, Form form,
                           std::string& out) const {
    if (!bytes) {
        out += null_literal_;
        return;
    }
    switch (form) {
        case Form::text:
            out += records::text_of(*bytes);
            return;
        case Form::int16:
            return append_integer<std::int16_t>(*bytes, out);
        case Form::int32:
            return append_integer<std::int32_t>(*bytes, out);
        case Form::int64:
            return append_integer<std::int64_t>(*bytes, out);
        case Form::float64:
            if (bytes->size() != sizeof(double)) return append_integer<std::int64_t>(*bytes, out);
            std::array<char, 32> digits{};
            const auto number = std::bit_cast<double>(wire::load<std::int64_t>(*bytes, 0));
            out.append(digits.data(),
                       std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
            return;
    }
}

void RecordPrinter::print(const FetchedRecord& fetched, std::string& out) const {
    const auto& record = fetched.record;
    const auto begin = out.size();
    const auto separate = [&] {
        if (out.size() > begin) out += key_separator_;
    };
    if (timestamp_) {
        if (record.timestamp == records::no_timestamp) {
            out += "NO_TIMESTAMP";
        } else {
            out += fetched.is_append_time ? "LogAppendTime:" : "CreateTime:";
            out += std::to_string(record.timestamp);
        }
    }
    if (partition_) {
        separate();
        out += "Partition:" + std::to_string(fetched.partition.value());
    }
    if (offset_) {
        separate();
        out += "Offset:" + std::to_string(record.offset.value());
    }
    if (headers_) {
        separate();
        if (record.headers.count() == 0) out += "NO_HEADERS";
        bool is_first = true;
        for (const auto& header : record.headers) {
            if (!is_first) out += headers_separator_;
            is_first = false;
            out += header.key;
            out += ':';
            append(header.value, Form::text, out);
        }
    }
    if (key_) {
        separate();
        append(record.key, key_form_, out);
    }
    if (value_) {
        if (out.size() > begin || key_) out += key_separator_;
        append(record.value, value_form_, out);
    }
    out += line_separator_;
}

}  // namespace broker

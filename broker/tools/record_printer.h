// RecordPrinter: how the console consumer prints a record, by Kafka's formatter properties.
//
//     CreateTime:17…\tPartition:0\tOffset:5\th1:a,h2:b\tkey\tvalue\n
#pragma once

#include "broker/client/fetcher.h"
#include "protocol/base/result.h"

#include <map>
#include <string>

namespace broker {

class RecordPrinter {
public:
    // print.timestamp, print.partition, print.offset, print.headers, print.key, print.value,
    // key.separator, line.separator, headers.separator, null.literal, and key.deserializer,
    // value.deserializer (of Kafka's own: String, ByteArray, Short, Integer, Long, Double).
    // The fault is a sentence.
    [[nodiscard]] static base::Result<RecordPrinter, std::string> make(
        const std::map<std::string, std::string>& properties);

    void print(const FetchedRecord& fetched, std::string& out) const;

private:
    enum class Form { text, int16, int32, int64, float64 };

    static bool parse_form(std::string name, Form& form);
    void append(const std::optional<records::Bytes>& bytes, Form form, std::string& out) const;

    bool timestamp_ = false;
    bool partition_ = false;
    bool offset_ = false;
    bool headers_ = false;
    bool key_ = false;
    bool value_ = true;
    std::string key_separator_ = "\t";
    std::string line_separator_ = "\n";
    std::string headers_separator_ = ",";
    std::string null_literal_ = "null";
    Form key_form_ = Form::text;
    Form value_form_ = Form::text;
};

}  // namespace broker

#include "broker/tools/client_properties.h"

#include <algorithm>

namespace broker {
namespace {

ToolError invalid(const std::string& key, const std::string& value) {
    return ToolError("Invalid value " + value + " for configuration " + key,
                     "org.apache.kafka.common.config.ConfigException");
}

// Puts the number of `key` into `into`, when it is there.
template <class T>
void take(const ClientProperties& properties, const std::string& key, T& into,
          std::int64_t least = 0) {
    const auto found = properties.find(key);
    if (found == properties.end()) return;
    const auto number = to_integer(found->second);
    if (!number || *number < least) throw invalid(key, found->second);
    into = T(*number);
}

}  // namespace

records::Codec parse_codec(const std::string& name) {
    for (const auto codec : {records::Codec::none, records::Codec::gzip, records::Codec::snappy,
                             records::Codec::lz4, records::Codec::zstd}) {
        if (records::name_of(codec) == name) return codec;
    }
    throw ToolError("Unknown compression name: " + name, "java.lang.IllegalArgumentException");
}

void configure(const ClientProperties& properties, ProducerSettings& settings) {
    if (const auto acks = properties.find("acks"); acks != properties.end()) {
        const auto& text = acks->second;
        if (text != "all" && text != "-1" && text != "1" && text != "0")
            throw invalid("acks", text);
        settings.acks = text == "all" || text == "-1" ? std::int16_t{-1}
                                                      : static_cast<std::int16_t>(text[0] - '0');
    }
    const auto idempotence = properties.find("enable.idempotence");
    if (idempotence != properties.end()) settings.idempotent = idempotence->second == "true";
    if (const auto codec = properties.find("compression.type"); codec != properties.end()) {
        settings.codec = parse_codec(codec->second);
    }
    if (settings.codec != records::Codec::none) {
        const auto key = "compression." + std::string(records::name_of(settings.codec)) + ".level";
        if (const auto level = properties.find(key); level != properties.end()) {
            const auto number = to_integer(level->second);
            if (!number) throw invalid(key, level->second);
            settings.level = static_cast<int>(*number);
        }
    }
    if (properties.contains("batch.size")) {
        take(properties, "batch.size", settings.batch_bytes);
        settings.grown_batch_bytes = settings.batch_bytes;
    }
    std::int64_t milliseconds = settings.linger.count();
    take(properties, "linger.ms", milliseconds);
    settings.linger = std::chrono::milliseconds(milliseconds);
    milliseconds = settings.max_block.count();
    take(properties, "max.block.ms", milliseconds);
    settings.max_block = std::chrono::milliseconds(milliseconds);
    milliseconds = settings.delivery_timeout.count();
    take(properties, "delivery.timeout.ms", milliseconds);
    settings.delivery_timeout = std::chrono::milliseconds(milliseconds);
    milliseconds = settings.request_timeout.count();
    take(properties, "request.timeout.ms", milliseconds);
    settings.request_timeout = std::chrono::milliseconds(milliseconds);
    take(properties, "buffer.memory", settings.buffer_bytes);
    take(properties, "retries", settings.retries);
}

void configure(const ClientProperties& properties, FetchSettings& settings) {
    take(properties, "fetch.min.bytes", settings.min_bytes);
    take(properties, "fetch.max.bytes", settings.max_bytes);
    take(properties, "fetch.max.wait.ms", settings.max_wait_ms);
    take(properties, "max.partition.fetch.bytes", settings.partition_max_bytes);
    if (const auto rack = properties.find("client.rack"); rack != properties.end())
        settings.rack = rack->second;
    if (const auto level = properties.find("isolation.level"); level != properties.end()) {
        if (level->second != "read_committed" && level->second != "read_uncommitted") {
            throw invalid("isolation.level", level->second);
        }
        settings.read_committed = level->second == "read_committed";
    }
    if (const auto reset = properties.find("auto.offset.reset"); reset != properties.end()) {
        if (reset->second == "earliest" || reset->second == "smallest") {
            settings.reset = earliest_timestamp;
        } else if (reset->second == "latest" || reset->second == "largest") {
            settings.reset = latest_timestamp;
        } else if (reset->second == "none") {
            settings.reset.reset();
        } else {
            throw invalid("auto.offset.reset", reset->second);
        }
    }
}

}  // namespace broker

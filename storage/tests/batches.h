// batches: record batches for tests, small and told apart by their values.
#pragma once

#include "protocol/records/batch_builder.h"

#include <cstdint>
#include <string>
#include <vector>

namespace test {

struct BatchOf {
    std::int32_t count = 1;
    std::int64_t timestamp = 1000;  // Of the first record; each next is one later.
    std::int64_t producer = -1;
    std::int16_t epoch = 0;
    std::int32_t sequence = 0;
    bool transactional = false;
    std::size_t value_bytes = 10;
    records::Codec codec = records::Codec::none;
    std::string key = {};
    base::Offset base = base::Offset(0);
    std::int32_t leader_epoch = -1;
};

inline std::vector<std::byte> batch(const BatchOf& of = {}) {
    records::BatchSettings settings{.codec = of.codec,
                                    .base_offset = of.base,
                                    .leader_epoch = base::LeaderEpoch(of.leader_epoch)};
    if (of.producer >= 0) {
        settings.producer_id = base::ProducerId(of.producer);
        settings.producer_epoch = of.epoch;
        settings.base_sequence = of.sequence;
        settings.transactional = of.transactional;
    }
    records::BatchBuilder builder(settings);
    const std::string value = of.key + std::string(of.value_bytes, 'v');
    for (std::int32_t i = 0; i < of.count; ++i) {
        builder.append({.timestamp = of.timestamp + i, .value = std::as_bytes(std::span(value))});
    }
    return builder.finish();
}

inline std::vector<std::byte> marker(std::int64_t producer, bool commit,
                                     std::int32_t coordinator_epoch = 0, std::int16_t epoch = 0,
                                     std::int64_t timestamp = 1000) {
    return records::build_marker(
        {.type = commit ? records::ControlType::commit : records::ControlType::abort,
         .producer_id = base::ProducerId(producer),
         .producer_epoch = epoch,
         .coordinator_epoch = coordinator_epoch,
         .timestamp = timestamp});
}

}  // namespace test

// Producer snapshot: the producer state of a log up to an offset, in a file.
//
//     NNN.snapshot, where NNN is the offset it holds good up to, exclusive
//
//     at  size  field
//      0     2  version               1
//      2     4  crc                   CRC-32C of everything from byte 6 on
//      6     4  count
//     10        entries, 46 bytes each:
//            8  producer_id
//            2  producer_epoch
//            4  last_sequence
//            8  last_offset           of the producer's last batch; -1 if none is remembered
//            4  offset_delta          last_offset minus the first offset of that batch
//            8  timestamp
//            4  coordinator_epoch     -1 for none
//            8  transaction_start     -1 when no transaction is open
//
// Valid if and only if version and crc are right, and the count is what the bytes hold.
//
// Source: facts/kafka.md §2.2.
#pragma once

#include "storage/producers.h"

#include <cstddef>
#include <vector>

namespace storage {

std::vector<std::byte> encode_snapshot(std::span<const ProducerFacts> facts);

// Nothing when it is not valid.
std::optional<std::vector<ProducerFacts>> decode_snapshot(std::span<const std::byte> bytes);

}  // namespace storage

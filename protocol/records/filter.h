// filter: an entry of a log without some of its records, as compaction leaves it.
//
// Offsets, producer fields, leader epoch, codec and flags stay as they were; counts, sizes,
// checksums and the largest timestamp are made anew. An entry that loses nothing stays the same
// bytes. A batch that keeps tombstones for the first time gets its delete horizon: batch_format.h.
//
// Functions append to `out` and leave it as it was when they fail.
// Threads: none. Limits: an entry inflates to at most filtered_bytes_max.
#pragma once

#include "protocol/records/convert.h"

#include <functional>

namespace records {

// What is in a log was let in once, whatever the limits are now.
constexpr std::size_t filtered_bytes_max = std::size_t{1} << 30;

// Whether a record stays. Asked once for each, in order.
using Keeps = std::function<bool(const Record&)>;

struct BatchRetention {
    // For a batch that keeps a tombstone, or has_marker, and has no delete horizon yet; ms.
    std::int64_t delete_horizon = no_timestamp;
    bool has_marker = false;    // A marker of a transaction of which nothing else is left.
    bool keeps_header = false;  // Stays, empty, if no record does: it holds a producer's sequence.
};

// How many records are left. Faults: corrupt, too_large.
[[nodiscard]] base::Result<std::size_t, ConvertFault> filter_batch(const Batch& batch,
                                                                   const BatchRetention& retention,
                                                                   const Keeps& keeps,
                                                                   ConvertScratch& scratch,
                                                                   std::vector<std::byte>& out);

// The same for a message of format 0 or 1. A wrapper with fewer messages is a new wrapper.
[[nodiscard]] base::Result<std::size_t, ConvertFault> filter_message(const Message& message,
                                                                     const Keeps& keeps,
                                                                     ConvertScratch& scratch,
                                                                     std::vector<std::byte>& out);

// Only the header of a batch: no records, everything else that a reader of offsets and producers
// goes by.
void append_empty(const Batch& batch, std::vector<std::byte>& out);

}  // namespace records

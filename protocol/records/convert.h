// Conversion of batches and messages from one format or codec to another.
//
//     to_batch         messages of format 0 or 1  ->  one batch       (a Produce of an old client)
//     to_messages      batches                    ->  messages        (a Fetch of an old client)
//     recompress       batch                      ->  batch, another codec (compression.type)
//
// Functions append to `out` and leave it as it was when they fail.
//
// Limits: inflated bytes per batch as the caller says. What comes out is at most a small
// factor more than what was inflated: formats 0 and 1 take 26 and 34 bytes a message where a
// record takes 7.
#pragma once

#include "protocol/records/batch_builder.h"
#include "protocol/records/message_set.h"

namespace records {

enum class ConvertFault {
    corrupt,       // The input is not valid in its own format.
    too_large,     // It inflates to more than the cap, or the result has more than 2^31 - 1 bytes.
    not_possible,  // zstd content for a client that cannot read it.
};

// What conversions work with; one per thread, reused.
struct ConvertScratch {
    Inflater inflater;
    Deflater deflater;
    std::vector<std::byte> buffer;
};

struct ConvertLimits {
    std::size_t inflated_bytes_max = records::inflated_bytes_max;
};

// Make one batch of all messages of `messages`: no producer, offsets 0, 1, 2 ..., keys, values
// and timestamps kept (-1 where format 0 has none). A LogAppendTime wrapper's timestamp
// becomes that of its records. Bytes of a message that is cut short at the end are passed over,
// as Kafka does. Faults: corrupt (also when there is no message), too_large.
[[nodiscard]] base::Result<void, ConvertFault> to_batch(Bytes messages, Codec codec,
                                                        std::optional<int> level,
                                                        const ConvertLimits& limits,
                                                        ConvertScratch& scratch,
                                                        std::vector<std::byte>& out);

// Messages of format `magic` (0 or 1) for a client that fetches from `fetch_offset`, made of
// `entries` of any format; a last entry that is cut short is passed over, and entries of format
// `magic` or below are copied as they are. Of batches: control batches, headers and producer
// fields are dropped; uncompressed records below `fetch_offset` are dropped too; a
// compressed batch becomes one wrapper with all its records and its codec.
// Nothing may come out: the caller then answers with partial_entry(), so that the client
// does not ask the same for ever. Returns how many records were converted.
// Faults: corrupt, too_large, not_possible.
[[nodiscard]] base::Result<std::int64_t, ConvertFault> to_messages(Bytes entries, std::int8_t magic,
                                                                   base::Offset fetch_offset,
                                                                   const ConvertLimits& limits,
                                                                   ConvertScratch& scratch,
                                                                   std::vector<std::byte>& out);

// Put the first 12 bytes of a message of `bytes` bytes that is not there at the end of `out`:
// old clients take it for one that the fetch size has cut, and go on asking.
void partial_entry(std::size_t bytes, std::vector<std::byte>& out);

// The same batch with another codec: producer id, epoch, sequence, flags, timestamps, offsets
// and headers kept. Faults: corrupt, too_large.
[[nodiscard]] base::Result<void, ConvertFault> recompress(const Batch& batch, Codec codec,
                                                          std::optional<int> level,
                                                          const ConvertLimits& limits,
                                                          ConvertScratch& scratch,
                                                          std::vector<std::byte>& out);

// The core of recompress(): the batch of `batch`'s header around `records`, which are inflated.
// Faults: too_large.
[[nodiscard]] base::Result<void, ConvertFault> with_codec(const Batch& batch, Bytes records,
                                                          Codec codec, std::optional<int> level,
                                                          Deflater& deflater,
                                                          std::vector<std::byte>& out);

}  // namespace records

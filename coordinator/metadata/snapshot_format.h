// Snapshot format: the files `milena-metadata-snapshot.N`, N being the zxid of the last
// transaction that is in it, in 20 digits. Integers are big-endian, varints and strings as
// in Kafka's flexible messages.
//
// A snapshot is a header and blocks:
//
//     at  size  field
//      0     8  magic            "MILENAMS"
//      8     4  version          1
//     12    16  tree_id          as in the journal's segments
//     28     8  zxid             as in the name
//     36     8  last_session     the highest session id ever given
//     44     4  crc              CRC-32C of bytes 0 to 43
//     48        blocks
//
// A block:
//
//     at  size  field
//      0     4  crc              CRC-32C of everything behind it
//      4     4  length           bytes behind this field
//      8     1  type             1 sessions, 2 nodes, 3 end
//      9        content
//
//     sessions  count varint, then that many: id int64, timeout_ms int32, password 16 bytes
//     nodes     count varint, then that many, parents before their children, "/" first:
//               path string, data bytes?, czxid, mzxid, pzxid, ctime, mtime int64,
//               version, aversion, children_created int32, kind int8, owner_or_ttl int64,
//               acl (as in journal_format.h)
//     end       sessions int64, nodes int64: how many there were
//
// A snapshot is valid if and only if
//   - the header's magic, version and crc are right, and zxid is that of the name
//   - each block has 1 <= length <= block_bytes_max, lies in the file, its crc matches, and
//     it decodes with nothing left over
//   - the last block is an end block, the only one; its counts are right; the file ends there
//   - the nodes make a tree, and each ephemeral's owner is among the sessions
//
// It is written under another name and renamed when it is durable, so a snapshot that is not
// valid was damaged, and the one before it is used with the journal since then.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coordinator::snapshot_format {

constexpr std::string_view name_prefix = "milena-metadata-snapshot.";
constexpr std::string_view unfinished_name = "milena-metadata-snapshot.unfinished";
constexpr std::size_t name_digits = 20;

constexpr std::string_view magic = "MILENAMS";
constexpr std::int32_t version = 1;

constexpr std::size_t version_at = 8;
constexpr std::size_t tree_id_at = 12;
constexpr std::size_t zxid_at = 28;
constexpr std::size_t last_session_at = 36;
constexpr std::size_t header_crc_at = 44;
constexpr std::size_t header_bytes = 48;

constexpr std::size_t block_crc_at = 0;
constexpr std::size_t block_length_at = 4;
constexpr std::size_t block_type_at = 8;
constexpr std::size_t block_content_at = 9;
constexpr std::size_t block_bytes_max = std::size_t{64} << 20;

enum class BlockType : std::int8_t { sessions = 1, nodes = 2, end = 3 };

}  // namespace coordinator::snapshot_format

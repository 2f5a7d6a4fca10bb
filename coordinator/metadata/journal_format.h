// Journal format: the files `milena-metadata-journal.N`, N being the zxid of the first
// transaction in it, in 20 digits. Integers are big-endian, varints and strings as in
// Kafka's flexible messages.
//
// A segment is a header and entries:
//
//     at  size  field
//      0     8  magic            "MILENAMJ"
//      8     4  version          1
//     12    16  tree_id          drawn when the tree was made; the same in all of its files
//     28     8  first_zxid       of the first transaction, as in the name
//     36     4  crc              CRC-32C of bytes 0 to 35
//     40        entries
//
// An entry:
//
//     at  size  field
//      0     4  crc              CRC-32C of everything behind it
//      4     4  length           bytes behind this field
//      8     8  synced_zxid      all transactions up to this one were durable when the entry
//                                was written
//     16        transaction      nothing: the entry is a mark, which only says synced_zxid
//
// A transaction:
//
//     zxid int64, time_ms int64, session int64, count varint, then that many changes:
//       type int8
//       1 created          path string, data bytes?, kind int8, ttl_ms int64, acl
//       2 deleted          path string
//       3 data set         path string, data bytes?
//       4 acl set          path string, acl
//       5 session created  timeout_ms int32, password 16 bytes
//       6 session closed
//     acl: count varint, then that many: permissions int32, scheme string, id string
//     bytes?: length + 1 varint, 0 for null
//
// A segment that is not the last goes on in the next one without a gap; half a mark may stand
// at its end, and one that is nothing but a header is passed over.
//
// A segment is valid if and only if
//   - the header's magic, version and crc are right, and first_zxid is that of the name
//   - each entry has 8 <= length <= entry_bytes_max, lies in the file, and its crc matches
//   - each transaction decodes, nothing is left over of its entry, its zxid is that of the
//     transaction before it plus one (first_zxid for the first), and it can be applied
//   - nothing but zeros follows the last entry: room that was taken in advance
//
// What a crash may leave: an invalid entry in the last segment behind which no valid entry,
// and no snapshot, says that its zxid was durable: it is cut, with all behind it. And a last
// segment without a valid header in which no valid entry says that anything of it was durable:
// it is removed. Anything else is damage, and nothing is cut. synced_zxid is what tells the two
// apart, because a crash may keep later blocks of a write and lose earlier ones.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace coordinator::journal_format {

constexpr std::string_view family = "milena-metadata-";  // All files of a tree begin so.
constexpr std::string_view name_prefix = "milena-metadata-journal.";
constexpr std::string_view lock_name = "milena-metadata-journal.lock";
constexpr std::size_t name_digits = 20;

constexpr std::string_view magic = "MILENAMJ";
constexpr std::int32_t version = 1;

constexpr std::size_t version_at = 8;
constexpr std::size_t tree_id_at = 12;
constexpr std::size_t first_zxid_at = 28;
constexpr std::size_t header_crc_at = 36;
constexpr std::size_t header_bytes = 40;

constexpr std::size_t entry_crc_at = 0;
constexpr std::size_t entry_length_at = 4;
constexpr std::size_t entry_synced_zxid_at = 8;
constexpr std::size_t entry_transaction_at = 16;
constexpr std::size_t entry_length_min = 8;
constexpr std::size_t entry_bytes_max = std::size_t{64} << 20;

static_assert(tree_id_at + sizeof(std::array<std::byte, 16>) == first_zxid_at);
static_assert(entry_transaction_at - entry_synced_zxid_at == entry_length_min,
              "a mark's length counts its synced_zxid only");

}  // namespace coordinator::journal_format

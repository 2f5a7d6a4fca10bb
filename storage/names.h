// Names: what files and directories in a log directory are called (facts/kafka.md §2.1).
//
//     orders-3                                        partition 3 of topic orders
//     orders-3.0123456789abcdef0123456789abcdef-delete   on its way out; -future, -stray alike
//     00000000000000001840.log                        by the base offset, 20 digits
#pragma once

#include "protocol/base/types.h"

#include <optional>
#include <string>
#include <string_view>

namespace storage {

enum class DirectoryKind {
    partition,
    deleted,   // -delete
    future,    // -future: a copy that is being made in this directory from another one
    stray,     // -stray: not assigned to this broker when it started
    metadata,  // __cluster_metadata and remote-log-index-cache: Kafka's own, left alone
    unknown,
};

struct DirectoryName {
    DirectoryKind kind = DirectoryKind::unknown;
    base::TopicPartition at;  // Of a partition; for the other kinds as far as it can be told.
};

// A topic's name holds 1 to 249 of [a-zA-Z0-9._-] and is neither "." nor "..".
bool is_topic_name(std::string_view name) noexcept;

DirectoryName parse_directory_name(std::string_view name);
std::string directory_name(const base::TopicPartition& at);
// With the suffix of its kind and a unique id; at most 255 characters, for which the topic's name
// is cut if need be.
std::string directory_name(const base::TopicPartition& at, DirectoryKind kind,
                           const base::Uuid& id);
// Whether that of a copy holds the topic's whole name, so that it can be told whose copy it is.
bool can_name_copy(const base::TopicPartition& at);

std::string file_name(base::Offset offset, std::string_view suffix);  // suffix as ".log"

struct FileName {
    base::Offset offset;
    std::string_view suffix;  // From the first dot after the digits: ".log", ".index.swap".
};

// Nothing when the name does not begin with 20 digits and a dot.
std::optional<FileName> parse_file_name(std::string_view name) noexcept;

// 22 characters of base64url without padding, as Kafka writes ids.
std::string uuid_text(const base::Uuid& id);
std::optional<base::Uuid> parse_uuid(std::string_view text) noexcept;

}  // namespace storage

// subscription: the topics that a consumer's join metadata names.
//
// The coordinator treats metadata as opaque but for this: which committed offsets may be
// forgotten depends on what a live group still reads.
//
// On the wire ("consumer" embedded protocol, every version begins alike):
//     version int16, topics [string] (int32 count, int16 lengths), ... the rest is not read
#pragma once

#include <cstddef>
#include <optional>
#include <set>
#include <span>
#include <string>

namespace coordinator {

// Add the topics of `metadata` to `topics`. False when the bytes are no subscription;
// what was read before that stays added.
[[nodiscard]] bool read_subscription(std::span<const std::byte> metadata,
                                     std::set<std::string>& topics);

}  // namespace coordinator

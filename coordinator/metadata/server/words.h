// Words: ZooKeeper's four-letter words, as the text they are answered with.
//
// Source: Apache ZooKeeper's server.command package, and what 3.8.4 answers.
#pragma once

#include "coordinator/metadata/server/observation.h"

#include <string>
#include <string_view>

namespace coordinator::words {

bool is_word(std::string_view word);

// What its answer looks at.
Depth depth_of(std::string_view word);

// Requires a word.
std::string answer(std::string_view word, const Observation& seen);

// "0x10" of an id or a zxid.
std::string hex(std::int64_t value);

}  // namespace coordinator::words

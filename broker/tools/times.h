// Times as Kafka's tools take them on the command line.
#pragma once

#include "protocol/base/result.h"

#include <cstdint>
#include <string>
#include <string_view>

namespace broker {

// ms since 1970 of `YYYY-MM-DDTHH:mm:ss.sss`, in local time unless `Z` or `+02:00` follows;
// seconds and milliseconds may be left out. The fault is a sentence.
[[nodiscard]] base::Result<std::int64_t, std::string> parse_datetime(std::string_view text);

// ms of `PnDTnHnMnS` (`PT1H30M`, `P7D`). The fault is a sentence.
[[nodiscard]] base::Result<std::int64_t, std::string> parse_duration(std::string_view text);

// "2026-11-21 12:20:07:001", in local time, as the performance tools print it.
std::string perf_time(std::int64_t milliseconds);

// Now, in ms since 1970.
std::int64_t wall_clock_ms();

}  // namespace broker

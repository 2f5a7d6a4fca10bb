// Quotas: how long a client is held back for what it used. The one place that is asked.
//
// No quota can be set yet, so nobody is throttled; requests pass here from the first day so
// that a later issue adds quotas in one place.
//
// Threads: any.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace broker {

class Quotas {
public:
    // Account for `bytes` of a request or answer. Returns milliseconds to put into
    // throttle_time_ms and to mute the connection for; 0 when within bounds.
    std::int32_t charge(std::string_view principal, std::string_view client_id,
                        std::int16_t api_key, std::size_t bytes, std::int64_t now_ms) noexcept;
};

}  // namespace broker

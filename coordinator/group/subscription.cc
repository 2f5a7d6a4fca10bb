#include "coordinator/group/subscription.h"

#include "protocol/wire/big_endian.h"

#include <cstdint>

namespace coordinator {

bool read_subscription(std::span<const std::byte> metadata, std::set<std::string>& topics) {
    constexpr std::size_t head = sizeof(std::int16_t) + sizeof(std::int32_t);
    if (metadata.size() < head) return false;
    if (wire::load<std::int16_t>(metadata, 0) < 0) return false;
    const auto count = wire::load<std::int32_t>(metadata, sizeof(std::int16_t));
    auto rest = metadata.subspan(head);
    for (std::int32_t read = 0; read < count; ++read) {
        if (rest.size() < sizeof(std::int16_t)) return false;
        const auto size = wire::load<std::int16_t>(rest, 0);
        rest = rest.subspan(sizeof(std::int16_t));
        if (size < 0 || static_cast<std::size_t>(size) > rest.size()) return false;
        const auto name = rest.first(static_cast<std::size_t>(size));
        topics.emplace(reinterpret_cast<const char*>(name.data()), name.size());
        rest = rest.subspan(name.size());
    }
    return count >= 0;
}

}  // namespace coordinator

#include "broker/config/definitions.h"

#include <algorithm>

namespace broker {
namespace {

const KeyDefinition* find(std::span<const KeyDefinition> keys, std::string_view name) noexcept {
    const auto at = std::ranges::lower_bound(keys, name, {}, &KeyDefinition::name);
    return at != keys.end() && at->name == name ? &*at : nullptr;
}

}  // namespace

const KeyDefinition* find_broker_key(std::string_view name) noexcept {
    return find(broker_keys(), name);
}
const KeyDefinition* find_topic_key(std::string_view name) noexcept {
    return find(topic_keys(), name);
}

}  // namespace broker

#include "broker/security/authorizer.h"

#include <initializer_list>

namespace broker {

namespace {

// The operations that mean something for a kind of resource, as Apache Kafka lists them.
std::initializer_list<Operation> operations_of(ResourceType type) noexcept {
    using enum Operation;
    static constexpr auto topic = {read, write, create, remove, alter, describe, describe_configs, alter_configs};
    static constexpr auto group = {read, remove, describe};
    static constexpr auto cluster = {create, alter, describe, cluster_action, describe_configs, alter_configs, idempotent_write};
    static constexpr auto transactional_id = {write, describe};
    switch (type) {
        case ResourceType::topic: return topic;
        case ResourceType::group: return group;
        case ResourceType::cluster: return cluster;
        case ResourceType::transactional_id: return transactional_id;
    }
    return {};
}

}  // namespace

bool Authorizer::allows(std::string_view, std::string_view, Operation, ResourceType,
                        std::string_view) const noexcept {
    return true;  // No authorizer is configured: there is nobody to refuse.
}

std::int32_t Authorizer::allowed_operations(std::string_view principal, std::string_view host,
                                            ResourceType type, std::string_view name) const noexcept {
    std::int32_t bits = 0;
    for (const Operation operation : operations_of(type)) {
        if (allows(principal, host, operation, type, name)) bits |= 1 << static_cast<int>(operation);
    }
    return bits;
}

}  // namespace broker

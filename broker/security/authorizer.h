// Authorizer: may this principal do this to that? The one place that is asked.
//
// Without `authorizer.class.name` everything is allowed, as in Apache Kafka. ACLs, and the
// listeners on which principals are more than User:ANONYMOUS, come with a later issue; a
// configuration that names an authorizer is refused at the start until then.
//
// Threads: any.
#pragma once

#include <cstdint>
#include <string_view>

namespace broker {

// Numbers are those of the protocol (AclOperation, ResourceType).
enum class Operation : std::int8_t {
    read = 3,
    write = 4,
    create = 5,
    remove = 6,
    alter = 7,
    describe = 8,
    cluster_action = 9,
    describe_configs = 10,
    alter_configs = 11,
    idempotent_write = 12,
};

enum class ResourceType : std::int8_t { topic = 2, group = 3, cluster = 4, transactional_id = 5 };

// The name of the only cluster resource.
constexpr std::string_view cluster_resource = "kafka-cluster";

class Authorizer {
public:
    bool allows(std::string_view principal, std::string_view host, Operation operation,
                ResourceType type, std::string_view name) const noexcept;

    // For the *_authorized_operations fields: a bit for each operation that is allowed, as
    // the protocol numbers them.
    std::int32_t allowed_operations(std::string_view principal, std::string_view host,
                                    ResourceType type, std::string_view name) const noexcept;
};

}  // namespace broker

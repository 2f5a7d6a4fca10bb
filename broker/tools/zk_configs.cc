// kafka-configs.sh --zookeeper, as in Kafka 0.9 to 3.9: configurations of topics, clients, users,
// addresses, and of brokers that do not run.

#include "broker/config/topic_config.h"
#include "broker/tools/configs.h"
#include "broker/tools/tool.h"
#include "broker/tools/zk_kafka.h"

#include <algorithm>
#include <iostream>

namespace broker {
namespace {

using znodes::ConfigEntity;
using Type = ConfigEntity::Type;

struct Kind {
    const char* folder;  // As --entity-type has it.
    const char* label;   // In sentences.
    Type type;
};

constexpr Kind kinds[] = {{"topics", "topic", Type::topic},
                          {"brokers", "broker", Type::broker},
                          {"clients", "client-id", Type::client},
                          {"users", "user-principal", Type::user},
                          {"ips", "ip", Type::ip}};

const Kind& kind_of(const std::string& folder) {
    const auto* const found =
        std::ranges::find_if(kinds, [&](const Kind& kind) { return kind.folder == folder; });
    if (found == std::end(kinds)) {
        throw UsageError("Invalid entity type " + folder +
                         ", the entity type must be one of topics, clients, users, brokers, ips");
    }
    return *found;
}

const Kind& kind_of(Type type) {
    return *std::ranges::find(kinds, type, &Kind::type);
}

std::string label(const Kind& kind, const std::string& name) {
    if (name == znodes::default_entity) return std::string("the default ") + kind.label;
    return std::string(kind.label) + " '" + name + "'";
}

std::string label(const ConfigEntity& entity) {
    if (entity.type != Type::user_client) return label(kind_of(entity.type), entity.name);
    return label(kind_of(Type::user), entity.name) + ", " +
           label(kind_of(Type::client), entity.client);
}

// Whose configuration is meant: one type, or users and clients together; without names, all.
struct Chosen {
    std::vector<const Kind*> types;
    std::vector<std::string> names;

    explicit Chosen(const Options& options) {
        for (const auto& folder : options.all("entity-type")) types.push_back(&kind_of(folder));
        names = options.all("entity-name");
        if (options.has("entity-default")) names.emplace_back(znodes::default_entity);
        if (const auto topic = options.get("topic")) {
            types.push_back(&kind_of("topics"));
            names.push_back(*topic);
        }
        if (types.empty()) throw UsageError("At least one entity type must be specified");
        const bool is_pair =
            types.size() == 2 &&
            std::ranges::any_of(types, [](const Kind* kind) { return kind->type == Type::user; }) &&
            std::ranges::any_of(types, [](const Kind* kind) { return kind->type == Type::client; });
        if (types.size() > 1 && !is_pair) {
            throw UsageError("Only users and clients are configured together");
        }
        if (names.size() > types.size()) {
            throw UsageError("There are more names of entities than types of them");
        }
    }

    std::optional<ConfigEntity> one() const {
        if (names.size() != types.size()) return std::nullopt;
        if (types.size() == 1) return ConfigEntity{.type = types[0]->type, .name = names[0]};
        const std::size_t user = types[0]->type == Type::user ? 0 : 1;
        return ConfigEntity{
            .type = Type::user_client, .name = names[user], .client = names[1 - user]};
    }
};

void print(ZkKafka& kafka, const ConfigEntity& entity, bool even_if_empty) {
    std::string pairs;
    for (const auto& [key, value] : kafka.config(entity)) {
        pairs += (pairs.empty() ? "" : ",") + key + "=" + value;
    }
    if (pairs.empty() && !even_if_empty) return;
    std::cout << "Configs for " << label(entity) << " are " << pairs << "\n";
}

void describe_all(ZkKafka& kafka, const Kind& kind) {
    for (const auto& name : kafka.children("/config/" + std::string(kind.folder))) {
        const auto entity = znodes::parse_entity_path(std::string(kind.folder) + "/" + name);
        // Kafka shows topics without a configuration too; the others only when they have one.
        if (entity) print(kafka, *entity, kind.type == Type::topic);
    }
}

void describe_pairs(ZkKafka& kafka) {
    for (const auto& user : kafka.children("/config/users")) {
        const auto parent = "users/" + user + "/clients";
        for (const auto& client : kafka.children("/config/" + parent)) {
            if (const auto entity = znodes::parse_entity_path(parent + "/" + client)) {
                print(kafka, *entity, false);
            }
        }
    }
}

int describe(ZkKafka& kafka, const Chosen& chosen) {
    if (const auto entity = chosen.one()) {
        print(kafka, *entity, true);
    } else if (!chosen.names.empty()) {
        throw UsageError("An entity name must be given for each type, or for none");
    } else if (chosen.types.size() == 1) {
        describe_all(kafka, *chosen.types[0]);
    } else {
        describe_pairs(kafka);
    }
    return 0;
}

// Running brokers check what is asked of them; a znode does not.
void must_not_run(ZkKafka& kafka, const ConfigEntity& entity) {
    const auto running = kafka.broker_ids();
    const auto id = to_integer(entity.name);
    const bool is_default = entity.name == znodes::default_entity;
    if (!id && !is_default) {
        throw UsageError("The entity name for brokers must be a valid integer broker id, found: " +
                         entity.name);
    }
    const auto runs = [&](base::BrokerId broker) { return is_default || broker.value() == *id; };
    if (std::ranges::any_of(running, runs)) {
        throw ToolError(
            "--bootstrap-server must be used to change configurations of brokers that run",
            "java.lang.IllegalArgumentException");
    }
}

int alter(ZkKafka& kafka, const Chosen& chosen, const Options& options) {
    const auto entity = chosen.one();
    if (!entity) throw UsageError("an entity name must be specified with --alter");
    if (!options.has("add-config") && !options.has("delete-config")) {
        throw UsageError(
            "At least one of --add-config or --delete-config must be specified with --alter");
    }
    if (entity->type == Type::topic && !kafka.exists(znodes::path::topic(entity->name))) {
        throw ToolError("Topic '" + entity->name + "' does not exist.",
                        "org.apache.kafka.common.errors.UnknownTopicOrPartitionException");
    }
    if (entity->type == Type::broker) must_not_run(kafka, *entity);
    auto config = kafka.config(*entity);
    std::vector<std::string> unknown;
    for (const auto& list : options.all("delete-config")) {
        for (const auto& word : split(list, ',')) {
            if (config.erase(trim(word)) == 0) unknown.push_back(trim(word));
        }
    }
    if (!unknown.empty()) {
        throw ToolError("Invalid config(s): " + join(unknown, ","),
                        "org.apache.kafka.common.errors.InvalidConfigurationException");
    }
    for (const auto& list : options.all("add-config")) {
        for (const auto& change : parse_added(list)) {
            const auto good = entity->type == Type::topic
                                  ? validate_topic_config(change.name, change.value)
                                  : base::Result<void, std::string>();
            if (!good) {
                throw ToolError(good.error(), "org.apache.kafka.common.config.ConfigException");
            }
            config[change.name] = change.value;
        }
    }
    kafka.change_config(*entity, config);
    std::cout << "Completed updating config for entity: " << label(*entity) << ".\n";
    return 0;
}

}  // namespace

int run_zk_configs(const Options& options) {
    std::cout << "Warning: --zookeeper is deprecated and will be removed in a future version of "
                 "Kafka.\nUse --bootstrap-server instead to specify a broker to connect to.\n";
    const Chosen chosen(options);
    ZkKafka kafka(options.required("zookeeper"));
    return options.has("alter") ? alter(kafka, chosen, options) : describe(kafka, chosen);
}

}  // namespace broker

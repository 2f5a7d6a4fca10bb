// znodes: /config: what is configured, and the notes that tell of changes.

#include "broker/cluster/znode_json.h"
#include "broker/cluster/znodes.h"

namespace broker::znodes {
namespace {

std::string_view folder(ConfigEntity::Type type) {
    switch (type) {
        case ConfigEntity::Type::topic:
            return "topics";
        case ConfigEntity::Type::broker:
            return "brokers";
        case ConfigEntity::Type::client:
            return "clients";
        case ConfigEntity::Type::user:
        case ConfigEntity::Type::user_client:
            return "users";
        case ConfigEntity::Type::ip:
            return "ips";
    }
    std::unreachable();
}

std::string entity_name(ConfigEntity::Type type, std::string_view name) {
    const bool is_plain = type == ConfigEntity::Type::topic || type == ConfigEntity::Type::broker ||
                          name == default_entity;
    return is_plain ? std::string(name) : sanitise(name);
}

std::optional<ConfigEntity> entity(ConfigEntity::Type type, std::string_view text) {
    if (text.empty() || text.contains('/')) return std::nullopt;
    auto name = entity_name(type, "%") == "%" ? std::string(text) : desanitise(text);
    if (!name) return std::nullopt;
    return ConfigEntity{type, std::move(*name)};
}

bool stays_as_it_is(char byte) {
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9') || byte == '.' || byte == '-' || byte == '_';
}

}  // namespace

std::string sanitise(std::string_view name) {
    constexpr std::string_view hex = "0123456789ABCDEF";
    std::string text;
    for (const char byte : name) {
        if (stays_as_it_is(byte)) {
            text += byte;
        } else {
            const auto value = static_cast<unsigned char>(byte);
            text += {'%', hex[value >> 4], hex[value & 15]};
        }
    }
    return text;
}

std::optional<std::string> desanitise(std::string_view text) {
    std::string name;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (text[at] != '%') {
            name += text[at];
            continue;
        }
        if (text.size() - at < 3) return std::nullopt;
        unsigned value = 0;
        const char* const end = text.data() + at + 3;
        const auto parsed = std::from_chars(text.data() + at + 1, end, value, 16);
        if (parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
        name += static_cast<char>(value);
        at += 2;
    }
    return name;
}

std::string entity_path(const ConfigEntity& entity) {
    std::string path = joined(folder(entity.type), entity_name(entity.type, entity.name));
    if (entity.type == ConfigEntity::Type::user_client) {
        path += "/clients/" + entity_name(ConfigEntity::Type::client, entity.client);
    }
    return path;
}

std::optional<ConfigEntity> parse_entity_path(std::string_view path) {
    using Type = ConfigEntity::Type;
    const auto slash = path.find('/');
    if (slash == path.npos) return std::nullopt;
    const auto first = path.substr(0, slash);
    const auto rest = path.substr(slash + 1);
    if (first == "topics") return entity(Type::topic, rest);
    if (first == "brokers") return entity(Type::broker, rest);
    if (first == "clients") return entity(Type::client, rest);
    if (first == "ips") return entity(Type::ip, rest);
    if (first != "users") return std::nullopt;

    constexpr std::string_view clients = "/clients/";
    const auto at = rest.find(clients);
    if (at == rest.npos) return entity(Type::user, rest);
    auto user = entity(Type::user_client, rest.substr(0, at));
    auto client = entity(Type::client, rest.substr(at + clients.size()));
    if (!user || !client) return std::nullopt;
    user->client = std::move(client->name);
    return user;
}

std::string config_path(const ConfigEntity& entity) {
    return joined(path::config, entity_path(entity));
}

std::string write_config(const Config& config) {
    auto values = Json::object();
    for (const auto& [key, value] : config) values[key] = value;
    return text_of({{"version", 1}, {"config", std::move(values)}});
}

std::optional<Config> parse_config(std::string_view text) {
    if (text.empty()) return Config();
    const auto json = parse_object(text);
    if (!json) return std::nullopt;
    Config config;
    const Json* values = member(*json, "config");
    if (values == nullptr) return config;
    if (!values->is_object()) return std::nullopt;
    for (const auto& [key, value] : values->items()) {
        // Kafka writes strings; what people wrote by hand may be a number or a boolean.
        if (value.is_structured() || value.is_null()) return std::nullopt;
        config.emplace(key, value.is_string() ? value.get<std::string>() : text_of(value));
    }
    return config;
}

std::string write_config_change(const ConfigEntity& entity) {
    return text_of({{"version", 2}, {"entity_path", entity_path(entity)}});
}

std::optional<ConfigEntity> parse_config_change(std::string_view text) {
    const auto json = Json::parse(text, nullptr, false);
    if (json.is_string())
        return entity(ConfigEntity::Type::topic, json.get_ref<const std::string&>());
    if (!json.is_object()) return std::nullopt;
    if (const auto path = string(json, "entity_path")) return parse_entity_path(*path);
    const auto type = string(json, "entity_type");
    const auto name = string(json, "entity_name");
    if (!type || !name) return std::nullopt;
    return parse_entity_path(joined(*type, *name));
}

}  // namespace broker::znodes

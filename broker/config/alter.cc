#include "broker/config/alter.h"

#include "broker/config/topic_config.h"
#include "broker/config/value.h"

#include <algorithm>
#include <set>

namespace broker {
namespace {

using Altered = base::Result<ConfigMap, AlterFault>;
using Kind = AlterFault::Kind;

base::Unexpected<AlterFault> refused(Kind kind, std::string message) {
    return base::Unexpected(AlterFault{kind, std::move(message)});
}

std::optional<AlterFault> first_fault(std::span<const Alteration> wanted) {
    std::set<std::string_view> names;
    for (const Alteration& one : wanted) {
        if (!names.insert(one.name).second) {
            return AlterFault{Kind::invalid_request, one.name + " stands twice in one request"};
        }
        const bool wants_value = one.operation != AlterOperation::remove;
        if (wants_value && !one.value) {
            return AlterFault{Kind::invalid_request,
                              one.name + " has no value; delete it to get its default"};
        }
    }
    return std::nullopt;
}

std::string joined(const std::vector<std::string>& items) {
    std::string out;
    for (const std::string& item : items) out += (&item == items.data() ? "" : ",") + item;
    return out;
}

// One step of an incremental change. A list that the map does not hold starts from the
// key's default, not from what other sources say: so does Apache Kafka.
std::optional<AlterFault> apply(const Alteration& one, const KeyDefinition* key, ConfigMap& map) {
    if (one.operation == AlterOperation::set) {
        map.insert_or_assign(one.name, *one.value);
        return std::nullopt;
    }
    if (one.operation == AlterOperation::remove) {
        map.erase(one.name);
        return std::nullopt;
    }
    if (one.operation != AlterOperation::append && one.operation != AlterOperation::subtract) {
        return AlterFault{Kind::invalid_request, "no such operation on " + one.name};
    }
    if (key == nullptr || key->type != ConfigType::list) {
        return AlterFault{Kind::invalid_config,
                          one.name + " is not a list, so nothing can be added to it or taken away"};
    }
    const auto stored = map.find(one.name);
    std::vector<std::string> items =
        split_list(stored != map.end() ? stored->second : key->standard.value_or(""));
    for (const std::string& item : split_list(*one.value)) {
        if (one.operation == AlterOperation::subtract)
            std::erase(items, item);
        else if (std::ranges::find(items, item) == items.end())
            items.push_back(item);
    }
    map.insert_or_assign(one.name, joined(items));
    return std::nullopt;
}

Altered checked_topic(const BrokerConfig& broker, ConfigMap map) {
    if (auto checked = validate_topic_configs(broker, map); !checked) {
        return refused(Kind::invalid_config, checked.error());
    }
    return map;
}

// Threads may be halved or doubled at most in one step, as in Apache Kafka.
bool counts_threads(std::string_view name) {
    static constexpr std::string_view names[] = {"background.threads",
                                                 "log.cleaner.threads",
                                                 "num.io.threads",
                                                 "num.network.threads",
                                                 "num.recovery.threads.per.data.dir",
                                                 "num.replica.fetchers"};
    return std::ranges::find(names, name) != std::end(names);
}

std::optional<AlterFault> check_broker_change(const BrokerConfig& broker, BrokerScope scope,
                                              const std::string& name, const std::string& value) {
    const KeyDefinition* key = find_broker_key(name);
    if (name.starts_with("listener.name.")) {
        return AlterFault{Kind::invalid_request,
                          name + ": no listener here has configurations of its own"};
    }
    if (key == nullptr) return std::nullopt;  // Kept, as Apache Kafka does for its plug-ins.
    if (key->update == ConfigUpdate::read_only || key->fixed) {
        return AlterFault{Kind::invalid_request,
                          name +
                              " cannot change while the broker runs; set it in the"
                              " configuration file and restart"};
    }
    if (key->update == ConfigUpdate::per_broker && scope == BrokerScope::cluster_default) {
        return AlterFault{Kind::invalid_request,
                          name + " belongs to one broker and has no value for the whole cluster"};
    }
    if (name.starts_with("ssl.") || name.starts_with("sasl.")) {
        return AlterFault{
            Kind::invalid_request,
            name + " can change for one listener only, under listener.name.NAME." + name};
    }
    if (key->sensitive()) {
        return AlterFault{Kind::invalid_request,
                          name + " is secret, and secrets are kept in the configuration file only"};
    }
    if (const auto right = check_value(*key, value); !right) {
        return AlterFault{Kind::invalid_request, "Invalid value " + value + " for configuration " +
                                                     name + ": it wants " + right.error()};
    }
    const std::int64_t now = parse_integer(broker.value(name).value_or("")).value_or(0);
    const std::int64_t then = parse_integer(value).value_or(0);
    if (counts_threads(name) && now > 0 && (then < now / 2 || then > now * 2)) {
        return AlterFault{Kind::invalid_request,
                          name + " can be halved or doubled at most in one step; it is " +
                              std::to_string(now) + ", and " + value + " was asked for"};
    }
    return std::nullopt;
}

Altered checked_broker(const BrokerConfig& broker, BrokerScope scope, ConfigMap map,
                       const ConfigMap& stored) {
    for (const auto& [name, value] : map) {
        const auto before = stored.find(name);
        if (before != stored.end() && before->second == value) continue;
        if (auto fault = check_broker_change(broker, scope, name, value))
            return base::Unexpected(std::move(*fault));
    }
    const auto after = scope == BrokerScope::cluster_default
                           ? broker.with_dynamic(map, broker.dynamic_broker())
                           : broker.with_dynamic(broker.dynamic_cluster(), map);
    const auto faults = contradictions(*after, !broker.value("process.roles").value_or("").empty());
    if (!faults.empty()) {
        return refused(Kind::invalid_request,
                       std::string(faults.front().key) + ": " + faults.front().text);
    }
    return map;
}

ConfigMap as_map(std::span<const Alteration> wanted) {
    ConfigMap map;
    for (const Alteration& one : wanted) map.emplace(one.name, *one.value);
    return map;
}

}  // namespace

base::Result<ConfigMap, AlterFault> replace_topic_configs(const BrokerConfig& broker,
                                                          std::span<const Alteration> wanted) {
    if (auto fault = first_fault(wanted)) return base::Unexpected(std::move(*fault));
    return checked_topic(broker, as_map(wanted));
}

base::Result<ConfigMap, AlterFault> replace_broker_configs(const BrokerConfig& broker,
                                                           BrokerScope scope,
                                                           const ConfigMap& stored,
                                                           std::span<const Alteration> wanted) {
    if (auto fault = first_fault(wanted)) return base::Unexpected(std::move(*fault));
    return checked_broker(broker, scope, as_map(wanted), stored);
}

base::Result<ConfigMap, AlterFault> alter_topic_configs(const BrokerConfig& broker,
                                                        const ConfigMap& stored,
                                                        std::span<const Alteration> wanted) {
    if (auto fault = first_fault(wanted)) return base::Unexpected(std::move(*fault));
    ConfigMap map = stored;
    for (const Alteration& one : wanted) {
        if (auto fault = apply(one, find_topic_key(one.name), map))
            return base::Unexpected(std::move(*fault));
    }
    return checked_topic(broker, std::move(map));
}

base::Result<ConfigMap, AlterFault> alter_broker_configs(const BrokerConfig& broker,
                                                         BrokerScope scope, const ConfigMap& stored,
                                                         std::span<const Alteration> wanted) {
    if (auto fault = first_fault(wanted)) return base::Unexpected(std::move(*fault));
    ConfigMap map = stored;
    for (const Alteration& one : wanted) {
        if (auto fault = apply(one, find_broker_key(one.name), map))
            return base::Unexpected(std::move(*fault));
    }
    return checked_broker(broker, scope, std::move(map), stored);
}

}  // namespace broker

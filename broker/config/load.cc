#include "broker/config/load.h"

#include "broker/config/properties.h"
#include "broker/config/value.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <map>
#include <sstream>
#include <unistd.h>

namespace broker {
namespace {

using Level = ConfigMessage::Level;

// Variables that begin with KAFKA_ and are not keys: those of the JVM, of Apache Kafka's
// scripts and of its container images.
constexpr std::array not_keys = {
    std::string_view("KAFKA_CLUSTER_ID"),     std::string_view("KAFKA_CREATE_TOPICS"),
    std::string_view("KAFKA_DEBUG"),          std::string_view("KAFKA_GC_LOG_OPTS"),
    std::string_view("KAFKA_HEAP_OPTS"),      std::string_view("KAFKA_HOME"),
    std::string_view("KAFKA_JMX_HOSTNAME"),   std::string_view("KAFKA_JMX_OPTS"),
    std::string_view("KAFKA_JMX_PORT"),       std::string_view("KAFKA_JVM_PERFORMANCE_OPTS"),
    std::string_view("KAFKA_LOG4J_CMD_OPTS"), std::string_view("KAFKA_LOG4J_LOGGERS"),
    std::string_view("KAFKA_LOG4J_OPTS"),     std::string_view("KAFKA_LOG4J_ROOT_LOGLEVEL"),
    std::string_view("KAFKA_OPTS"),           std::string_view("KAFKA_TOOLS_LOG4J_LOGLEVEL"),
    std::string_view("KAFKA_VERSION"),
};

// Keys with a name of people's own in them; what stands behind the prefix is not checked.
constexpr std::array open_prefixes = {
    std::string_view("listener.name."), std::string_view("config.providers."),
    std::string_view("rsm.config."), std::string_view("rlmm.config.")};

struct Assignment {
    std::string value;
    std::string where;
};

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
            diagonal = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row[b.size()];
}

std::string in_small_letters(std::string_view text) {
    std::string out(text);
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
    }
    return out;
}

// LOG_RETENTION_MS to log.retention.ms. Where a key has capitals (zookeeper.clientCnxnSocket)
// it is found in the table.
std::string key_of_variable(std::string_view variable) {
    std::string key;
    for (std::size_t i = 0; i < variable.size(); ++i) {
        if (variable[i] != '_') {
            key.push_back(variable[i]);
            continue;
        }
        std::size_t run = 1;
        while (run < 3 && i + run < variable.size() && variable[i + run] == '_') ++run;
        key.push_back(run == 1 ? '.' : run == 2 ? '_' : '-');
        i += run - 1;
    }
    key = in_small_letters(key);
    for (const KeyDefinition& known : broker_keys()) {
        if (in_small_letters(known.name) == key) return std::string(known.name);
    }
    return key;
}

std::string shown(const KeyDefinition* key, std::string_view value) {
    return key != nullptr && key->sensitive() ? "(hidden)" : "\"" + std::string(value) + "\"";
}

class Loader {
public:
    LoadedConfig load(const ConfigInputs& inputs) {
        file_name_ = inputs.file_name;
        read_file(inputs);
        for (const std::string& variable : inputs.environment) read_variable(variable);
        for (const std::string& text : inputs.overrides) read_override(text);
        translate_old_names();
        mirror("broker.id", "node.id");
        for (const auto& [key, given] : assignments_) check(key, given);
        if (!failed_) check_together();
        if (!failed_) tell_what_will_be_refused();
        tell_what_is_idle();
        LoadedConfig loaded{.config = nullptr, .messages = std::move(messages_)};
        if (!failed_) loaded.config = std::make_shared<const BrokerConfig>(statics());
        return loaded;
    }

private:
    void say(Level level, std::string where, std::string text) {
        failed_ |= level == Level::error;
        messages_.push_back({level, std::move(where), std::move(text)});
    }

    void read_file(const ConfigInputs& inputs) {
        const auto properties = parse_properties(inputs.file_text);
        if (!properties) {
            say(Level::error, inputs.file_name + ":" + std::to_string(properties.error().line),
                properties.error().detail);
            return;
        }
        for (const Property& one : *properties) {
            const std::string where = inputs.file_name + ":" + std::to_string(one.line);
            const auto before = assignments_.find(one.key);
            if (before != assignments_.end()) {
                say(Level::warning, where,
                    one.key + " stands at " + before->second.where + " too; this one counts");
            }
            assign(one.key, one.value, where);
        }
    }

    void read_variable(std::string_view variable) {
        const std::size_t equals = variable.find('=');
        if (equals == std::string_view::npos || !variable.starts_with("KAFKA_")) return;
        const std::string_view name = variable.substr(0, equals);
        const std::string_view value = variable.substr(equals + 1);
        if (std::ranges::find(not_keys, name) != not_keys.end()) return;
        if (value.starts_with("tcp://") && value.find("://", 6) == std::string_view::npos) {
            say(Level::note, std::string(name),
                "Kubernetes set this for a service named kafka; it is no key");
            return;
        }
        std::string_view rest = name.substr(std::string_view("KAFKA_").size());
        if (rest.starts_with("CFG_")) rest.remove_prefix(std::string_view("CFG_").size());
        assign(key_of_variable(rest), std::string(value), std::string(name));
    }

    void read_override(const std::string& text) {
        const std::size_t equals = text.find('=');
        if (equals == std::string::npos || equals == 0) {
            say(Level::error, "--override " + text, "key=value is wanted");
            return;
        }
        const std::string key(trimmed(std::string_view(text).substr(0, equals)));
        assign(key, text.substr(equals + 1), "--override " + key);
    }

    void assign(const std::string& key, std::string value, std::string where) {
        assignments_.insert_or_assign(key, Assignment{std::move(value), std::move(where)});
    }

    bool is_set(std::string_view key) const { return assignments_.find(key) != assignments_.end(); }
    std::string given(std::string_view key) const { return assignments_.find(key)->second.value; }

    // host.name and port, which were there before `listeners`.
    void translate_old_names() {
        const auto translate = [&](std::string_view host_key, std::string_view port_key,
                                   std::string_view to) {
            if (is_set(to) || (!is_set(host_key) && !is_set(port_key))) return;
            std::string host = is_set(host_key) ? std::string(trimmed(given(host_key))) : "";
            if (host.find(':') != std::string::npos && !host.starts_with('['))
                host = "[" + host + "]";
            const std::string port = is_set(port_key) ? std::string(trimmed(given(port_key)))
                                     : is_set("port") ? std::string(trimmed(given("port")))
                                                      : "9092";
            const std::string_view origin = is_set(host_key) ? host_key : port_key;
            assign(std::string(to), "PLAINTEXT://" + host + ":" + port,
                   assignments_.find(origin)->second.where);
        };
        translate("host.name", "port", "listeners");
        translate("advertised.host.name", "advertised.port", "advertised.listeners");
    }

    // Two names of one thing: each gets what the other was given.
    void mirror(const std::string& a, const std::string& b) {
        const auto at_a = assignments_.find(a);
        const auto at_b = assignments_.find(b);
        if (at_a != assignments_.end() && at_b == assignments_.end()) {
            assign(b, at_a->second.value, at_a->second.where);
        } else if (at_b != assignments_.end() && at_a == assignments_.end()) {
            assign(a, at_b->second.value, at_b->second.where);
        } else if (at_a != assignments_.end() &&
                   trimmed(at_a->second.value) != trimmed(at_b->second.value)) {
            say(Level::error, at_b->second.where,
                b + " is " + shown(nullptr, at_b->second.value) + " and " + a + " is " +
                    shown(nullptr, at_a->second.value) +
                    "; both are the number of this broker, so give one or the same");
        }
    }

    void check(const std::string& name, const Assignment& given) {
        const KeyDefinition* key = find_broker_key(name);
        if (key == nullptr) {
            const bool open = std::ranges::any_of(
                open_prefixes, [&](std::string_view prefix) { return name.starts_with(prefix); });
            if (open) return;
            const std::string_view nearest = nearest_broker_key(name);
            say(Level::warning, given.where,
                "unknown key " + name +
                    (nearest.empty() ? "" : "; is " + std::string(nearest) + " meant?"));
            return;
        }
        if (const auto right = check_value(*key, given.value); !right) {
            if (key->synonyms.empty() || !is_mirror(name, given)) {
                say(Level::error, given.where,
                    name + " cannot be " + shown(key, given.value) + "; it wants " + right.error());
            }
        } else if (key->refused && trimmed(given.value) != key->standard.value_or("")) {
            say(Level::error, given.where,
                name + " cannot be " + shown(key, given.value) + ": " +
                    std::string(key->documentation));
        }
    }

    // Whether node.id only repeats what broker.id was given at the same place.
    bool is_mirror(std::string_view name, const Assignment& given) const {
        if (name != "node.id") return false;
        const auto other = assignments_.find("broker.id");
        return other != assignments_.end() && other->second.where == given.where;
    }

    ConfigMap statics() const {
        ConfigMap map;
        for (const auto& [key, given] : assignments_) map.emplace(key, given.value);
        return map;
    }

    // Where the key, or what stands for it, was given; one that is nowhere is missing in the file.
    std::string where_of(std::string_view name) const {
        if (is_set(name)) return assignments_.find(name)->second.where;
        for (const std::string_view synonym : find_broker_key(name)->synonyms) {
            if (is_set(synonym)) return assignments_.find(synonym)->second.where;
        }
        return file_name_;
    }

    void check_together() {
        const BrokerConfig config(statics());
        const std::vector<std::string> roles =
            split_list(config.value("process.roles").value_or(""));
        for (const auto& [key, text] : contradictions(config, !roles.empty())) {
            say(Level::error, where_of(key),
                std::string(key) + " cannot be " + shown(nullptr, config.value(key).value_or("")) +
                    ": " + text);
        }
        ListenerPlan plan = plan_listeners(config);
        for (const auto& [key, text] : plan.faults) {
            say(Level::error, where_of(key), std::string(key) + ": " + text);
        }
        for (std::string& note : plan.notes)
            say(Level::note, where_of("listeners"), std::move(note));
        if (!roles.empty() && std::ranges::find(roles, "broker") == roles.end()) {
            say(Level::error, where_of("process.roles"),
                "process.roles wants broker in it: a controller alone is not a process of its own "
                "here");
        }
    }

    // What can be started with, and refuses clients later.
    void tell_what_will_be_refused() {
        const BrokerConfig config(statics());
        const auto compare = [&](std::int64_t value, const char* key, const char* relation,
                                 std::int64_t bound, const char* other, const char* consequence) {
            say(Level::warning, where_of(is_set(key) ? key : other),
                std::string(key) + " is " + std::to_string(value) + ", " + relation + " than " +
                    other + " (" + std::to_string(bound) + "): " + consequence);
        };
        if (config.message_max_bytes > config.socket_request_max_bytes) {
            compare(config.message_max_bytes, "message.max.bytes", "more",
                    config.socket_request_max_bytes, "socket.request.max.bytes",
                    "the connection that sends a batch above it is closed");
        }
        if (config.log_segment_bytes < config.message_max_bytes) {
            compare(config.log_segment_bytes, "log.segment.bytes", "less", config.message_max_bytes,
                    "message.max.bytes", "a batch above it is refused as too large");
        }
        if (config.min_insync_replicas > config.default_replication_factor) {
            compare(config.min_insync_replicas, "min.insync.replicas", "more",
                    config.default_replication_factor, "default.replication.factor",
                    "acks=all to topics of that factor is refused for want of replicas");
        }
    }

    void tell_what_is_idle() {
        if (is_set("process.roles")) {
            say(Level::note, assignments_.find("process.roles")->second.where,
                "keys of KRaft are accepted without effect: this process is the broker and keeps "
                "the cluster's metadata");
        }
        std::string idle;
        for (const auto& [name, given] : assignments_) {
            const KeyDefinition* key = find_broker_key(name);
            const bool told = name.starts_with("controller.quorum.") || name == "process.roles";
            if (key != nullptr && !key->works && !key->refused && !told)
                idle += (idle.empty() ? "" : ", ") + name;
        }
        if (!idle.empty()) say(Level::note, "", "accepted without effect: " + idle);
        if (!is_set("log.dirs") && !is_set("log.dir") && !failed_) {
            say(Level::warning, "",
                "log.dirs is not set; records go to /tmp/kafka-logs, which a restart of the "
                "machine may empty");
        }
    }

    std::map<std::string, Assignment, std::less<>> assignments_;
    std::string file_name_;
    std::vector<ConfigMessage> messages_;
    bool failed_ = false;
};

}  // namespace

std::string to_string(const ConfigMessage& message) {
    constexpr std::array words = {std::string_view("note"), std::string_view("warning"),
                                  std::string_view("error")};
    return (message.where.empty() ? "" : message.where + ": ") +
           std::string(words[static_cast<std::size_t>(message.level)]) + ": " + message.text;
}

LoadedConfig load_config(const ConfigInputs& inputs) {
    return Loader().load(inputs);
}

std::vector<std::string> process_environment() {
    std::vector<std::string> variables;
    for (char** one = environ; one != nullptr && *one != nullptr; ++one)
        variables.emplace_back(*one);
    return variables;
}

base::Result<std::string, std::string> read_config_file(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    std::ostringstream text;
    if (file) text << file.rdbuf();
    if (!file || text.fail()) {
        const int fault = errno != 0 ? errno : EIO;
        return base::Unexpected("cannot read the configuration file " + path + ": " +
                                std::strerror(fault));
    }
    return std::move(text).str();
}

std::string_view nearest_broker_key(std::string_view unknown) {
    constexpr std::size_t longest = 128;  // Nobody mistypes more; it bounds the work.
    if (unknown.size() > longest) return {};
    std::string_view nearest;
    std::size_t best = unknown.size() / 4 + 1;  // A quarter of the letters wrong is another word.
    for (const KeyDefinition& key : broker_keys()) {
        const std::size_t distance = edit_distance(unknown, key.name);
        if (distance < best) {
            best = distance;
            nearest = key.name;
        }
    }
    return nearest;
}

}  // namespace broker

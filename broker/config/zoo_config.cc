#include "broker/config/zoo_config.h"

#include "broker/config/properties.h"
#include "broker/config/value.h"

#include <algorithm>
#include <array>
#include <limits>
#include <span>

namespace broker {
namespace {

using Level = ConfigMessage::Level;

// What a key wants instead of what it was given; nothing when it took it.
using Wanted = std::optional<std::string>;

struct Key {
    std::string_view name;
    Wanted (*take)(ZooConfig& config, std::string_view value);
};

Wanted take_number(std::int32_t& to, std::string_view value, std::int32_t from,
                   std::int32_t up_to = std::numeric_limits<std::int32_t>::max()) {
    const auto number = parse_integer(value);
    if (number && *number >= from && *number <= up_to) {
        to = static_cast<std::int32_t>(*number);
        return std::nullopt;
    }
    const bool is_open = up_to == std::numeric_limits<std::int32_t>::max();
    return "a whole number, " + (is_open ? std::to_string(from) + " or more"
                                         : std::to_string(from) + " to " + std::to_string(up_to));
}

// As Java's Boolean.parseBoolean, but what is neither is not taken for false.
Wanted take_boolean(bool& to, std::string_view value) {
    const auto parsed = parse_boolean(value);
    if (!parsed) return "true or false";
    to = *parsed;
    return std::nullopt;
}

Wanted take_text(std::string& to, std::string_view value, std::string_view what) {
    if (value.empty()) return std::string(what);
    to = value;
    return std::nullopt;
}

constexpr std::int32_t port_max = 65535;

constexpr std::array keys = {
    Key{"dataDir",
        [](ZooConfig& to, std::string_view v) { return take_text(to.data_dir, v, "a folder"); }},
    Key{"dataLogDir", [](ZooConfig& to,
                         std::string_view v) { return take_text(to.data_log_dir, v, "a folder"); }},
    Key{"clientPort",
        [](ZooConfig& to, std::string_view v) {
            return take_number(to.client_port, v, 0, port_max);
        }},
    Key{"clientPortAddress",
        [](ZooConfig& to, std::string_view v) {
            return take_text(to.client_port_address, v, "an address or a name");
        }},
    Key{"tickTime",
        [](ZooConfig& to, std::string_view v) { return take_number(to.tick_ms, v, 1, 1'000'000); }},
    Key{"minSessionTimeout",
        [](ZooConfig& to, std::string_view v) {
            return take_number(to.session_timeout_min_ms, v, -1);
        }},
    Key{"maxSessionTimeout",
        [](ZooConfig& to, std::string_view v) {
            return take_number(to.session_timeout_max_ms, v, -1);
        }},
    Key{"maxClientCnxns",
        [](ZooConfig& to, std::string_view v) {
            return take_number(to.connections_per_host_max, v, 0);
        }},
    Key{"jute.maxbuffer",
        [](ZooConfig& to, std::string_view v) { return take_number(to.frame_bytes_max, v, 1024); }},
    Key{"snapCount",
        [](ZooConfig& to, std::string_view v) {
            return take_number(to.snapshot_every_transactions, v, 2);
        }},
    Key{"snapSizeLimitInKb",
        [](ZooConfig& to, std::string_view v) -> Wanted {
            const auto number = parse_integer(v);
            if (!number) return "a whole number";
            // ZooKeeper: zero or less is no limit.
            constexpr std::int64_t none = std::numeric_limits<std::int64_t>::max() >> 10;
            to.snapshot_every_kib = *number > 0 ? std::min(*number, none) : none;
            return std::nullopt;
        }},
    Key{"preAllocSize",
        [](ZooConfig& to, std::string_view v) { return take_number(to.journal_room_kib, v, 0); }},
    Key{"autopurge.snapRetainCount",
        [](ZooConfig& to, std::string_view v) {
            const auto wanted = take_number(to.snapshots_kept, v, 1);
            to.snapshots_kept = std::max(to.snapshots_kept, 3);  // As ZooKeeper, which says so.
            return wanted;
        }},
    Key{"autopurge.purgeInterval",
        [](ZooConfig& to, std::string_view v) {
            std::int32_t hours = 1;
            const auto wanted = take_number(hours, v, 0);
            to.purges = hours != 0;
            return wanted;
        }},
    Key{"4lw.commands.whitelist",
        [](ZooConfig& to, std::string_view v) -> Wanted {
            to.words = split_list(v);
            return std::nullopt;
        }},
    Key{"admin.enableServer",
        [](ZooConfig& to, std::string_view v) { return take_boolean(to.admin_enabled, v); }},
    Key{"admin.serverAddress",
        [](ZooConfig& to, std::string_view v) {
            return take_text(to.admin_address, v, "an address or a name");
        }},
    Key{"admin.serverPort",
        [](ZooConfig& to, std::string_view v) {
            return take_number(to.admin_port, v, 0, port_max);
        }},
    Key{"admin.commandURL",
        [](ZooConfig& to, std::string_view v) -> Wanted {
            if (!v.starts_with('/') || v.size() == 1) return "a path that begins with /";
            to.admin_url = v;
            return std::nullopt;
        }},
    Key{"DigestAuthenticationProvider.superDigest",
        [](ZooConfig& to, std::string_view v) -> Wanted {
            if (!v.starts_with("super:") || v.size() == 6)
                return "super: and the digest of super:PASSWORD";
            to.super_digest = v;
            return std::nullopt;
        }},
    Key{"enforceQuota",
        [](ZooConfig& to, std::string_view v) { return take_boolean(to.enforces_quotas, v); }},
    Key{"znode.container.checkIntervalMs",
        [](ZooConfig& to, std::string_view v) { return take_number(to.reap_every_ms, v, 1); }},
};

// For an ensemble, for Java, or made needless by how this service works.
constexpr std::array<std::string_view, 27> without_effect = {"initLimit",
                                                             "syncLimit",
                                                             "connectToLearnerMasterLimit",
                                                             "electionAlg",
                                                             "leaderServes",
                                                             "cnxTimeout",
                                                             "quorumListenOnAllIPs",
                                                             "syncEnabled",
                                                             "standaloneEnabled",
                                                             "reconfigEnabled",
                                                             "globalOutstandingLimit",
                                                             "clientPortListenBacklog",
                                                             "extendedTypesEnabled",
                                                             "admin.idleTimeout",
                                                             "fsync.warningthresholdms",
                                                             "forceSync",
                                                             "flushDelay",
                                                             "maxBatchSize",
                                                             "maxResponseCacheSize",
                                                             "maxGetChildrenResponseCacheSize",
                                                             "requestThrottleLimit",
                                                             "localSessionsEnabled",
                                                             "localSessionsUpgradingEnabled",
                                                             "serverCnxnFactory",
                                                             "snapshot.trust.empty",
                                                             "compressionEnabled",
                                                             "peerType"};

// Without these a person would believe the service to be safer than it is.
struct Refusal {
    std::string_view prefix;
    std::string_view why;
};
constexpr std::string_view ensemble =
    "several servers are an ensemble, and this service is one server; run Apache ZooKeeper for an "
    "ensemble and "
    "point Milena at it with zookeeper.connect=host:port,... in server.properties, or keep one "
    "server here";
constexpr std::string_view no_tls = "TLS is not served; remove the key, or run Apache ZooKeeper";
constexpr std::string_view no_sasl = "SASL is not served; remove the key, or run Apache ZooKeeper";
constexpr std::array refused = {
    Refusal{"secureClientPort", no_tls},
    Refusal{"secureClientPortAddress", no_tls},
    Refusal{"authProvider.", no_sasl},
    Refusal{"requireClientAuthScheme", no_sasl},
    Refusal{"sessionRequireClientSASLAuth", no_sasl},
    Refusal{"enforce.auth.", no_sasl},
    Refusal{"dynamicConfigFile", ensemble},
};

// One run over a file.
class Loading {
public:
    Loading(const std::string& file_name, LoadedZooConfig& into)
        : file_name_(file_name), into_(into) {}

    void take(const Property& property) {
        const std::string where = file_name_ + ":" + std::to_string(property.line);
        const std::string_view name = property.key;
        if (name.starts_with("server.")) {
            if (++servers_ == 2)
                say(Level::error, where, property.key + ": " + std::string(ensemble));
            return;
        }
        for (const Refusal& each : refused) {
            const bool is_it =
                each.prefix.ends_with('.') ? name.starts_with(each.prefix) : name == each.prefix;
            if (is_it) return say(Level::error, where, property.key + ": " + std::string(each.why));
        }
        const std::string value(trimmed(property.value));
        const auto* const key = std::ranges::find(keys, name, &Key::name);
        if (key == keys.end()) return pass_over(property, where);
        config_.admin_asked |= name == "admin.serverPort" || name == "admin.enableServer";
        if (const auto wanted = key->take(config_, value)) {
            say(Level::error, where, property.key + " is '" + value + "'; it must be " + *wanted);
        }
    }

    void finish() {
        const auto missing = [&](const std::string& key, const std::string& example) {
            say(Level::error, file_name_, key + " is missing; add a line like " + example);
        };
        if (config_.data_dir.empty()) missing("dataDir", "dataDir=/var/lib/zookeeper");
        if (config_.client_port < 0) missing("clientPort", "clientPort=2181");
        if (config_.data_log_dir.empty()) config_.data_log_dir = config_.data_dir;
        auto& min_ms = config_.session_timeout_min_ms;
        auto& max_ms = config_.session_timeout_max_ms;
        if (min_ms == -1) min_ms = 2 * config_.tick_ms;
        if (max_ms == -1) max_ms = 20 * config_.tick_ms;
        if (min_ms > max_ms) {
            say(Level::error, file_name_,
                "minSessionTimeout (" + std::to_string(min_ms) +
                    ") must not be above maxSessionTimeout (" + std::to_string(max_ms) + ")");
        }
        const bool is_wrong = std::ranges::find(into_.messages, Level::error,
                                                &ConfigMessage::level) != into_.messages.end();
        if (!is_wrong) into_.config = std::move(config_);
    }

    void say(Level level, std::string where, std::string text) {
        into_.messages.push_back({level, std::move(where), std::move(text)});
    }

private:
    void pass_over(const Property& property, const std::string& where) {
        const bool is_known =
            std::ranges::find(without_effect, property.key) != without_effect.end() ||
            property.key.starts_with("metricsProvider.") || property.key.starts_with("ssl.") ||
            property.key.starts_with("quorum.") || property.key.starts_with("group.") ||
            property.key.starts_with("weight.");
        if (is_known) return say(Level::note, where, property.key + " has no effect here");
        say(Level::warning, where, "unknown key " + property.key + "; it has no effect");
    }

    const std::string& file_name_;
    LoadedZooConfig& into_;
    ZooConfig config_;
    int servers_ = 0;
};

}  // namespace

LoadedZooConfig load_zoo_config(const std::string& file_name, std::string_view text) {
    LoadedZooConfig loaded;
    Loading loading(file_name, loaded);
    const auto properties = parse_properties(text);
    if (!properties) {
        loading.say(Level::error, file_name + ":" + std::to_string(properties.error().line),
                    properties.error().detail);
        return loaded;
    }
    for (const Property& property : *properties) loading.take(property);
    loading.finish();
    return loaded;
}

}  // namespace broker

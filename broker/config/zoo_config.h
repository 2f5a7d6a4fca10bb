// ZooConfig: a zoo.cfg, the file that the metadata service is told by when it runs alone.
//
// Keys, defaults and what they allow are Apache ZooKeeper's, also those that it takes as Java
// properties (jute.maxbuffer, enforceQuota). What differs:
//   - old journals and snapshots are deleted unless autopurge.purgeInterval=0 is written
//   - a key that would make the service less safe if it were passed over is refused: several
//     servers, TLS, SASL; other keys without effect are noted
//   - clientPort=0 is any free port
//
// Source: Apache ZooKeeper's QuorumPeerConfig and its administrator's guide (3.8.4, 3.9).
#pragma once

#include "broker/config/load.h"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

struct ZooConfig {
    std::string data_dir;
    std::string data_log_dir;  // As data_dir when the file does not name it.
    std::int32_t client_port = -1;
    std::string client_port_address;  // Empty: every interface.
    std::int32_t tick_ms = 3000;
    std::int32_t session_timeout_min_ms = -1;  // 2 ticks when the file does not say.
    std::int32_t session_timeout_max_ms = -1;  // 20 ticks, likewise.
    std::int32_t connections_per_host_max = 60;
    std::int32_t frame_bytes_max = 0xfffff;
    std::int32_t snapshot_every_transactions = 100'000;
    std::int64_t snapshot_every_kib = 4 << 20;
    std::int32_t journal_room_kib = 64 << 10;
    std::int32_t snapshots_kept = 3;
    bool purges = true;
    std::vector<std::string> words{"srvr"};  // Four-letter words; "*" is all.
    bool admin_enabled = true;
    bool admin_asked = false;  // The file names a key of the admin server.
    std::string admin_address = "0.0.0.0";
    std::int32_t admin_port = 8080;
    std::string admin_url = "/commands";
    std::string super_digest;  // "super:" and a digest; empty: nobody is.
    bool enforces_quotas = false;
    std::int32_t reap_every_ms = 60'000;  // Containers and nodes whose time is over.
};

struct LoadedZooConfig {
    std::optional<ZooConfig> config;  // Nothing if and only if a message is an error.
    std::vector<ConfigMessage> messages;
};

LoadedZooConfig load_zoo_config(const std::string& file_name, std::string_view text);

}  // namespace broker

// Commands: the sub-commands of the one binary. Each takes the words behind its name and
// returns the exit code; main.cc has them in a table.
#pragma once

#include <string>
#include <vector>

namespace broker {

using Words = std::vector<std::string>;

int run_broker_api_versions(const Words& words);
int run_cluster(const Words& words);
int run_config(const Words& words);
int run_configs(const Words& words);
int run_console_consumer(const Words& words);
int run_console_producer(const Words& words);
int run_consumer_offset_checker(const Words& words);
int run_consumer_groups(const Words& words);
int run_consumer_perf_test(const Words& words);
int run_delete_records(const Words& words);
int run_dump_log(const Words& words);
int run_get_offsets(const Words& words);
int run_export(const Words& words);
int run_import(const Words& words);
int run_leader_election(const Words& words);
int run_log_dirs(const Words& words);
int run_metadata(const Words& words);
int run_preferred_replica_election(const Words& words);
int run_producer_perf_test(const Words& words);
int run_reassign_partitions(const Words& words);
int run_server(const Words& words);
int run_topics(const Words& words);
int run_zk_cli(const Words& words);

}  // namespace broker

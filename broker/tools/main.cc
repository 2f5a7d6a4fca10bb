// milena: one binary; the first word says what it is to be.

#include "broker/tools/commands.h"
#include "broker/tools/tool.h"

#include <algorithm>
#include <csignal>
#include <iostream>
#include <span>

namespace {

struct Command {
    const char* name;
    int (*run)(const broker::Words& words);
    const char* purpose;
};

constexpr Command commands[] = {
    {"broker-api-versions", broker::run_broker_api_versions,
     "the versions of each API that brokers speak"},
    {"cluster", broker::run_cluster, "cluster id, end points, API versions"},
    {"config", broker::run_config, "check FILE: what is wrong in a server.properties"},
    {"configs", broker::run_configs, "show and change configurations of topics and brokers"},
    {"console-consumer", broker::run_console_consumer, "records of topics to standard output"},
    {"console-producer", broker::run_console_producer, "lines of standard input to a topic"},
    {"consumer-groups", broker::run_consumer_groups,
     "consumer groups: list, describe, reset offsets, delete"},
    {"consumer-offset-checker", broker::run_consumer_offset_checker,
     "how far consumers with offsets in ZooKeeper have come"},
    {"consumer-perf-test", broker::run_consumer_perf_test, "how fast records are read"},
    {"delete-records", broker::run_delete_records, "delete records of partitions up to an offset"},
    {"dump-log", broker::run_dump_log, "what segment files hold, without a broker"},
    {"get-offsets", broker::run_get_offsets, "offsets of partitions, by time"},
    {"export", broker::run_export, "FILE.properties --zookeeper: tell Apache Kafka's ZooKeeper of the topics here"},
    {"import", broker::run_import, "FILE.properties: take over log directories of Apache Kafka"},
    {"leader-election", broker::run_leader_election,
     "elect leaders: preferred replicas, or any that live"},
    {"log-dirs", broker::run_log_dirs, "sizes of partitions in the brokers' log directories"},
    {"metadata", broker::run_metadata, "zoo.cfg: the metadata service alone, in the foreground"},
    {"preferred-replica-election", broker::run_preferred_replica_election,
     "leadership back to preferred replicas"},
    {"producer-perf-test", broker::run_producer_perf_test, "how fast records are written"},
    {"reassign-partitions", broker::run_reassign_partitions,
     "partitions to other brokers or log directories"},
    {"server", broker::run_server, "FILE.properties: a broker in the foreground"},
    {"topics", broker::run_topics, "create, list, describe, alter and delete topics"},
    {"zk-cli", broker::run_zk_cli, "the shell of ZooKeeper"},
};

void print_help(std::ostream& out) {
    out << "milena: a Kafka-compatible broker and its tools\n\n"
           "usage: milena COMMAND [OPTIONS]        milena COMMAND --help        milena "
           "--version\n\n";
    for (const auto& command : commands) {
        std::string name = command.name;
        name.resize(28, ' ');
        out << "  " << name << command.purpose << "\n";
    }
    out << "\nThe tools also go by their stock names: scripts/kafka-topics.sh is milena topics.\n";
}

}  // namespace

int main(int count, char** arguments) {
    std::signal(SIGPIPE, SIG_IGN);
    std::ios::sync_with_stdio(false);
    const std::span words(arguments, static_cast<std::size_t>(count));
    if (words.size() < 2) {
        print_help(std::cerr);
        return 1;
    }
    const std::string_view name = words[1];
    if (name == "--help" || name == "-h" || name == "help") {
        print_help(std::cout);
        return 0;
    }
    if (name == "--version") {
        std::cout << "milena " << broker::version_text() << "\n";
        return 0;
    }
    const auto* const found = std::ranges::find(commands, name, &Command::name);
    if (found == std::end(commands)) {
        std::cerr << "milena: there is no command " << name << "; see milena --help\n";
        return 1;
    }
    return found->run(broker::Words(words.begin() + 2, words.end()));
}

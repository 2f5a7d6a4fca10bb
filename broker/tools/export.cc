// milena export: make a ZooKeeper know what our metadata knows, so that Apache Kafka can go on with
// the log directories.
//
// The broker is stopped; no broker may use that ZooKeeper. Nothing of ours is changed.

#include "broker/cluster/znodes.h"
#include "broker/import/export_plan.h"
#include "broker/tools/commands.h"
#include "broker/tools/offline.h"
#include "broker/tools/tool.h"
#include "coordinator/metadata/client/client.h"
#include "coordinator/metadata/recovery.h"
#include "protocol/base/random.h"

#include <chrono>
#include <iostream>
#include <set>

namespace broker {

using coordinator::MetadataClient;
using coordinator::ZkError;
namespace request = coordinator::request;

namespace {

constexpr auto connect_time = std::chrono::seconds(30);

class Export {
public:
    Export(const Options& options, const BrokerConfig& config)
        : where_(options.get_or("zookeeper", "")), is_dry_run_(options.has("dry-run")) {
        read_ours(config);
        connect();
    }

    int run() {
        refuse_while_used();
        const auto plan = plan_export(nodes_, look());
        if (!plan) throw ToolError("ZooKeeper at " + where_ + ": " + plan.error());
        if (!is_dry_run_) {
            for (const auto& transaction : plan->transactions) write(transaction);
        }
        std::cout << (is_dry_run_ ? "Would create " : "Created ") << plan->created << " nodes and "
                  << (is_dry_run_ ? "change " : "changed ") << plan->changed << " in ZooKeeper at "
                  << where_ << "\n";
        name_what_is_only_there();
        client_->close();
        return 0;
    }

private:
    void read_ours(const BrokerConfig& config) {
        const auto directory = config.milena_metadata_dir.value_or(config.data_dirs().front());
        if (!coordinator::holds_metadata(storage::real_disk(), directory))
            throw ToolError(directory + " holds no metadata of Milena");
        const auto metadata = open_metadata(directory);
        const auto read = metadata->read([&](const coordinator::Tree& tree) {
            nodes_ = nodes_to_export(tree);
            const auto topics = tree.children(znodes::path::topics);
            if (topics) topics_ = {topics->names.begin(), topics->names.end()};
            return true;
        });
        if (!read) throw ToolError("the metadata in " + directory + " cannot be read");
    }

    void connect() {
        MetadataClient::Settings settings;
        settings.at = must(coordinator::parse_connect_string(where_));
        settings.random = base::random_bytes;
        client_.emplace(std::move(settings));
        const auto state = client_->wait_settled(connect_time);
        if (state != MetadataClient::State::connected)
            throw ToolError("no ZooKeeper answers at " + where_ + " (" + to_string(state) + ")");
        if (const auto made = client_->make_chroot(); !made) fail(made.error(), "the chroot");
    }

    [[noreturn]] void fail(ZkError error, const std::string& at) const {
        throw ToolError("ZooKeeper at " + where_ + ": " + coordinator::to_string(error) + " at " +
                        at +
                        (error == ZkError::bad_version || error == ZkError::node_exists
                             ? ": somebody changed it meanwhile; run the export again"
                             : ""));
    }

    // The names of a node's children; none of a node that is not there.
    std::vector<std::string> children(std::string_view at) {
        auto found = client_->ask(request::children(std::string(at)));
        if (found) return std::move(found->names);
        if (found.error() != ZkError::no_node) fail(found.error(), std::string(at));
        return {};
    }

    void refuse_while_used() {
        const auto brokers = children(znodes::path::broker_ids);
        if (brokers.empty()) return;
        throw ToolError("ZooKeeper at " + where_ + ": broker " + brokers.front() +
                        " uses it; stop it first, or wait for its session to end");
    }

    std::vector<std::optional<coordinator::NodeView>> look() {
        std::vector<coordinator::Request<coordinator::NodeView>> requests;
        for (const auto& node : nodes_) requests.push_back(request::get(node.path));
        auto answers = client_->ask_all(std::move(requests));
        std::vector<std::optional<coordinator::NodeView>> there;
        for (std::size_t i = 0; i < answers.size(); ++i) {
            if (!answers[i] && answers[i].error() != ZkError::no_node)
                fail(answers[i].error(), nodes_[i].path);
            there.push_back(answers[i] ? std::optional(std::move(*answers[i])) : std::nullopt);
        }
        return there;
    }

    void write(const std::vector<coordinator::Op>& transaction) {
        const auto done = client_->submit_and_wait(transaction);
        if (!done) fail(done.error().error, "a write");
    }

    void name_what_is_only_there() {
        for (const auto& topic : children(znodes::path::topics)) {
            if (!topics_.contains(topic))
                std::cout << "Topic " << topic << " is only there, and stays\n";
        }
    }

    const std::string where_;
    const bool is_dry_run_;
    std::vector<ExportedNode> nodes_;
    std::set<std::string> topics_;
    std::optional<MetadataClient> client_;
};

}  // namespace

int run_export(const Words& words) {
    Options options(
        "milena export FILE.properties --zookeeper HOST:PORT: tell a ZooKeeper of the topics, "
        "configurations and producer ids, so that Apache Kafka can be started on the log "
        "directories. The server is stopped; nothing of its files is changed.");
    add_configuration_options(options, "log.dirs, milena.metadata.dir.");
    options.value("zookeeper", "host:port[/chroot]", "The ZooKeeper of the Kafka to come.");
    options.flag("dry-run", "Say what would be written, and write nothing.");
    return run_tool(options, words, [&] {
        if (!options.has("zookeeper")) throw UsageError("--zookeeper is missing");
        return Export(options, *read_configuration(options)).run();
    });
}

}  // namespace broker

// milena import: take over log directories that Apache Kafka wrote.
//
//     look    locks log.dirs and finds out what is there; changes nothing
//     plan    what the metadata tree has to know; every refusal comes before the first change
//     write   into the tree; /cluster/id comes last, and makes the import whole
//
// Run again, it does what is still to be done.

#include "broker/import/kraft_source.h"
#include "broker/import/plan.h"
#include "broker/import/transactional_ids.h"
#include "broker/import/zookeeper_source.h"
#include "broker/tools/commands.h"
#include "broker/tools/offline.h"
#include "broker/tools/tool.h"
#include "coordinator/metadata/recovery.h"
#include "protocol/base/random.h"

#include <chrono>
#include <iostream>

namespace broker {

namespace {

constexpr auto zookeeper_time = std::chrono::minutes(2);

base::Uuid random_uuid() {
    base::Uuid id;
    do {
        base::random_bytes(id);
    } while (storage::uuid_text(id).starts_with('-'));
    return id;
}

class Import {
public:
    Import(const Options& options, std::shared_ptr<const BrokerConfig> config)
        : options_(options), config_(std::move(config)) {}

    int run() {
        look();
        const auto identity = must(identify(directories_, base::BrokerId(config_->broker_id)));
        find_source();
        std::cout << "Broker " << identity.broker.value() << " of cluster "
                  << (identity.cluster.empty() ? "(unnamed)" : identity.cluster) << ", in "
                  << config_->log_dirs << "\n";
        if (source_)
            std::cout << "Topics and configurations are those of " << source_->where << "\n";

        const ImportInput input{.identity = identity,
                                .directories = directories_,
                                .source = source_ ? &*source_ : nullptr,
                                .config = *config_,
                                .max_producer = must(highest_transactional_producer(
                                    storage::real_disk(), directories_)),
                                .accept = options_.has("accept"),
                                .draw_uuid = random_uuid};
        const auto where = config_->milena_metadata_dir.value_or(directories_.front().path);
        if (!coordinator::holds_metadata(storage::real_disk(), where)) {
            // Whatever refuses the import does so before there is a file of ours.
            static_cast<void>(must(plan_import(input, coordinator::Tree())));
        }
        metadata_ = open_metadata(where);
        const auto plan = metadata_->read(
            [&](const coordinator::Tree& tree) { return plan_import(input, tree); });
        if (!plan) throw ToolError("the metadata in " + where + " cannot be read");
        if (!*plan) throw ToolError(plan->error());
        write(**plan);
        metadata_->stop();
        report(**plan);
        return 0;
    }

private:
    void look() {
        auto& disk = storage::real_disk();
        for (const auto& path : config_->data_dirs()) {
            auto lock = disk.lock(std::filesystem::path(path) / storage::lock_file);
            if (!lock) throw ToolError(lock.error().detail);
            locks_.push_back(std::move(*lock));
            auto survey = storage::survey(disk, path);
            if (!survey) throw ToolError(survey.error().detail);
            directories_.push_back({path, std::move(*survey)});
        }
    }

    void find_source() {
        if (const auto zookeeper = options_.get("zookeeper")) {
            source_ = must(
                read_zookeeper_source(must(parse_zookeeper(*zookeeper)), after(zookeeper_time)));
            return;
        }
        std::vector<std::string> candidates;
        if (const auto named = config_->value("metadata.log.dir")) candidates.push_back(*named);
        for (const auto& each : directories_) {
            if (each.survey.has_cluster_metadata) candidates.push_back(each.path);
        }
        if (candidates.empty()) return;
        source_ =
            must(read_kraft_source(storage::real_disk(), std::filesystem::path(candidates.front()) /
                                                             "__cluster_metadata-0"));
    }

    void write(const ImportPlan& plan) {
        for (const auto& transaction : plan.transactions) {
            const auto done = metadata_->submit_and_wait(transaction);
            if (!done)
                throw ToolError("the metadata could not be stored: " +
                                coordinator::to_string(done.error().error) +
                                "; run the import again");
        }
    }

    void report(const ImportPlan& plan) const {
        for (const auto& note : plan.notes) std::cout << note << "\n";
        if (plan.transactions.empty()) std::cout << "Nothing was to be done: all is imported\n";
        if (plan.topics + plan.partitions > 0) {
            std::cout << "Imported " << plan.topics << " topics with " << plan.partitions
                      << " partitions and " << plan.bytes << " bytes of records\n";
        }
        if (plan.configured > 0)
            std::cout << plan.configured << " topics have their configuration now\n";
        if (plan.accepted > 0)
            std::cout << plan.accepted
                      << " topics are accepted with the configuration that they have\n";
        const auto named = config_->value("zookeeper.connect");
        if (named) {
            std::cout << "zookeeper.connect is set: take it out, or the broker uses the metadata "
                         "at "
                      << *named << " and not these\n";
        }
        if (plan.held == 0) return;
        std::cout << plan.held
                  << " topics have no known configuration: they are served, but nothing of them is "
                     "deleted or "
                     "compacted until milena import with --zookeeper HOST:PORT, which reads it, or "
                     "--accept";
        if (named) std::cout << " (zookeeper.connect is " << *named << ")";
        std::cout << "\n";
    }

    const Options& options_;
    std::shared_ptr<const BrokerConfig> config_;
    std::vector<std::unique_ptr<storage::FileLock>> locks_;
    std::vector<SurveyedDirectory> directories_;
    std::optional<Source> source_;
    std::unique_ptr<coordinator::MetadataService> metadata_;
};

}  // namespace

int run_import(const Words& words) {
    Options options(
        "milena import FILE.properties: take over the log directories that Apache Kafka wrote, so "
        "that the server starts on "
        "them. No record is changed or deleted.");
    add_configuration_options(options,
                              "log.dirs, metadata.log.dir, broker.id, milena.metadata.dir.");
    options.value("zookeeper", "host:port[/chroot]",
                  "Take topics, configurations and producer ids from the ZooKeeper of that Kafka.");
    options.flag("accept",
                 "Topics whose configuration nobody knows: take the defaults from now on, "
                 "retention included; partitions "
                 "whose directory is missing: begin them empty.");
    return run_tool(options, words,
                    [&] { return Import(options, read_configuration(options)).run(); });
}

}  // namespace broker

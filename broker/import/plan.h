// Plan: what an import adds to the metadata tree, so that this broker serves log directories
// that Apache Kafka wrote.
//
//     surveys of the directories   --+
//     the source, if there is one  --+--> plan_import --> transactions for the tree
//     what the tree has already    --+                    what to tell people
//
// Topics come from directory names and partition.metadata, all else from the source. A topic
// that no source knows is held: neither retention nor compaction touches it until somebody
// accepts it (held_topics, one node a topic). Nothing of the tree is taken away or changed but
// that: what the tree knows of a topic stands.
//
// Producer ids of ours begin far above all that Apache Kafka gave, and will give on the way back.
//
// The last operation of the last transaction makes /cluster/id. A tree without it is that of
// an import that did not finish: no broker starts on it, and the next import makes it whole.
//
// Threads: pure. Source: design of Kafka's znodes (broker/cluster/znodes.h).
#pragma once

#include "broker/config/broker_config.h"
#include "broker/import/source.h"
#include "coordinator/metadata/tree.h"
#include "protocol/base/result.h"
#include "storage/survey.h"

#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace broker {

struct SurveyedDirectory {
    std::string path;
    storage::Survey survey;
};

// Whose directories they are.
struct ImportIdentity {
    base::BrokerId broker;
    std::string cluster;  // Empty: of an Apache Kafka that wrote none.
};

// Hold meta.properties of all directories against one another and against broker.id
// (`wanted`, negative when it is not set). Errors: one line with file and remedy.
[[nodiscard]] base::Result<ImportIdentity, std::string> identify(
    const std::vector<SurveyedDirectory>& directories, base::BrokerId wanted);

struct ImportInput {
    ImportIdentity identity;
    const std::vector<SurveyedDirectory>& directories;
    const Source* source = nullptr;  // May be null.
    const BrokerConfig& config;
    base::ProducerId max_producer{-1};  // Of transactional ids, beyond what the surveys saw.
    bool accept = false;
    std::function<base::Uuid()> draw_uuid;
};

struct ImportPlan {
    std::vector<std::vector<coordinator::Op>> transactions;  // In this order; none: nothing to do.
    std::vector<std::string> notes;                          // One line each, for people.
    std::size_t topics = 0;                                  // That become known,
    std::size_t partitions = 0;  // with as many directories of this broker,
    std::uint64_t bytes = 0;     // and as many bytes of records.
    std::size_t configured = 0;  // Held topics that got their configuration from the source.
    std::size_t accepted = 0;    // Held topics that are free now.
    std::size_t held = 0;        // Topics that are held afterwards.
};

// What `tree` lacks. Errors: one line with file and remedy; nothing is to be changed then.
[[nodiscard]] base::Result<ImportPlan, std::string> plan_import(const ImportInput& input,
                                                                const coordinator::Tree& tree);

}  // namespace broker

// Opening: the first steps of a start: log directories, metadata, Kafka's paths in them.
//
// Each is one line for people when it fails, with file and remedy.
#pragma once

#include "broker/cluster/cluster_core.h"
#include "broker/cluster/topic_control.h"

#include <boost/asio/thread_pool.hpp>

#include <string>

namespace broker {

// Take the log directories.
[[nodiscard]] base::Result<void, std::string> open_log_directories(ClusterCore& core,
                                                                   boost::asio::thread_pool& disk);

// Where zookeeper.connect says, or in this process: then the result is the service.
[[nodiscard]] base::Result<coordinator::MetadataService*, std::string> open_store(
    ClusterCore& core);

// Kafka's persistent paths, and the cluster's finalised features, of which there are none: every
// broker of any release supports that. Only what is not there yet.
[[nodiscard]] base::Result<void, std::string> make_paths(ClusterCore& core);

// A topic that was being deleted when the broker stopped is deleted before anything is loaded. One
// that other brokers have too is the controller's to delete: then this one has company.
[[nodiscard]] base::Result<void, std::string> finish_deletions(ClusterCore& core,
                                                               TopicControl& topics);

// What to say where logs are found that no metadata describe.
std::string never_imported(const BrokerConfig& config);

}  // namespace broker

// IsrKeeper: the ISRs of the partitions that this broker leads, as the cluster's controller has
// them.
//
//     a follower has caught up (ask) ---.
//     replica.lag.time.max.ms / 2 ------+--> wanted_ --> AlterPartition --> controller
//                                                              |
//     Partition::isr_answered <--- what its state is now  <----'
//
// It also leaves the controller a note, in the tree, that a log directory of this broker has
// failed: the controller asks then which replicas are lost.
//
// With an inter.broker.protocol.version below 2.7 nobody is asked: the leader writes the ISR into
// the tree, and leaves the controller a note (isr_writer.h).
//
// One request at a time; what gathers meanwhile goes with the next. When the controller cannot be
// reached, or is not the controller any more, the same is asked of the next one.
//
// A proposal is taken back only when the controller has refused it for good. After any other answer
// it may be in force, of an attempt whose answer was lost, and holds the high watermark back until
// the controller gives this partition its next role.
//
// Threads: one of its own; ask() and directory_failed() from any.
// Limits: one wish a partition, which has one proposal at a time.
//
// Rules: facts/zookeeper-mode-cluster.md §4.5; facts/kafka.md §3.5.
#pragma once

#include "broker/client/connection.h"
#include "broker/cluster/image.h"
#include "broker/cluster/metadata_store.h"
#include "broker/replica/partition.h"
#include "protocol/schema/api/alter_partition.h"

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>

namespace broker {

class IsrKeeper {
public:
    struct Ports {
        std::function<ImagePointer()> image;
        std::function<std::int64_t()> broker_epoch;
        std::function<std::int64_t()> steady_ms;
        std::function<MetadataStore&()> store;
    };

    explicit IsrKeeper(Ports ports) : ports_(std::move(ports)) {}
    ~IsrKeeper() { stop(); }

    void start();
    void stop();

    // Have the controller store it.
    void ask(const std::shared_ptr<Partition>& partition, IsrRequest request);

    void directory_failed();

private:
    struct Wish {
        std::shared_ptr<Partition> partition;
        IsrRequest request;
    };
    using Wishes = std::map<base::TopicPartition, Wish>;
    using Response = protocol::AlterPartitionResponse;

    void run();
    void look_for_laggards(const ClusterImage& image);
    bool send(const ClusterImage& image, std::int16_t version_max, Wishes& wishes);
    void write(const ClusterImage& image, Wishes& wishes);
    void leave_notes(const ClusterImage& image);
    bool has_notes() const noexcept { return is_failure_unnoted_ || !unnoted_.empty(); }
    bool connect(const ClusterImage& image);
    void disconnect();
    static bool take(const Wish& wish, const Response& response);

    const Ports ports_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Wishes wanted_;
    bool has_lost_directory_ = false;
    bool stopping_ = false;
    int descriptor_ = -1;  // Of the connection, for stop().

    // The thread's.
    std::optional<Connection> connection_;
    Address controller_;
    bool told_ = false;  // That it cannot be reached.
    // What the controller is to hear of: ISRs that were written, and a directory that failed.
    std::set<base::TopicPartition> unnoted_;
    bool is_failure_unnoted_ = false;
    std::thread thread_;
};

}  // namespace broker

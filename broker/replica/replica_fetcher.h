// ReplicaFetcher: brings this broker's followers what their leader appends.
//
//     controller thread: add(), remove()          the fetcher's thread
//                          |                        positions --> one Fetch for all of them
//                          v                        <-- records, high watermark, or where to cut
//                      assigned_  ------------>     append_fetched, cut_diverging, start_over
//
// One connection to one leader. A partition whose answer is an error rests for the back-off, and
// the others go on. The leader is told by the offset of the next Fetch what was stored.
//
// A leader that is asked with Fetch version 12 or above (Apache Kafka 2.7 and up) tells in its
// answer from where on the logs differ. An older one is asked first, once a term, where the last
// epoch of this log ended there, until both have the same one; one that knows no epochs is not
// believed beyond the high watermark.
//
// Threads: one of its own; add(), remove() and stop() are for one thread at a time.
// Limits: one Fetch at a time, whose answer replica.fetch.response.max.bytes bounds.
//
// Rules: facts/kafka.md §3.6.
#pragma once

#include "broker/client/connection.h"
#include "broker/config/interbroker_versions.h"
#include "broker/replica/leader_session.h"
#include "broker/replica/partition.h"
#include "protocol/schema/api/fetch.h"

#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

namespace broker {

class ReplicaFetcher {
public:
    struct Settings {
        base::BrokerId self;
        Address leader;
        std::string client_id;
        std::int32_t wait_ms = 500;                  // replica.fetch.wait.max.ms
        std::int32_t bytes_min = 1;                  // replica.fetch.min.bytes
        std::int32_t bytes_max = 10 << 20;           // replica.fetch.response.max.bytes
        std::int32_t partition_bytes_max = 1 << 20;  // replica.fetch.max.bytes
        std::chrono::milliseconds backoff{1000};     // replica.fetch.backoff.ms
        std::chrono::milliseconds timeout{30'000};   // replica.socket.timeout.ms
        InterbrokerVersions versions = interbroker_versions({});  // The newest to ask in.
        std::function<std::int64_t()> wall_ms;
        // Whether a partition is not to be asked for now, since replication takes too much; and
        // what was fetched of it.
        std::function<bool(const base::TopicPartition&)> is_held_back;
        std::function<void(const base::TopicPartition&, std::size_t bytes)> took;
    };

    explicit ReplicaFetcher(Settings settings);
    ~ReplicaFetcher();

    // Fetch for this follower of that term.
    void add(const std::shared_ptr<Partition>& partition, base::LeaderEpoch epoch);
    // Do not, from now on: nothing is stored in it any more when this returns.
    void remove(const base::TopicPartition& at);
    void stop();

    const Address& leader() const noexcept { return settings_.leader; }

private:
    struct Assigned {
        std::shared_ptr<Partition> partition;
        base::LeaderEpoch epoch;
        Deadline rests_until;
        bool is_aligned = false;  // With a leader that does not tell where the logs differ.
    };
    struct Wanted {
        Assigned assigned;
        FollowerPosition from;
    };
    using Round = std::map<base::TopicPartition, Wanted>;
    using Answer = protocol::FetchResponse::Topic::Partition;

    void run();
    std::optional<Round> next_round();
    bool connect();
    void lose(const ClientFault& fault);
    [[nodiscard]] bool fetch(const Round& round);
    bool tells_divergence() const;
    [[nodiscard]] bool align_all(Round& round);
    protocol::ErrorCode align(const Wanted& wanted);
    void take(const Round& round, const protocol::FetchResponse& answer);
    protocol::ErrorCode take(const Wanted& wanted, const Answer& answer);
    protocol::ErrorCode come_into_range(const Wanted& wanted);
    [[nodiscard]] base::Result<base::Offset, protocol::ErrorCode> ask_offset(
        const Wanted& wanted, std::int64_t timestamp);
    [[nodiscard]] base::Result<storage::EpochEnd, protocol::ErrorCode> ask_epoch_end(
        const Wanted& wanted, base::LeaderEpoch epoch);
    bool begin(const base::TopicPartition& at, base::LeaderEpoch epoch);
    void finish(const base::TopicPartition& at, base::LeaderEpoch epoch, protocol::ErrorCode error);

    const Settings settings_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::map<base::TopicPartition, Assigned> assigned_;
    std::optional<base::TopicPartition> busy_;  // What is being stored is this one's.
    int descriptor_ = -1;                       // Of the connection, for stop().
    bool stopping_ = false;

    std::optional<Connection> connection_;  // The thread's.
    LeaderSession session_;                 // Likewise.
    bool told_ = false;                     // That the leader cannot be reached.
    std::thread thread_;
};

}  // namespace broker

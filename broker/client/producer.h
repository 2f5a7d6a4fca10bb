// Producer: sends records to the leaders of their partitions, in batches.
//
//     send() → open batch of the partition → full, or linger_ms old → sender thread →
//     one request per leader → answer → on_batch
//
// Invariants:
//   - a partition has at most one batch under way, so its records keep their order over any
//     number of retries; what arrives meanwhile makes the next batch larger instead
//   - with `idempotent`, a batch that is sent again is the same bytes with the same sequence
//     numbers, so it is written once
//   - a batch that the topic finds too large is cut in halves until it fits or is one record
//
// Threads: send(), flush() and close() from one thread; a thread of its own talks to the
// cluster, and calls on_batch. Limits: buffer_bytes in memory, then send() waits.
#pragma once

#include "broker/client/cluster.h"
#include "broker/client/partitioner.h"
#include "protocol/records/batch_builder.h"

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <unordered_map>
#include <vector>

namespace broker::inline client {

// What became of one batch.
struct BatchOutcome {
    std::string_view topic;
    base::PartitionIndex partition;
    std::int32_t records;
    std::size_t bytes;                         // Keys and values.
    std::span<const std::int64_t> started_us;  // Per record, when send() was called; if timed.
    std::optional<base::Offset> base_offset;   // Nothing with acks=0.
    std::optional<ClientFault> fault;
};

struct ProducerSettings {
    std::int16_t acks = -1;
    bool idempotent = true;  // Only with acks=-1.
    records::Codec codec = records::Codec::none;
    std::optional<int> level = std::nullopt;
    std::size_t batch_bytes = 16'384;
    std::size_t grown_batch_bytes = 256 * 1024;  // What a batch that has to wait may grow to.
    std::chrono::milliseconds linger{0};
    std::size_t buffer_bytes = std::size_t{32} << 20;
    std::chrono::milliseconds max_block{60'000};
    std::chrono::milliseconds delivery_timeout{120'000};
    std::chrono::milliseconds request_timeout{30'000};
    std::int32_t retries = std::numeric_limits<std::int32_t>::max();
    bool timed = false;
    std::function<void(const BatchOutcome&)> on_batch = {};
};

class Producer {
public:
    Producer(ClientSettings client, ProducerSettings settings);

    // Sends what is queued, as close() does.
    ~Producer();
    Producer(const Producer&) = delete;
    Producer& operator=(const Producer&) = delete;

    // Queue a record; waits while the buffer is full. `partition` or, without one, that of
    // the key. Faults: the topic is not there, or nothing became free in max_block.
    [[nodiscard]] ClientResult<void> send(const std::string& topic,
                                          const records::NewRecord& record,
                                          std::optional<base::PartitionIndex> partition = {});

    // Until all that was queued has its outcome.
    void flush();

    void close();

private:
    struct Batch {
        std::vector<std::byte> bytes;  // Of the request; with its sequence once it has one.
        std::int32_t records = 0;
        std::size_t payload_bytes = 0;
        std::vector<std::int64_t> started_us;
        Deadline deadline;
        std::int32_t attempts = 0;
        bool has_sequence = false;
    };

    struct Queue {
        Queue(std::string named, base::PartitionIndex at, const records::BatchSettings& settings)
            : topic(std::move(named)), index(at), open(settings) {}

        std::string topic;
        base::PartitionIndex index;
        records::BatchBuilder open;
        std::size_t open_payload_bytes = 0;
        std::vector<std::int64_t> open_started_us;
        Deadline open_since;
        std::deque<records::BatchBuilder> full_builders;  // Closed, not yet compressed.
        std::deque<Batch> ready;                          // The first one goes next.
        std::deque<Batch> full;                           // What belongs to full_builders.
        bool under_way = false;
        Deadline not_before{};      // After a failed attempt.
        std::int32_t sequence = 0;  // Of the next new batch. Sender thread only.
    };

    struct Topic {
        std::vector<std::unique_ptr<Queue>> partitions;
        std::vector<base::PartitionIndex> with_leader;
        std::unique_ptr<StickyPartition> sticky;
    };

    struct UnderWay {
        Queue* queue;
        Batch batch;
    };

    struct Request {
        std::vector<UnderWay> parts;
        Deadline deadline;
    };

    [[nodiscard]] ClientResult<Topic*> topic_of(const std::string& name);
    void close_batch(Queue& queue);
    void wake();

    // The sender thread.
    void run();
    [[nodiscard]] Deadline take_ready(std::vector<UnderWay>& ready);
    void dispatch(std::vector<UnderWay> ready);
    void send_to(base::BrokerId leader, std::vector<UnderWay> parts);
    void receive_from(base::BrokerId leader);
    void fail_connection(base::BrokerId leader, const ClientFault& fault);
    void answered(UnderWay part, const ClientFault* fault, base::Offset base_offset);
    void try_again(UnderWay part, const ClientFault& fault);
    void split(UnderWay part);
    void finish(UnderWay& part, const ClientFault* fault, std::optional<base::Offset> base_offset);
    void look_for_topics();
    [[nodiscard]] bool take_topics(const std::vector<std::string>& wanted);
    [[nodiscard]] ClientResult<void> take_producer_id();
    const PartitionView* leader_of(const Queue& queue) const;

    ProducerSettings settings_;
    records::BatchSettings batch_settings_;

    // The sender thread's own.
    Cluster cluster_;
    records::Deflater deflater_;
    std::map<base::BrokerId, std::deque<Request>> under_way_;
    base::ProducerId producer_id_{records::no_producer_id};
    std::int16_t producer_epoch_ = records::no_producer_epoch;
    bool refresh_ = false;
    bool silent_ = false;  // Nobody answered, and that was said.

    // Protected by mutex_.
    std::mutex mutex_;
    std::condition_variable changed_;  // Room, outcomes, topics.
    std::unordered_map<std::string, Topic> topics_;
    std::vector<std::string> wanted_topics_;
    std::unordered_map<std::string, ClientFault> topic_faults_;
    std::size_t buffered_ = 0;
    std::size_t unfinished_ = 0;  // Batches without outcome, open ones with records included.
    bool flushing_ = false;
    bool closing_ = false;
    bool asleep_ = false;

    std::string last_name_;        // send()'s last topic, most often the next one's too.
    Topic* last_topic_ = nullptr;  // Topics are never removed.
    int wake_descriptor_;
    std::thread sender_;
};

}  // namespace broker

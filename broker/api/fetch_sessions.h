// FetchSessions: what a client reads, remembered between its Fetches (KIP-227).
//
//     plan(request)      the partitions to read: those of the request, or of its session
//     answer(plan, …)    the response: all partitions, or those that changed for the session
//
// A session belongs to its client from request to request by id and epoch; the cache holds a
// bounded number, and a client that gets no session sends full requests for ever, which is
// always right.
//
// Rules: facts/kafka.md §3.8.
//
// Threads: any; a mutex for the cache and one for each session.
//
// Limits: max.incremental.fetch.session.cache.slots sessions.
#pragma once

#include "broker/api/context.h"
#include "broker/replica/partition.h"
#include "protocol/schema/api/fetch.h"

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

namespace broker {

// One partition to read.
struct PlannedPartition {
    std::string topic;       // Empty when it was asked for by an id that is not known.
    base::Uuid topic_id{};   // Zero up to version 12.
    base::PartitionIndex index;
    base::Offset fetch_offset;
    base::LeaderEpoch current_leader_epoch{-1};
    base::LeaderEpoch last_fetched_epoch{-1};
    std::int32_t bytes_max = 0;
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Found before reading.
};

class FetchSession;

struct FetchPlan {
    protocol::ErrorCode error = protocol::ErrorCode::none;  // Top level: no partitions then.
    std::vector<PlannedPartition> partitions;
    std::shared_ptr<FetchSession> session;  // Null: none.
    bool is_incremental = false;            // Answer only what changed.
};

// What reading one partition came to.
struct PartitionAnswer {
    protocol::FetchResponse::Topic::Partition answer;
    base::Offset bound;                // Where readable records ended.
    std::shared_ptr<Partition> local;  // To park on; null when there is nothing to wait for.
    bool has_diverged = false;
};

// Takes a waiter off its partitions again, however the wait ends.
struct Unpark {
    std::shared_ptr<FetchWaiter> waiter;
    std::vector<std::shared_ptr<Partition>> partitions;

    Unpark(std::shared_ptr<FetchWaiter> who, std::vector<std::shared_ptr<Partition>> where)
        : waiter(std::move(who)), partitions(std::move(where)) {}
    Unpark(const Unpark&) = delete;
    Unpark& operator=(const Unpark&) = delete;
    ~Unpark() {
        for (const auto& partition : partitions) partition->unpark(waiter);
    }
};

// Records for a client that speaks version 0 to 3, as it can read them. Sets the answer's
// records or error.
void convert_down(const storage::ReadResult& data, const TopicConfig& topic, base::Offset fetch_offset,
                  std::int16_t version, protocol::FetchResponse::Topic::Partition& answer);

class FetchSessions {
public:
    FetchPlan plan(const RequestContext& context, const protocol::FetchRequest& request);
    protocol::FetchResponse answer(const RequestContext& context, const FetchPlan& plan,
                                   std::vector<PartitionAnswer> answers);
};

}  // namespace broker

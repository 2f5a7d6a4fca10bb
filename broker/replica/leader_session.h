// LeaderSession: what a leader remembers of this broker's fetcher from Fetch to Fetch, so that it
// need not be told again (KIP-227).
//
//     begin(asks, request)     all that is wanted, or what of it is new and what is not any more
//     answered(response)       which session the next Fetch goes on with
//     lost()                   nobody knows what the leader has heard: the next one is whole
//
//     id 0, epoch 0    asks for a session          id, epoch 1, 2, …   goes on with it
//                                                  id, epoch 0         closes it, asks for another
//
// A leader that gives no session gets whole Fetches for ever.
//
// Pure. Threads: one at a time. Limits: as many entries as the fetcher has partitions.
//
// Rules: facts/kafka.md §3.8; facts/zookeeper-mode-cluster.md §4.4.
#pragma once

#include "protocol/base/types.h"
#include "protocol/schema/api/fetch.h"

#include <cstdint>
#include <map>

namespace broker {

class LeaderSession {
public:
    // What is asked of one partition.
    struct Ask {
        base::Uuid topic_id{};
        base::LeaderEpoch leader_epoch;
        base::Offset from;
        base::LeaderEpoch last_epoch{-1};
        base::Offset log_start;
        std::int32_t bytes_max = 0;

        friend bool operator==(const Ask&, const Ask&) = default;
    };
    using Asks = std::map<base::TopicPartition, Ask>;

    // Fill in the session, the partitions and those to forget, whose names are borrowed until the
    // next one. Returns whether topics are named by their ids: when all have one. Requires that
    // answered() or lost() is called before the next one.
    bool begin(Asks asks, protocol::FetchRequest& request);

    void answered(const protocol::FetchResponse& response);
    void lost();

private:
    std::int32_t id_ = 0;
    std::int32_t epoch_ = 0;
    bool by_id_ = true;  // Topics of a session have ids, or names.
    Asks told_;
    Asks forgotten_;  // By the request under way; it borrows their names.
};

}  // namespace broker

// Isr: what a leader knows of its followers, and which of them are in sync.
//
//     fetched(follower, offset, now)     every Fetch of a follower moves its end
//     high_watermark()                   what everybody has who may become leader
//     expansion(), shrink()              who should come in or go out --> propose()
//     commit(), reject()                 what the controller said to that
//
//     committed ISR      {1, 2}
//     proposed           {1, 2, 3}       until the controller has answered
//     maximal            {1, 2, 3}       either: these hold the high watermark back
//
// Invariants:
//   - the ISR changes only by what the controller has committed
//   - at most one proposal is out
//   - this broker, the leader, is in sync
//
// Pure: no clock, no I/O. Times are ms of any clock that does not go back.
// Threads: its partition's lock. Limits: as many followers as the partition has replicas.
//
// Rules: facts/kafka.md §3.4.
#pragma once

#include "protocol/base/types.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace broker {

class Isr {
public:
    using Brokers = std::vector<base::BrokerId>;

    // Who has a partition, as the controller wrote it.
    struct Members {
        base::BrokerId self;
        Brokers replicas;
        Brokers isr;
        std::int32_t partition_epoch = 0;  // Version of the state that `isr` is from.
    };

    // What the controller is asked for, and on what it builds.
    struct Proposal {
        Brokers isr;
        std::int32_t partition_epoch = 0;

        friend bool operator==(const Proposal&, const Proposal&) = default;
    };

    // Of a partition whose only replica this broker has.
    Isr() = default;
    // At the beginning of a term as leader: nobody has fetched yet, and whoever is in the ISR has
    // the whole of `lag_ms_max` (replica.lag.time.max.ms) to do so.
    Isr(Members members, std::int64_t now_ms, std::int64_t lag_ms_max);

    // A follower asks for records from `from` on, so it has all before. False when it is none.
    bool fetched(base::BrokerId follower, base::Offset from, base::Offset log_end,
                 std::int64_t now_ms);
    // The follower says that its log starts there. Whether that is news.
    bool starts_at(base::BrokerId follower, base::Offset log_start);

    // Up to where all of these brokers have deleted, whose copy here starts at `log_start`; -1
    // while one of them has not said where its log starts. Followers that are not named do not
    // count.
    base::Offset low_watermark(base::Offset log_start, const Brokers& live) const;
    // The follower in the ISR that has the offset and whose end is the highest, out of these.
    std::optional<base::BrokerId> best_of(const Brokers& candidates, base::Offset offset) const;

    // Up to where everybody has the log, whose copy here ends at `log_end`. Nothing while the ISR
    // has fewer than `isr_min` members: then nothing more is committed.
    std::optional<base::Offset> high_watermark(base::Offset log_end, std::size_t isr_min,
                                               std::int64_t now_ms) const;

    // The ISR with a follower that has caught up with the high watermark and with the start of the
    // leader's term. Nothing when it has not, is in it already, or a proposal is out.
    std::optional<Proposal> expansion(base::BrokerId follower, base::Offset high_watermark,
                                      base::Offset term_start) const;
    // The ISR without those who lag. Nothing when nobody does, or a proposal is out.
    std::optional<Proposal> shrink(base::Offset log_end, std::int64_t now_ms) const;

    // Requires that no proposal is out.
    void propose(const Proposal& proposal);
    // The controller's state, which may be another than what was proposed.
    void commit(Brokers isr, std::int32_t partition_epoch);
    // It stays as it was, or nobody knows: the next proposal will tell.
    void reject();

    bool is_replica(base::BrokerId broker) const noexcept;
    bool is_in_sync(base::BrokerId broker) const noexcept { return has(isr_, broker); }
    bool is_alone() const noexcept { return followers_.empty(); }
    bool has_proposal() const noexcept { return proposed_.has_value(); }
    std::size_t size() const noexcept { return is_alone() ? 1 : isr_.size(); }
    // How many replicas there are, which bounds what min.insync.replicas can ask for.
    std::size_t replica_count() const noexcept { return followers_.size() + 1; }
    const Brokers& members() const noexcept { return isr_; }
    std::int32_t partition_epoch() const noexcept { return partition_epoch_; }

private:
    struct Follower {
        base::BrokerId id;
        base::Offset end{-1};              // -1: it has not fetched in this term.
        base::Offset log_start{-1};        // -1: it has not said.
        std::int64_t caught_up_ms = 0;     // When it last had all there was.
        std::int64_t fetched_ms = 0;       // Its last Fetch ...
        base::Offset leader_end_then{-1};  // ... and where the leader's log ended then.
    };

    const Follower* find(base::BrokerId broker) const noexcept;
    bool has(const Brokers& brokers, base::BrokerId broker) const noexcept;
    bool holds_back(base::BrokerId broker) const noexcept;
    bool is_caught_up(const Follower& follower, base::Offset log_end,
                      std::int64_t now_ms) const noexcept;

    Brokers isr_;
    std::int32_t partition_epoch_ = 0;
    std::int64_t lag_ms_max_ = 0;
    std::vector<Follower> followers_;
    std::optional<Brokers> proposed_;
};

}  // namespace broker

// FetchSessions: what clients read, remembered between their Fetches (KIP-227).
//
//     enter(id, epoch) --> Hold --> the session's partitions, for one Fetch at a time
//     create(…)        --> a session id, or 0: no session
//
//     shard   sessions by id · by last use · by what they are worth to others
//
// A session belongs to its client from request to request by id and epoch. A client that gets
// none sends full requests for ever, which is always right, so the cache may refuse anybody.
// Sessions outlive their connections: they leave when their client closes them, when another
// client's session takes their place, or never.
//
// A Fetch that finds its session in use by an earlier one waits for it; so the partitions of a
// session need no lock, and a client that sends its Fetches ahead gets them answered in turn.
//
// Invariants:
//   - at most one Hold of a session exists
//   - epochs of a session go 1, 2, … and from the largest int32 to 1
//   - partitions_ has each partition once, and those that gave records lately at its end
//
// Threads: FetchSessions: any; one mutex a shard, held for look-ups, and no other lock under
// it. A FetchSession: whoever holds it.
//
// Limits: max.incremental.fetch.session.cache.slots sessions, and bytes_max of memory for all
// of them together.
//
// Rules: facts of Apache Kafka 3.9 (FetchSessionCache): a stale session goes first, not used
// for 2 minutes; else one that is worth less, once it is 2 minutes old: replicas are worth more
// than consumers, then more partitions more than fewer.
#pragma once

#include "protocol/base/result.h"
#include "protocol/base/types.h"
#include "protocol/schema/api/fetch.h"
#include "protocol/schema/error_code.h"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <tuple>
#include <unordered_map>
#include <vector>

namespace broker {

// A topic as a Fetch names it.
struct FetchTopic {
    std::string_view name;  // Empty when it is an id that nobody knew yet.
    base::Uuid id{};        // Zero up to version 12.
};

// One partition to read, and in a session what its client was told last.
struct FetchPartition {
    const FetchTopic* topic = nullptr;
    base::PartitionIndex index;
    base::Offset fetch_offset;
    base::LeaderEpoch current_leader_epoch{-1};
    base::LeaderEpoch last_fetched_epoch{-1};
    base::Offset log_start{-1};  // Of the follower that asks; -1: not said.
    std::int32_t bytes_max = 0;

    base::Offset told_high_watermark{-1};
    base::Offset told_log_start{-1};

    void ask(const protocol::FetchRequest::Topic::Partition& asked) noexcept;

    // Whether the client must hear of this, given what it heard last.
    bool is_news(const protocol::FetchResponse::Topic::Partition& now) const noexcept;
    void told(const protocol::FetchResponse::Topic::Partition& now) noexcept;
};

class FetchSession {
public:
    using Partitions = std::list<FetchPartition>;

    FetchSession(std::int32_t id, bool uses_topic_ids, bool is_replica)
        : id_(id), uses_topic_ids_(uses_topic_ids), is_replica_(is_replica) {}
    FetchSession(const FetchSession&) = delete;
    FetchSession& operator=(const FetchSession&) = delete;

    std::int32_t id() const noexcept { return id_; }
    bool uses_topic_ids() const noexcept { return uses_topic_ids_; }

    Partitions& partitions() noexcept { return partitions_; }
    bool empty() const noexcept { return partitions_.empty(); }
    std::size_t size() const noexcept { return partitions_.size(); }
    std::size_t bytes() const noexcept { return bytes_; }

    // The most that a topic with such a name and so many partitions takes, in bytes.
    static std::size_t cost(std::size_t name_bytes, std::size_t partitions) noexcept;

    // Add a partition at the end, or change what is asked of one that is there. `name` may be
    // empty if only the id is known.
    FetchPartition& set(std::string_view name, const base::Uuid& id,
                        const protocol::FetchRequest::Topic::Partition& asked);
    FetchPartition& add(const FetchPartition& like);
    void forget(std::string_view name, const base::Uuid& id, base::PartitionIndex index);

    // The topic's name has become known. Requires a partition of this session.
    void name(const FetchPartition& of, std::string_view name);

    // The partition gave records: the others have the first go next time.
    void move_to_end(const FetchPartition& partition);

private:
    friend class FetchSessions;

    struct Topic {
        std::string name;
        FetchTopic view;  // What partitions point to.
        std::unordered_map<std::int32_t, Partitions::iterator> partitions;
    };
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view key) const noexcept {
            return std::hash<std::string_view>()(key);
        }
    };

    FetchPartition& place(const FetchTopic& topic, base::PartitionIndex index);
    // Topics go by id if the session does, else by name.
    std::string_view key_of(std::string_view name, const base::Uuid& id) const noexcept;
    Topic* find(const FetchTopic& topic);

    const std::int32_t id_;
    const bool uses_topic_ids_;
    const bool is_replica_;
    Partitions partitions_;
    std::unordered_map<std::string, Topic, Hash, std::equal_to<>> topics_;
    std::size_t bytes_ = sizeof(FetchSession);

    // What follows is the shard's, under its mutex.
    using Worth = std::tuple<bool, std::size_t, std::int32_t>;  // Replica?, partitions, id.
    struct Place {
        std::function<void()> wake;
        bool granted = false;
        bool given_up = false;
    };

    std::int32_t epoch_ = 1;  // The one that the next Fetch must have.
    bool in_use_ = false;
    bool is_cached_ = false;
    std::deque<std::shared_ptr<Place>> queue_;
    std::int64_t created_ms_ = 0;
    std::int64_t used_ms_ = 0;
    std::list<std::shared_ptr<FetchSession>>::iterator by_use_;
    std::size_t settled_size_ = 0;  // Partitions and bytes when it was settled last.
    std::size_t settled_bytes_ = 0;
    std::optional<Worth> for_replicas_;  // Its key in the shard's set, if it is there.
    std::optional<Worth> for_all_;
};

class FetchSessions {
public:
    struct Settings {
        std::int32_t slots = 1000;
        std::function<std::int64_t()> monotonic_ms;
        std::function<void(std::span<std::byte>)> random;
        std::size_t bytes_max = std::size_t{64} << 20;
    };

    explicit FetchSessions(Settings settings);

    // The right to a session, now or as soon as those before are done. Given back when it
    // ends, however it ends.
    class Hold {
    public:
        Hold() = default;
        Hold(Hold&& other) noexcept;
        Hold& operator=(Hold&& other) noexcept;
        ~Hold() { release(); }

        explicit operator bool() const noexcept { return session_ != nullptr; }
        FetchSession& operator*() const noexcept { return *session_; }
        FetchSession* operator->() const noexcept { return session_.get(); }

        // False while an earlier Fetch has it. Until then nothing of the session may be used.
        bool is_granted() const;

        // Have `wake` called once when it is granted, on any thread and without locks. False
        // when it is granted already, and then `wake` is not called.
        bool wake_when_granted(std::function<void()> wake);

        // Whether clients still find the session. One that they do not may be used to the end
        // of this Fetch.
        bool is_open() const;

        void release() noexcept;

    private:
        friend class FetchSessions;
        FetchSessions* sessions_ = nullptr;
        std::shared_ptr<FetchSession> session_;
        std::shared_ptr<FetchSession::Place> place_;  // Null when it was free at once.
    };

    // The session for the request with this epoch; the next one must have the epoch behind.
    // Errors: fetch_session_id_not_found, invalid_fetch_session_epoch,
    // fetch_session_topic_id_error; each leaves the session as it was.
    [[nodiscard]] base::Result<Hold, protocol::ErrorCode> enter(std::int32_t id, std::int32_t epoch,
                                                                bool uses_topic_ids);

    // Whether a held session may grow by what takes this many bytes; see FetchSession::cost.
    bool has_room(std::size_t bytes) const noexcept {
        return bytes <= settings_.bytes_max && this->bytes() <= settings_.bytes_max - bytes;
    }

    // After the partitions of a held session were changed. When none are left the session is
    // closed.
    void settle(FetchSession& session);

    // A session for `partitions` partitions that takes `bytes` at most, filled by `fill`.
    // Returns its id, or 0 when the cache has no place for it.
    std::int32_t create(std::size_t partitions, std::size_t bytes, bool uses_topic_ids,
                        bool is_replica, const std::function<void(FetchSession&)>& fill);

    // The client is done with it. Nothing happens if there is none.
    void close(std::int32_t id);

    // The epoch of the request after one with this epoch.
    static std::int32_t epoch_after(std::int32_t epoch) noexcept;

    std::size_t size() const;
    std::size_t bytes() const noexcept { return bytes_.load(std::memory_order_relaxed); }

private:
    struct Shard {
        std::size_t slots = 0;
        std::int32_t id_min = 0;  // Ids of this shard are [id_min, id_end).
        std::int32_t id_end = 0;
        mutable std::mutex mutex;
        std::unordered_map<std::int32_t, std::shared_ptr<FetchSession>> by_id;
        std::list<std::shared_ptr<FetchSession>> by_use;  // The longest unused at the front.
        std::map<FetchSession::Worth, FetchSession*> for_replicas;  // May give way to a replica's.
        std::map<FetchSession::Worth, FetchSession*> for_all;       // May give way to any.
    };

    Shard* shard_of(std::int32_t id) noexcept;
    std::int32_t new_id(const Shard& shard);
    bool make_room(Shard& shard, FetchSession::Worth worth, std::int64_t now_ms);
    void touch(Shard& shard, FetchSession& session, std::int64_t now_ms);
    void remove(Shard& shard, FetchSession& session);
    void let_go(FetchSession& session, FetchSession::Place* place) noexcept;

    const Settings settings_;
    std::deque<Shard> shards_;
    std::atomic<std::uint32_t> next_shard_{0};
    std::atomic<std::size_t> bytes_{0};
};

}  // namespace broker

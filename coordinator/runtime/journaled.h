// Journaled: a state machine with its lock and its journal: decide, write, apply.
//
//     event --> machine --> writes --> journal --> (committed) --> apply --> replies
//                  |                      |                          ^
//                  v                      v                          |
//          replies that show       failed: undo, replies      restart: replay
//          nothing new
//
// The machine judges an event and hands out writes: records, under a number of its own.
// Journaled appends them in that order while it holds the lock, so the order of the
// journal is the order of the decisions. The journal says what became of each by
// finished(), in whatever order; the machine is told in the order of the journal, so what
// it learned by apply() is a prefix of that.
//
// Threads: a monitor. The lock is held while the journal is appended to, never while
// anybody waits for a commit. Lock order: this lock, then the journal's partition; so the
// journal must not call finished() from inside append(): it posts it, or its caller does.
//
// Limits: writes in flight are bounded by the requests in flight and by the groups.
#pragma once

#include "protocol/schema/error_code.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <iterator>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

namespace coordinator {

// Machine has the types Write (with a member `id`), Reply, Now and Effects
// { vector<Write> writes; vector<Reply> replies; }, and
//   Effects committed(id, Now): apply the write and resolve what it was for
//   Effects failed(id, ErrorCode, Now): the write is not in the journal and never will be
template <class Machine>
class Journaled {
public:
    using Write = typename Machine::Write;
    using Replies = std::vector<typename Machine::Reply>;
    using Now = typename Machine::Now;

    // Append one write's records, all or nothing. With none, finished() is called later; an
    // error means that they are not in the journal and never will be.
    using Append = std::function<protocol::ErrorCode(const Write&)>;

    template <class... Arguments>
    explicit Journaled(Append append, Arguments&&... arguments)
        : machine_(std::forward<Arguments>(arguments)...), append_(std::move(append)) {}

    // Let `event(Machine&)`, which gives Effects, happen, and append what it writes.
    // Returns the replies that can leave now.
    template <class Event>
    [[nodiscard]] Replies happen(Event event, Now now) {
        const std::lock_guard lock(mutex_);
        return settle(event(machine_), now);
    }

    // What became of a write that was appended: it is committed, or `error` befell it.
    [[nodiscard]] Replies finished(decltype(Write::id) id, protocol::ErrorCode error, Now now) {
        const std::lock_guard lock(mutex_);
        for (auto& write : in_flight_) {
            if (write.id == id) write.outcome = error;
        }
        Replies replies;
        while (!in_flight_.empty() && in_flight_.front().outcome) {
            const auto oldest = in_flight_.front();
            in_flight_.pop_front();
            move_into(replies, settle(*oldest.outcome == protocol::ErrorCode::none
                                          ? machine_.committed(oldest.id, now)
                                          : machine_.failed(oldest.id, *oldest.outcome, now),
                                      now));
        }
        return replies;
    }

    // The journal will commit nothing more here: its partition is led by somebody else.
    void forget_in_flight() {
        const std::lock_guard lock(mutex_);
        in_flight_.clear();
    }

    template <class Read>
    auto read(Read look) const {
        const std::lock_guard lock(mutex_);
        return look(std::as_const(machine_));
    }

    // For a change that writes nothing and answers at once: a heartbeat, a replay.
    template <class Touch>
    auto touch(Touch change) {
        const std::lock_guard lock(mutex_);
        return change(machine_);
    }

private:
    struct InFlight {
        decltype(Write::id) id;
        std::optional<protocol::ErrorCode> outcome;  // Known before it is its turn.
    };

    // Append the writes of `effects`, and those that a failed write brings about.
    Replies settle(typename Machine::Effects effects, Now now) {
        Replies replies = std::move(effects.replies);
        std::deque<Write> writes(std::make_move_iterator(effects.writes.begin()),
                                 std::make_move_iterator(effects.writes.end()));
        while (!writes.empty()) {
            const Write write = std::move(writes.front());
            writes.pop_front();
            const auto error = append_(write);
            if (error == protocol::ErrorCode::none) {
                in_flight_.push_back({write.id, std::nullopt});
                continue;
            }
            auto undone = machine_.failed(write.id, error, now);
            move_into(replies, std::move(undone.replies));
            std::ranges::move(undone.writes, std::back_inserter(writes));
        }
        return replies;
    }

    static void move_into(Replies& into, Replies from) {
        std::ranges::move(from, std::back_inserter(into));
    }

    mutable std::mutex mutex_;
    Machine machine_;
    std::deque<InFlight> in_flight_;  // In the order of the journal.
    const Append append_;
};

}  // namespace coordinator

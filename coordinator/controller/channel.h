// Channel: what one broker has still to be told, and what it is being told now.
//
//     lead_or_follow, stop, tell_...  -->  to be told  -- take() -->  under way
//                                              ^                        |  answered()
//                                              +------ unanswered() ----+
//
// What waits is a note of where to look, not a message: the message is made from the image when its
// turn comes, so a broker that is slow or away costs no memory and is told the newest only.
//
// Order, as brokers need it: who lives, then what to lead and follow, then everybody's
// leaders, then what to stop. What is deleted is stopped first.
//
// Invariants:
//   - one message is under way at most
//   - a partition is either to be followed or to be stopped, whichever was wanted last
#pragma once

#include "coordinator/controller/image.h"

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

namespace coordinator::controller {

class Channel {
public:
    enum class Kind { lead_or_follow, metadata, stop };

    struct Stop {
        Key key = 0;
        bool deletes = false;  // In the end.
        bool stopped = false;  // The first of the two messages has been answered.
    };

    // A message's content, by reference.
    struct Message {
        Kind kind = Kind::metadata;
        std::vector<Key> partitions = {};  // Ascending; of the first two kinds.
        std::vector<Stop> stops = {};
    };

    explicit Channel(std::int64_t broker_epoch) : broker_epoch_(broker_epoch) {}

    void lead_or_follow(Key partition);
    // Stop being its replica. It is deleted after it has been stopped.
    void stop(Key partition, bool deletes);
    void tell_metadata(Key partition) { metadata_.push_back(partition); }
    void tell_brokers() { brokers_ = true; }

    // The next message under this id; nothing while one is under way or nothing is to be told.
    std::optional<Message> take(std::uint64_t id);

    // The message was answered: it, to see who is done with what. Of its stops only those that were
    // the last message of theirs. Nothing for another id.
    std::optional<Message> answered(std::uint64_t id);

    // It was not, and may have arrived or not: what it said is told again. Nothing for another id.
    void unanswered(std::uint64_t id);

    // The broker has another epoch than this one: nothing more reaches it here.
    void close();

    std::int64_t broker_epoch() const noexcept { return broker_epoch_; }
    bool is_idle() const noexcept;

private:
    Message next();
    std::optional<Message> take_sent(std::uint64_t id);

    const std::int64_t broker_epoch_;
    bool closed_ = false;
    bool greeted_ = false;  // It has been told who lives.
    bool brokers_ = true;
    std::map<Key, std::optional<Stop>> roles_;  // Nothing: to lead or to follow.
    std::size_t stops_ = 0;                     // Of them.
    std::vector<Key> metadata_;
    std::optional<Message> sent_;
    std::uint64_t sent_id_ = 0;
};

}  // namespace coordinator::controller

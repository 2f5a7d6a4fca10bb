// Turns: requests of one connection that take effect in the order they came, although some
// must wait first.
//
//     auto place = session.produces.join();      behind all who have a place
//     if (!place.is_first()) wait for the wake
//     …                                          what had to be in order
//                                                the place ends: the next one's turn
//
// A request that finds the line empty and need not wait joins nothing.
//
// Threads: the connection's. Places may outlive the Turns.
// Limits: the requests in flight, which the connection bounds.
#pragma once

#include <functional>
#include <list>
#include <memory>
#include <utility>

namespace broker {

class Turns {
    using Line = std::list<std::function<void()>>;  // The wakes; empty while nobody waits.

public:
    class Place {
    public:
        Place(Place&& other) noexcept : line_(std::move(other.line_)), at_(other.at_) {}
        Place& operator=(Place&&) = delete;
        ~Place() {
            if (!line_) return;
            const bool was_first = is_first();
            line_->erase(at_);
            if (!was_first || line_->empty()) return;
            if (const auto wake = std::exchange(line_->front(), nullptr)) wake();
        }

        bool is_first() const noexcept { return line_->begin() == at_; }

        // `wake` is called once, when all before it are gone; it must not end a place itself.
        // Requires that it is not the first.
        void when_first(std::function<void()> wake) const { *at_ = std::move(wake); }

    private:
        friend class Turns;
        explicit Place(std::shared_ptr<Line> line)
            : line_(std::move(line)), at_(line_->emplace(line_->end())) {}

        std::shared_ptr<Line> line_;
        Line::iterator at_;
    };

    bool empty() const noexcept { return line_->empty(); }
    Place join() { return Place(line_); }

private:
    std::shared_ptr<Line> line_ = std::make_shared<Line>();
};

}  // namespace broker

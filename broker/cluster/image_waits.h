// ImageWaits: whoever waits until the cluster's image is as they wish.
//
// Threads: the controller's.
// Limits: one entry a request that waits; each is asked again with every image.
#pragma once

#include "broker/cluster/image.h"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>

namespace broker {

class ImageWaits {
public:
    using Holds = std::function<bool(const ClusterImage&)>;
    using Done = std::function<void(bool)>;

    explicit ImageWaits(boost::asio::thread_pool& controller) : controller_(controller) {}

    // Call `done(true)` when `holds`, `done(false)` when it has not after `patience`.
    void wait(const ClusterImage& now, Holds holds, std::chrono::milliseconds patience, Done done);
    // Another image.
    void look(const ClusterImage& image);
    // Nobody waits any more, nor later on.
    void close();

private:
    struct Entry {
        Holds holds;
        Done done;
        boost::asio::steady_timer deadline;
    };

    void end(std::uint64_t id, bool holds);

    boost::asio::thread_pool& controller_;
    std::map<std::uint64_t, Entry> entries_;
    std::uint64_t next_id_ = 0;
    bool closed_ = false;
};

}  // namespace broker

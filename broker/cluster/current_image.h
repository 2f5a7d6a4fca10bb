// CurrentImage: the latest ClusterImage, for every thread.
//
// Each thread keeps a reference count of its own, so that requests on different cores do not
// fight over one.
//
// Threads: any. publish() is for whoever makes images, one thread at a time.
#pragma once

#include "broker/cluster/image.h"

#include <atomic>
#include <cstdint>
#include <functional>
#include <mutex>
#include <utility>

namespace broker {

class CurrentImage {
public:
    // Images hold partitions, which must not outlive the log directories. All other threads that
    // looked at one have ended.
    ~CurrentImage();

    ImagePointer get() const;
    void publish(ClusterImage next);

    // Called by publish() with what it published. Set it before anything is.
    void when_published(std::function<void(const ClusterImage&)> call) {
        published_ = std::move(call);
    }

private:
    std::function<void(const ClusterImage&)> published_ = [](const ClusterImage&) {};
    mutable std::mutex mutex_;  // Of image_.
    ImagePointer image_;
    std::atomic<std::uint64_t> version_{0};
};

}  // namespace broker

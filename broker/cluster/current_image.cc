#include "broker/cluster/current_image.h"

#include <memory>
#include <utility>

namespace broker {

namespace {

struct Cached {
    const CurrentImage* owner = nullptr;
    std::uint64_t version = 0;
    ImagePointer image;
};
thread_local Cached cached;

}  // namespace

CurrentImage::~CurrentImage() {
    if (cached.owner == this) cached = {};
}

ImagePointer CurrentImage::get() const {
    const auto version = version_.load(std::memory_order_acquire);
    if (cached.owner != this || cached.version != version) {
        ImagePointer latest;
        {
            const std::lock_guard lock(mutex_);
            cached.version = version_.load(std::memory_order_relaxed);
            latest = image_;
        }
        cached.owner = this;
        const auto* seen = latest.get();
        cached.image = ImagePointer(std::make_shared<ImagePointer>(std::move(latest)), seen);
    }
    return cached.image;
}

void CurrentImage::publish(ClusterImage next) {
    const auto made = std::make_shared<const ClusterImage>(std::move(next));
    {
        const std::lock_guard lock(mutex_);
        image_ = made;
        version_.fetch_add(1, std::memory_order_release);
    }
    published_(*made);
}

}  // namespace broker

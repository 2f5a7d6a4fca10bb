#include "broker/cluster/image_waits.h"

#include <utility>
#include <vector>

namespace broker {

void ImageWaits::wait(const ClusterImage& now, Holds holds, std::chrono::milliseconds patience,
                      Done done) {
    const bool is_so = holds(now);
    if (is_so || closed_) return done(is_so);
    const auto id = next_id_++;
    Entry entry{std::move(holds), std::move(done),
                boost::asio::steady_timer(controller_, patience)};
    auto& added = entries_.emplace(id, std::move(entry)).first->second;
    added.deadline.async_wait([this, id](boost::system::error_code error) {
        if (!error) end(id, false);
    });
}

void ImageWaits::look(const ClusterImage& image) {
    std::vector<std::uint64_t> satisfied;
    for (const auto& [id, entry] : entries_) {
        if (entry.holds(image)) satisfied.push_back(id);
    }
    for (const auto id : satisfied) end(id, true);
}

void ImageWaits::close() {
    closed_ = true;
    while (!entries_.empty()) end(entries_.begin()->first, false);
}

void ImageWaits::end(std::uint64_t id, bool holds) {
    if (auto entry = entries_.extract(id)) entry.mapped().done(holds);
}

}  // namespace broker

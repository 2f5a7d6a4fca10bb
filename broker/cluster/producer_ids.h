// ProducerIds: ids for idempotent producers, unique in the cluster for ever.
//
// The broker takes blocks of 1000 from the metadata and hands them out one by one; what is
// left of a block when the process ends is never used.
//
// Threads: take() from any; a new block is fetched on the controller's thread.
#pragma once

#include "broker/cluster/cluster.h"
#include "protocol/base/result.h"
#include "protocol/schema/error_code.h"

#include <boost/asio/awaitable.hpp>

#include <mutex>
#include <optional>

namespace broker {

class ProducerIds {
public:
    explicit ProducerIds(Cluster& cluster) : cluster_(cluster) {}

    // The next id, if the block at hand has one.
    std::optional<base::ProducerId> take();

    // The next id, after fetching a block if need be. Errors: coordinator_not_available.
    [[nodiscard]] boost::asio::awaitable<base::Result<base::ProducerId, protocol::ErrorCode>> take_later();

private:
    Cluster& cluster_;
    std::mutex mutex_;
    std::int64_t next_ = 0;
    std::int64_t end_ = 0;  // Of the block: exclusive.
};

}  // namespace broker

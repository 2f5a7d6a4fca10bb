#include "broker/cluster/producer_ids.h"

namespace broker {

using base::ProducerId;
using base::Result;
using protocol::ErrorCode;

std::optional<ProducerId> ProducerIds::take() {
    const std::lock_guard lock(mutex_);
    if (next_ == end_) return std::nullopt;
    return ProducerId(next_++);
}

boost::asio::awaitable<Result<ProducerId, ErrorCode>> ProducerIds::take_later() {
    // On the controller's thread one fetches at a time, so those who wait behind it find the
    // block that it brought.
    auto work = [this]() -> Result<ProducerId, ErrorCode> {
        if (const auto id = take()) return *id;
        const auto first = cluster_.take_producer_ids();
        if (!first) return base::Unexpected(first.error());
        const std::lock_guard lock(mutex_);
        next_ = first->value() + 1;
        end_ = first->value() + producer_ids_per_block;
        return *first;
    };
    co_return co_await run_on(cluster_.controller(), std::move(work));
}

}  // namespace broker

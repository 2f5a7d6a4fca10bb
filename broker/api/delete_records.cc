// DeleteRecords: move the start of partitions up to an offset; what lies below is gone.
//
//     the leader's log begins there --> followers hear of it with their next Fetch, and say so with
//     the one after --> answered when those that are alive have all done it, or the time is over
//
// Source: facts/kafka.md §2.7.

#include "broker/api/handlers.h"
#include "broker/api/keep_last.h"
#include "broker/api/local_partition.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <memory>
#include <span>
#include <utility>

namespace broker {

namespace asio = boost::asio;
using base::Offset;
using protocol::DeleteRecordsRequest;
using protocol::DeleteRecordsResponse;
using protocol::ErrorCode;

namespace {

using Clock = std::chrono::steady_clock;

// One that followers have not followed yet.
struct Deletion {
    std::shared_ptr<Partition> partition;
    Offset wanted;
    DeleteRecordsResponse::Topic::Partition* answer;
    Offset seen;  // The low watermark when it was last looked at.
};

Isr::Brokers live_brokers(const ClusterImage& image) {
    Isr::Brokers live;
    for (const auto& broker : image.brokers) live.push_back(broker.id);
    return live;
}

// Whether nothing is waited for any more; then the answer is there.
bool is_over(Deletion& deletion, const Isr::Brokers& live) {
    const auto low = deletion.partition->low_watermark(live);
    if (!low) {
        deletion.answer->low_watermark = Offset(-1);
        deletion.answer->error_code = low.error();
        return true;
    }
    deletion.seen = *low;
    if (*low < deletion.wanted) return false;
    deletion.answer->low_watermark = *low;
    return true;
}

// Takes a waiter off its partitions again, however the wait ends.
struct Unpark {
    std::shared_ptr<FetchWaiter> waiter;
    std::span<const Deletion> deletions;
    std::size_t parked = 0;

    Unpark(std::shared_ptr<FetchWaiter> who, std::span<const Deletion> where)
        : waiter(std::move(who)), deletions(where) {}
    Unpark(const Unpark&) = delete;
    Unpark& operator=(const Unpark&) = delete;
    ~Unpark() {
        for (const auto& each : deletions.first(parked)) each.partition->unpark(waiter);
    }

    // False when something has moved already.
    bool park(const Isr::Brokers& live) {
        for (; parked < deletions.size(); ++parked) {
            const auto& each = deletions[parked];
            if (!each.partition->park_for_low_watermark(waiter, live, each.seen)) return false;
        }
        return true;
    }
};

asio::awaitable<DeleteRecordsResponse> wait_for_followers(RequestContext context,
                                                          DeleteRecordsResponse response,
                                                          std::vector<Deletion> open,
                                                          Clock::time_point deadline) {
    while (!open.empty() && Clock::now() < deadline) {
        const auto live = live_brokers(*context.image());
        std::erase_if(open, [&](Deletion& each) { return is_over(each, live); });
        if (open.empty()) break;
        const auto alarm = std::make_shared<asio::steady_timer>(context.executor, deadline);
        // Posted to this thread, so that it comes after the wait has begun.
        auto wake = [alarm] { asio::post(alarm->get_executor(), [alarm] { alarm->cancel(); }); };
        Unpark waiting(std::make_shared<FetchWaiter>(1, std::move(wake)), open);
        if (waiting.park(live)) co_await alarm->async_wait(asio::as_tuple(asio::use_awaitable));
    }
    for (auto& each : open) each.answer->error_code = ErrorCode::request_timed_out;
    co_return response;
}

}  // namespace

Answer<DeleteRecordsResponse> handle(RequestContext& context, DeleteRecordsRequest request) {
    const auto image = context.image();
    const auto live = live_brokers(*image);
    DeleteRecordsResponse response;
    std::vector<Deletion> open;
    for (auto& topic : request.topics) {
        keep_last(topic.partitions);
        if (topic.partitions.empty()) continue;
        auto& topic_answer = response.topics.emplace_back();
        topic_answer.name = topic.name;
        const bool may = context.authorise(Operation::remove, ResourceType::topic, topic.name);
        const TopicImage* known = image->find_topic(topic.name.view());
        topic_answer.partitions.reserve(topic.partitions.size());
        for (const auto& asked : topic.partitions) {
            auto& answer = topic_answer.partitions.emplace_back();
            answer.partition_index = asked.partition_index;
            answer.low_watermark = Offset(-1);
            const auto partition = local_partition(*image, known, asked.partition_index);
            if (!may) {
                answer.error_code = ErrorCode::topic_authorization_failed;
            } else if (is_internal_topic(topic.name)) {
                answer.error_code = ErrorCode::invalid_topic_exception;
            } else if (!partition) {
                answer.error_code = partition.error();
            } else if (const auto wanted = (*partition)->delete_records(asked.offset)) {
                Deletion deletion{(*partition)->shared_from_this(), *wanted, &answer, Offset(-1)};
                if (!is_over(deletion, live)) open.push_back(std::move(deletion));
            } else {
                answer.error_code = wanted.error();
            }
        }
    }
    response.throttle_time_ms = context.throttle(0);
    if (open.empty()) return response;
    const auto deadline = Clock::now() + std::chrono::milliseconds(std::max(request.timeout_ms, 0));
    return wait_for_followers(context, std::move(response), std::move(open), deadline);
}

}  // namespace broker

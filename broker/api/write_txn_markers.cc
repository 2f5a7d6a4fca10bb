// WriteTxnMarkers: the coordinator of a transaction, on this broker or another, has the leaders of
// its partitions write how it ended; kafka-transactions.sh asks for it too, to end one that hangs.
//
//     marker --> a control batch in each partition, acks=all --> readers of committed records go on
//                                                            --> its offsets count, or are gone
//
// There is no time limit: the coordinator asks again, and a marker that is written twice does no
// harm.
//
// Source: facts/kafka.md §5.2, §5.3.

#include "broker/api/handlers.h"
#include "broker/api/local_partition.h"
#include "broker/groups/group_coordinator.h"
#include "protocol/records/record.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <atomic>
#include <memory>
#include <set>
#include <utility>

namespace broker {

namespace asio = boost::asio;
using protocol::ErrorCode;
using protocol::WriteTxnMarkersRequest;
using protocol::WriteTxnMarkersResponse;

namespace {

using PartitionAnswer = WriteTxnMarkersResponse::Marker::Topic::Partition;

// One marker on its way into one partition.
struct Job {
    base::TopicPartition at;
    Partition* partition = nullptr;  // As long as the image that it was found in.
    base::ProducerId producer;
    bool commits = false;
    PartitionAnswer* answer = nullptr;
    std::vector<std::byte> batch;
    std::atomic<ErrorCode> outcome = ErrorCode::none;
};

// All markers of a request. Appends hold it until they are over.
struct Work {
    explicit Work(const asio::any_io_executor& executor)
        : alarm(executor, asio::steady_timer::time_point::max()) {}

    WriteTxnMarkersResponse response;
    std::vector<std::unique_ptr<Job>> jobs;
    std::atomic<std::size_t> open = 1;  // Appends that are not over, and who begins them.
    asio::steady_timer alarm;           // Never expires; cancelled when nothing is open.

    // Whether that was the last one.
    bool let_go() { return open.fetch_sub(1, std::memory_order_acq_rel) == 1; }
};

void finish(const std::shared_ptr<Work>& work, Job& job, ErrorCode error) {
    job.outcome = error;
    if (work->let_go()) asio::post(work->alarm.get_executor(), [work] { work->alarm.cancel(); });
}

void append(const RequestContext& context, const std::shared_ptr<Work>& work, Job& job) {
    storage::AppendRequest request;
    request.batches = job.batch;
    request.origin = storage::Origin::coordinator;
    work->open.fetch_add(1, std::memory_order_relaxed);
    auto done = [work, &job](ErrorCode error) { finish(work, job, error); };
    const auto appended =
        job.partition->append(request, Acks::all, context.now_ms, std::move(done));
    if (appended) return;
    job.outcome = appended.error().code;
    work->open.fetch_sub(1, std::memory_order_relaxed);
}

// A place in the answer for every partition, and a job for each that is led here: what else a
// request names, and names twice, costs nothing more.
std::shared_ptr<Work> work_of(const RequestContext& context, const ClusterImage& image,
                              const WriteTxnMarkersRequest& request) {
    const bool may =
        context.authorise(Operation::cluster_action, ResourceType::cluster, cluster_resource) ||
        context.authorise(Operation::alter, ResourceType::cluster, cluster_resource);
    auto work = std::make_shared<Work>(context.executor);
    for (const auto& marker : request.markers) {
        auto& marker_answer = work->response.markers.emplace_back();
        marker_answer.producer_id = marker.producer_id;
        const auto type =
            marker.transaction_result ? records::ControlType::commit : records::ControlType::abort;
        for (const auto& topic : marker.topics) {
            auto& topic_answer = marker_answer.topics.emplace_back();
            topic_answer.name = topic.name;
            topic_answer.partitions.reserve(topic.partition_indexes.size());
            const TopicImage* const known = image.find_topic(topic.name.view());
            std::set<base::PartitionIndex> seen;
            for (const auto index : topic.partition_indexes) {
                if (!seen.insert(index).second) continue;
                auto& answer = topic_answer.partitions.emplace_back();
                answer.partition_index = index;
                const auto partition = local_partition(image, known, index);
                if (!may || !partition) {
                    answer.error_code =
                        may ? partition.error() : ErrorCode::cluster_authorization_failed;
                    continue;
                }
                auto& job = *work->jobs.emplace_back(std::make_unique<Job>());
                job.at = {topic.name.str(), index};
                job.partition = *partition;
                job.producer = marker.producer_id;
                job.commits = marker.transaction_result;
                job.answer = &answer;
                job.batch = records::build_marker({type, marker.producer_id, marker.producer_epoch,
                                                   marker.coordinator_epoch, context.now_ms});
            }
        }
    }
    return work;
}

WriteTxnMarkersResponse conclude(const RequestContext& context, Work& work) {
    for (const auto& job : work.jobs) {
        job->answer->error_code = job->outcome;
        if (job->outcome == ErrorCode::none && job->at.topic == offsets_topic)
            context.services.groups.transaction_ended(job->at.partition, job->producer,
                                                      job->commits);
    }
    return std::move(work.response);
}

asio::awaitable<WriteTxnMarkersResponse> answer_later(RequestContext context,
                                                      std::shared_ptr<Work> work) {
    // Who asked may have left: what was written counts all the same.
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    while (work->open.load(std::memory_order_acquire) > 0)
        co_await work->alarm.async_wait(asio::as_tuple(asio::use_awaitable));
    co_return conclude(context, *work);
}

}  // namespace

Answer<WriteTxnMarkersResponse> handle(RequestContext& context, WriteTxnMarkersRequest request) {
    const auto image = context.image();
    const auto work = work_of(context, *image, request);
    for (const auto& job : work->jobs) append(context, work, *job);
    if (work->let_go()) return conclude(context, *work);
    return answer_later(context, work);
}

}  // namespace broker

#include "broker/cluster/isr_keeper.h"

#include "broker/cluster/interbroker.h"
#include "broker/cluster/isr_writer.h"
#include "broker/config/interbroker_versions.h"
#include "protocol/base/log.h"
#include "storage/names.h"

#include <algorithm>
#include <chrono>
#include <pthread.h>
#include <sys/socket.h>
#include <utility>

namespace broker {

using protocol::AlterPartitionRequest;
using protocol::ErrorCode;

namespace {

constexpr std::chrono::milliseconds retry_after{50};
constexpr std::int16_t version_by_name = 1;  // The last one.

Deadline deadline(const ClusterImage& image) {
    return after(std::chrono::milliseconds(image.config->controller_socket_timeout_ms));
}

// Nobody is ever going to carry it out.
bool is_refusal(ErrorCode error) {
    return error == ErrorCode::ineligible_replica || error == ErrorCode::operation_not_attempted;
}

std::string text_of(const Isr::Brokers& isr) {
    std::string text;
    for (const auto id : isr) text += (text.empty() ? "" : ",") + std::to_string(id.value());
    return text;
}

}  // namespace

void IsrKeeper::start() {
    thread_ = std::thread([this] {
        ::pthread_setname_np(::pthread_self(), "isr-keeper");
        run();
    });
}

void IsrKeeper::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        if (descriptor_ >= 0) ::shutdown(descriptor_, SHUT_RDWR);
        changed_.notify_all();
    }
    if (thread_.joinable()) thread_.join();
}

void IsrKeeper::ask(const std::shared_ptr<Partition>& partition, IsrRequest request) {
    const std::lock_guard lock(mutex_);
    wanted_.insert_or_assign(partition->id(), Wish{partition, std::move(request)});
    changed_.notify_all();
}

void IsrKeeper::directory_failed() {
    const std::lock_guard lock(mutex_);
    has_lost_directory_ = true;
    changed_.notify_all();
}

void IsrKeeper::run() {
    using Clock = std::chrono::steady_clock;
    auto look_at = Clock::now();
    for (;;) {
        Wishes wishes;
        {
            std::unique_lock lock(mutex_);
            const auto until =
                has_notes() ? std::min(look_at, Clock::now() + retry_after) : look_at;
            changed_.wait_until(
                lock, until, [&] { return stopping_ || !wanted_.empty() || has_lost_directory_; });
            if (stopping_) return;
            wishes.swap(wanted_);
            is_failure_unnoted_ |= std::exchange(has_lost_directory_, false);
        }
        const auto image = ports_.image();
        if (Clock::now() >= look_at) {
            look_for_laggards(*image);
            look_at = Clock::now() + std::chrono::milliseconds(std::max<std::int64_t>(
                                         image->config->replica_lag_time_max_ms / 2, 1));
        }
        const auto versions = interbroker_versions(image->config->inter_broker_protocol_version);
        if (!versions.alter_partition) {
            write(*image, wishes);
        } else if (!wishes.empty() && !send(*image, *versions.alter_partition, wishes)) {
            disconnect();
        }
        if (has_notes()) leave_notes(*image);
        if (wishes.empty()) continue;
        std::unique_lock lock(mutex_);
        wanted_.merge(wishes);  // A newer wish for the same partition stays.
        changed_.wait_for(lock, retry_after, [&] { return stopping_; });
    }
}

void IsrKeeper::look_for_laggards(const ClusterImage& image) {
    for (const auto& topic : image.topics()) {
        for (const auto& partition : topic->partitions) {
            if (!partition.local || partition.leader != image.self) continue;
            if (auto wanted = partition.local->drop_laggards(ports_.steady_ms()))
                ask(partition.local, std::move(*wanted));
        }
    }
}

bool IsrKeeper::connect(const ClusterImage& image) {
    const auto address = interbroker_address(image, image.controller);
    if (!address) return false;
    if (connection_ && *address == controller_) return true;
    disconnect();
    controller_ = *address;
    auto opened =
        Connection::open(controller_, std::to_string(image.self.value()), deadline(image));
    if (!opened) {
        if (std::exchange(told_, true)) return false;
        base::log_warn("replica",
                       "the controller cannot be asked for an ISR: " + opened.error().detail);
        return false;
    }
    told_ = false;
    connection_ = std::move(*opened);
    const std::lock_guard lock(mutex_);
    descriptor_ = connection_->descriptor();
    return !stopping_;
}

void IsrKeeper::disconnect() {
    {
        const std::lock_guard lock(mutex_);
        descriptor_ = -1;
    }
    connection_.reset();
}

// False when nobody has answered who may. What is left of the wishes is to be asked again.
bool IsrKeeper::send(const ClusterImage& image, std::int16_t version_max, Wishes& wishes) {
    if (!connect(image)) return false;
    AlterPartitionRequest request;
    request.broker_id = image.self;
    request.broker_epoch = ports_.broker_epoch();
    const bool have_ids = std::ranges::none_of(
        wishes, [](const auto& each) { return each.second.partition->topic_id() == base::Uuid{}; });
    if (!have_ids) version_max = std::min(version_max, version_by_name);
    for (const auto& [at, wish] : wishes) {
        if (request.topics.empty() || request.topics.back().topic_name != at.topic) {
            auto& topic = request.topics.emplace_back();
            topic.topic_name = wire::Text::borrowed(at.topic);
            topic.topic_id = wish.partition->topic_id();
        }
        auto& asked = request.topics.back().partitions.emplace_back();
        asked.partition_index = at.partition;
        asked.leader_epoch = wish.request.leader_epoch;
        asked.partition_epoch = wish.request.proposal.partition_epoch;
        asked.new_isr = wish.request.proposal.isr;
        for (const auto id : wish.request.proposal.isr) {
            auto& member = asked.new_isr_with_epochs.emplace_back();
            member.broker_id = id;
        }
    }
    const auto answer = connection_->call<protocol::AlterPartitionApi, Response>(
        request, deadline(image), version_max);
    if (!answer || (*answer)->error_code != ErrorCode::none) return false;
    std::erase_if(wishes, [&](const auto& wish) { return take(wish.second, **answer); });
    return true;
}

// What is left of the wishes is to be written again, when the tree can be reached.
void IsrKeeper::write(const ClusterImage& image, Wishes& wishes) {
    auto& store = ports_.store();
    std::erase_if(wishes, [&](const auto& each) {
        const auto& [at, wish] = each;
        const auto now = write_isr(store, image.self, at, wish.request);
        if (!now) return false;
        if (*now) {
            base::log_info("replica",
                           storage::directory_name(at) + ": the ISR is " + text_of((*now)->isr));
            wish.partition->isr_answered(wish.request.leader_epoch, *now);
            unnoted_.insert(at);
        }
        return true;
    });
}

// Those that cannot be left now are when the tree can be reached.
void IsrKeeper::leave_notes(const ClusterImage& image) {
    auto& store = ports_.store();
    if (note_isr_changes(store, {unnoted_.begin(), unnoted_.end()})) unnoted_.clear();
    if (is_failure_unnoted_ && note_failed_directory(store, image.self))
        is_failure_unnoted_ = false;
}

// Whether that is the end of it.
bool IsrKeeper::take(const Wish& wish, const Response& response) {
    const auto& at = wish.partition->id();
    const Response::Topic::Partition* found = nullptr;
    for (const auto& topic : response.topics) {
        const bool is_it = topic.topic_name.empty() ? topic.topic_id == wish.partition->topic_id()
                                                    : topic.topic_name == at.topic;
        if (!is_it) continue;
        const auto each = std::ranges::find(topic.partitions, at.partition,
                                            &Response::Topic::Partition::partition_index);
        if (each != topic.partitions.end()) found = &*each;
    }
    const auto error = found ? found->error_code : ErrorCode::unknown_topic_or_partition;
    const auto epoch = wish.request.leader_epoch;
    if (error == ErrorCode::none) {
        base::log_info("replica",
                       storage::directory_name(at) + ": the ISR is " + text_of(found->isr));
        wish.partition->isr_answered(
            epoch, Isr::Members{found->leader_id, {}, found->isr, found->partition_epoch});
        return true;
    }
    // It knows less than this broker.
    if (error == ErrorCode::not_controller) return false;
    base::log_warn("replica", storage::directory_name(at) +
                                  ": the controller does not take the ISR " +
                                  text_of(wish.request.proposal.isr) + ": " +
                                  std::string(protocol::error_sentence(error)));
    if (is_refusal(error)) wish.partition->isr_answered(epoch, std::nullopt);
    return true;
}

}  // namespace broker

#include "broker/cluster/hand_over.h"

#include "broker/client/connection.h"
#include "broker/cluster/interbroker.h"
#include "protocol/base/log.h"
#include "protocol/schema/api/controlled_shutdown.h"

#include <algorithm>
#include <chrono>
#include <string>

namespace broker {

using protocol::ControlledShutdownResponse;
using protocol::ErrorCode;

namespace {

constexpr std::int16_t version_max = 3;

// What is in the way; empty when nothing is led here any more.
std::string ask(const ClusterImage& image, std::int64_t broker_epoch) {
    const auto address = interbroker_address(image, image.controller);
    if (!address) return "the cluster has no controller";
    const auto deadline =
        after(std::chrono::milliseconds(image.config->controller_socket_timeout_ms));
    auto connection = Connection::open(*address, std::to_string(image.self.value()), deadline);
    if (!connection) return connection.error().detail;
    protocol::ControlledShutdownRequest request;
    request.broker_id = image.self;
    request.broker_epoch = broker_epoch;
    const auto answer =
        connection->call<protocol::ControlledShutdownApi, ControlledShutdownResponse>(
            request, deadline, version_max);
    if (!answer) return answer.error().detail;
    if ((*answer)->error_code != ErrorCode::none)
        return std::string(protocol::error_sentence((*answer)->error_code));
    const auto left = (*answer)->remaining_partitions.size();
    return left == 0 ? "" : std::to_string(left) + " partitions have no other leader";
}

}  // namespace

void hand_over(const std::function<ImagePointer()>& image, std::int64_t broker_epoch) {
    const auto held = image()->config;
    const BrokerConfig& config = *held;
    if (!config.controlled_shutdown_enable) return;
    for (std::int64_t tries = std::max<std::int64_t>(config.controlled_shutdown_max_retries, 1);;) {
        const auto now = image();
        if (now->brokers.size() <= 1) return;  // Nobody else is alive.
        const auto trouble = ask(*now, broker_epoch);
        if (trouble.empty())
            return base::log_info("controller", "Everything led here has another leader");
        base::log_warn("controller", "What is led here cannot be handed over: " + trouble);
        if (--tries <= 0) return;
        wait_for(std::chrono::milliseconds(config.controlled_shutdown_retry_backoff_ms));
    }
}

}  // namespace broker

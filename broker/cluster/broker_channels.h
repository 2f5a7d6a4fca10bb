// BrokerChannels: the senders of a controller's requests: one thread and one connection a broker.
//
//     send() --> channel of the broker --> socket --> answer --> Settings::replied
//            \-> this broker itself: applied on the spot, without a socket
//
// Each channel has at most one request, as the controller opens no more. A broker that comes back
// with another registration gets another channel.
//
// Threads: send() and hang_up() from one at a time; `replied` is called on the channels' own, and
// in send() for this broker.
#pragma once

#include "broker/config/interbroker_versions.h"
#include "coordinator/controller/effects.h"

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace protocol {
struct LeaderAndIsrRequest;
struct LeaderAndIsrResponse;
struct StopReplicaRequest;
struct StopReplicaResponse;
struct UpdateMetadataRequest;
struct UpdateMetadataResponse;
}  // namespace protocol

namespace broker {

namespace control = coordinator::controller;

class BrokerChannels {
public:
    struct Reply {
        std::int32_t controller_epoch = 0;
        std::uint64_t request = 0;
        bool is_answered = false;
        protocol::ErrorCode error = protocol::ErrorCode::none;
        std::vector<control::PartitionError> partitions = {};
    };

    // This broker, as it is told by another controller. Called by send().
    struct Here {
        base::BrokerId id;
        std::function<protocol::LeaderAndIsrResponse(const protocol::LeaderAndIsrRequest&)> roles;
        std::function<protocol::UpdateMetadataResponse(const protocol::UpdateMetadataRequest&)>
            metadata;
        std::function<protocol::StopReplicaResponse(const protocol::StopReplicaRequest&)> stops;
    };

    struct Settings {
        std::string listener;                // inter.broker.listener.name
        std::chrono::milliseconds patience;  // controller.socket.timeout.ms
        InterbrokerVersions versions;        // The newest that others are told in.
        Here here;
        // Takes what became of a request. It must neither wait nor call back.
        std::function<void(Reply)> replied;
    };

    explicit BrokerChannels(Settings settings);
    // Waits for connections that are being made, at most for `patience`.
    ~BrokerChannels();

    void send(const control::Term& term, control::BrokerRequest request);
    // Nothing that was sent is reported any more.
    void hang_up();

private:
    class Channel;

    template <class Keep>
    void close_unless(Keep keep);

    const Settings settings_;
    std::map<base::BrokerId, std::unique_ptr<Channel>> channels_;
    std::vector<std::unique_ptr<Channel>> closing_;  // Told to stop.
};

}  // namespace broker

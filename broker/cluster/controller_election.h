// controller_election: how a broker becomes the cluster's controller.
//
//     multi { delete /controller, if it is ours of a term before
//             create /controller, ephemeral
//             set /controller_epoch, one more than before, if nobody else has }
//
// Who has made /controller has made the epoch too, and each write of a term depends on the version
// of that: a controller that does not know yet that it is none any more writes nothing.
//
// Threads: any; everything blocks on the store.
#pragma once

#include "broker/cluster/metadata_store.h"
#include "broker/config/interbroker_versions.h"
#include "coordinator/controller/cluster_state.h"

#include <cstdint>
#include <optional>
#include <vector>

namespace broker {

struct Claim {
    std::vector<coordinator::Op> ops;  // The last of them is that of /controller_epoch.
    std::int32_t epoch = 0;
};

// The ops that make `self` controller where the tree holds these nodes. The epoch is above `last`.
Claim claim_office(base::BrokerId self, std::int64_t now_ms,
                   const std::optional<coordinator::NodeView>& controller,
                   const std::optional<coordinator::NodeView>& epoch, std::int32_t last = 0);

// What makes of /feature what brokers that speak so take from it; nothing when it is that already.
// One that names features stays as it is.
std::optional<coordinator::Op> feature_op(const std::optional<coordinator::NodeView>& node,
                                          const InterbrokerVersions& versions);
// The same in a term. Errors: bad_version, connection_loss.
[[nodiscard]] base::Result<void, coordinator::ZkError> settle_features(
    MetadataStore& store, const InterbrokerVersions& versions, std::int32_t epoch_version);

// Whether /controller is the store's session's. Errors: connection_loss.
[[nodiscard]] base::Result<bool, coordinator::ZkError> holds_office(MetadataStore& store);

// A new term of this broker. Nothing: another is controller. Errors: connection_loss; it may have
// become controller all the same, and a second call makes a term in any case.
[[nodiscard]] base::Result<std::optional<coordinator::controller::Term>, coordinator::ZkError>
stand_for_election(MetadataStore& store, base::BrokerId self, std::int64_t now_ms);

}  // namespace broker

// hand_over: a broker that is about to stop has the controller choose other leaders.
#pragma once

#include "broker/cluster/image.h"

#include <cstdint>
#include <functional>

namespace broker {

// ControlledShutdown, as often as controlled.shutdown.max.retries says; what then is still led here
// is named in the log. Blocks.
void hand_over(const std::function<ImagePointer()>& image, std::int64_t broker_epoch);

}  // namespace broker

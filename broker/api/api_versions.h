// api_versions: the answer to a client that speaks a newer ApiVersions than we do.
#pragma once

#include "protocol/schema/api/api_versions.h"

namespace broker {

// To be sent as version 0: UNSUPPORTED_VERSION(35), and which versions of ApiVersions itself
// there are, so that the client asks again with one of them (KIP-511).
protocol::ApiVersionsResponse unsupported_api_versions();

}  // namespace broker

// Session key: how the broker comes back to its metadata session after a restart.
//
// On disk, in the file `milena-session` beside meta.properties, replaced as a whole:
//
//     milena-session 1
//     <session id, decimal> <password, 32 hexadecimal digits>
//
// Valid if and only if it is these two lines. A version above 1 refuses the start; anything
// else that does not parse is as if it were not there, and costs a new session.
#pragma once

#include "coordinator/metadata/service.h"
#include "protocol/base/result.h"

#include <optional>
#include <string>

namespace broker {

// Nothing when there is none. The error is for a version that is newer than this program.
[[nodiscard]] base::Result<std::optional<coordinator::SessionKey>, std::string> read_session_key(
    const std::string& directory);
[[nodiscard]] base::Result<void, std::string> write_session_key(const std::string& directory,
                                                                const coordinator::SessionKey& key);
void forget_session_key(const std::string& directory);

}  // namespace broker

// Session: who is at the other end of a connection. Every request carries it.
//
// Threads: a connection's; handlers read it, ApiVersions and SASL change it.
#pragma once

#include "broker/api/turns.h"

#include <cstdint>
#include <string>

namespace broker {

struct Session {
    std::string listener;                          // Name of the listener it came in by.
    std::string principal = "User:ANONYMOUS";
    std::string client_host;                       // Numeric address.
    std::string local_host;                        // Of our end; numeric.
    std::uint16_t local_port = 0;
    std::string client_software_name = "unknown";  // From ApiVersions, version 3 on.
    std::string client_software_version = "unknown";
    std::uint64_t connection = 0;                  // Number of the connection, for people.
    Turns produces;                                // Of Produces that could not append at once.
};

}  // namespace broker

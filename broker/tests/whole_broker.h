// WholeBroker: a broker as the process runs it, listeners and all, on a directory of its own.
//
// It hides broker::Server: its headers and those of broker/client name different things Connection.
#pragma once

#include "storage/tests/scratch.h"

#include <memory>
#include <string>
#include <vector>

namespace broker {
class BrokerConfig;
class Server;
}  // namespace broker

namespace test {

class WholeBroker {
public:
    // Requires that the overrides are valid; log.dirs is set already.
    explicit WholeBroker(std::vector<std::string> overrides);
    ~WholeBroker();

    // The error, if there is one; empty when it serves. Any thread.
    std::string start();
    // It hands over what it leads, and takes leave.
    void stop();

    // "PLAINTEXT://127.0.0.1:9092". Requires that it serves.
    std::string serving() const;

private:
    Scratch scratch_;
    std::shared_ptr<const broker::BrokerConfig> config_;
    std::unique_ptr<broker::Server> server_;
};

}  // namespace test

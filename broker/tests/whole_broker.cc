#include "broker/tests/whole_broker.h"

#include "broker/config/load.h"
#include "broker/server/server.h"

#include <doctest/doctest.h>

#include <utility>

namespace test {

WholeBroker::WholeBroker(std::vector<std::string> overrides) {
    broker::ConfigInputs inputs;
    inputs.overrides = std::move(overrides);
    inputs.overrides.push_back("log.dirs=" + scratch_.folder().string());
    config_ = broker::load_config(inputs).config;
    REQUIRE(config_);
}

WholeBroker::~WholeBroker() = default;

std::string WholeBroker::start() {
    auto started = broker::Server::start(config_, [](const std::string& why) { FAIL(why); });
    if (!started) return started.error();
    server_ = std::move(*started);
    return "";
}

void WholeBroker::stop() {
    server_.reset();
}

std::string WholeBroker::serving() const {
    return server_->serving();
}

}  // namespace test

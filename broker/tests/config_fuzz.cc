// Fuzzer for configuration: a file, variables, overrides and changes that anybody may write.
//
// The bytes are a file; what follows the first zero byte are variables, and what follows the
// second are changes, a line each. What is accepted must be describable, and every change of it
// must give a broker again: a broken promise aborts.
//
//     CXX=clang++-19 meson setup build-fuzz -Dfuzz=true -Dbuildtype=debugoptimized
//     ninja -C build-fuzz broker/config/config_fuzz
//     build-fuzz/broker/config/config_fuzz -max_len=4096 CORPUS conf
#include "broker/config/alter.h"
#include "broker/config/load.h"
#include "broker/config/topic_config.h"
#include "protocol/base/ensure.h"

#include <algorithm>
#include <cstdint>
#include <span>

using namespace broker;

namespace {

std::string_view take_until(std::string_view& rest, char end) {
    const std::size_t at = std::min(rest.find(end), rest.size());
    const std::string_view taken = rest.substr(0, at);
    rest.remove_prefix(std::min(at + 1, rest.size()));
    return taken;
}

// "+key=value": an operation, a key and perhaps a value.
std::vector<Alteration> read_changes(std::string_view text) {
    std::vector<Alteration> changes;
    while (!text.empty() && changes.size() < 16) {
        std::string_view line = take_until(text, '\n');
        if (line.empty()) continue;
        Alteration& one = changes.emplace_back();
        one.operation = static_cast<AlterOperation>(line[0] % 5);
        line.remove_prefix(1);
        const bool has_value = line.find('=') != std::string_view::npos;
        one.name = std::string(take_until(line, '='));
        if (has_value) one.value = std::string(line);
    }
    return changes;
}

void look_at(const BrokerConfig& config) {
    base::ensure(!config.endpoints().empty(), "a broker has a listener");
    base::ensure(!config.data_dirs().empty(), "a broker has a folder");
    base::ensure(config.find_endpoint(config.inter_broker_listener()) != nullptr,
                 "brokers have a listener");
    base::ensure(config.describe().size() >= 300, "every listed key is described");
    base::ensure(config.topic_defaults()->describe(config).size() == topic_keys().size(),
                 "every topic key is described");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    ConfigInputs inputs;
    inputs.file_name = "f";
    inputs.file_text = std::string(take_until(rest, '\0'));
    std::string_view variables = take_until(rest, '\0');
    while (!variables.empty() && inputs.environment.size() < 16) {
        const std::string line(take_until(variables, '\n'));
        inputs.environment.push_back("KAFKA_" + line);
        inputs.overrides.push_back(line);
    }
    const LoadedConfig loaded = load_config(inputs);
    const bool failed = std::ranges::any_of(loaded.messages, [](const ConfigMessage& message) {
        return message.level == ConfigMessage::Level::error;
    });
    base::ensure(failed == (loaded.config == nullptr),
                 "there is a broker if and only if nothing is wrong");
    if (!loaded.config) return 0;
    look_at(*loaded.config);

    const std::vector<Alteration> changes = read_changes(rest);
    if (const auto altered =
            alter_broker_configs(*loaded.config, BrokerScope::one_broker, {}, changes)) {
        look_at(*loaded.config->with_dynamic({}, *altered));
    }
    if (const auto altered = alter_topic_configs(*loaded.config, {}, changes)) {
        base::ensure(TopicConfig(*loaded.config, *altered).overrides() == *altered,
                     "what was accepted is in force");
    }
    ConfigMap anything;
    for (const Alteration& one : changes)
        anything.insert_or_assign(one.name, one.value.value_or(""));
    look_at(*loaded.config->with_dynamic(anything, anything));
    static_cast<void>(TopicConfig(*loaded.config, anything));
    return 0;
}

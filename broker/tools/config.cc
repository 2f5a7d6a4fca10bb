// milena config check FILE: what the server would say about its configuration.

#include "broker/config/load.h"
#include "broker/tools/commands.h"
#include "broker/tools/tool.h"

#include <iostream>

namespace broker {

int run_config(const Words& words) {
    Options options(
        "milena config check FILE: tell all that is wrong in a configuration, and start nothing.");
    options.positional("words", "check FILE");
    options.value("override", "key=value", "As of the server; may be repeated.");
    options.flag("env",
                 "Take the KAFKA_... variables of the environment, as the server with --env.");
    return run_tool(options, words, [&] {
        const auto given = options.all("words");
        if (given.size() != 2 || given[0] != "check")
            throw UsageError("config check FILE is what can be done");
        ConfigInputs inputs;
        inputs.file_name = given[1];
        inputs.file_text = read_file(given[1]);
        inputs.overrides = options.all("override");
        if (options.has("env")) inputs.environment = process_environment();
        const auto loaded = load_config(inputs);
        for (const auto& message : loaded.messages) std::cout << to_string(message) << "\n";
        if (!loaded.config) return 1;
        std::cout << given[1] << ": can be started with\n";
        return 0;
    });
}

}  // namespace broker

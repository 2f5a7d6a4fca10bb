// Admin commands: what ZooKeeper's AdminServer answers to /commands/NAME, as JSON.
//
// Source: Apache ZooKeeper's server.admin.Commands, and what 3.8.4 answers.
#pragma once

#include "coordinator/metadata/server/observation.h"

#include <string>
#include <string_view>

namespace coordinator::admin_commands {

// By its name or one of its short ones: "server_stats", "srvr".
bool is_command(std::string_view name);

// Require a command.
Depth depth_of(std::string_view name);
Act act_of(std::string_view name);
std::string answer(std::string_view name, const Observation& seen);

// What no command is, and what nobody can answer now.
std::string unknown(std::string_view name);
std::string failed(std::string_view name);

// A page of links to all of them, below `url`.
std::string index(std::string_view url);

}  // namespace coordinator::admin_commands

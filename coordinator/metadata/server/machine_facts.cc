#include "coordinator/metadata/server/machine_facts.h"

#include "coordinator/metadata/server/observation.h"

#include <filesystem>
#include <pwd.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <system_error>
#include <unistd.h>

namespace coordinator {
namespace {

std::string megabytes(std::uint64_t bytes) {
    return std::to_string(bytes >> 20) + "MB";
}

}  // namespace

std::vector<std::pair<std::string, std::string>> environment() {
    utsname system{};
    ::uname(&system);
    struct sysinfo memory{};
    ::sysinfo(&memory);
    const passwd* const user = ::getpwuid(::geteuid());
    std::error_code error;
    const auto place = std::filesystem::current_path(error).string();
    const std::uint64_t unit = memory.mem_unit;
    return {
        {"zookeeper.version", std::string(server_version)},
        {"host.name", system.nodename},
        {"java.version", "none"},
        {"java.vendor", "none: this is Milena, a native program"},
        {"os.name", system.sysname},
        {"os.arch", system.machine},
        {"os.version", system.release},
        {"user.name", user != nullptr ? user->pw_name : std::to_string(::geteuid())},
        {"user.home", user != nullptr ? user->pw_dir : ""},
        {"user.dir", place},
        {"os.memory.free", megabytes(memory.freeram * unit)},
        {"os.memory.max", megabytes(memory.totalram * unit)},
        {"os.memory.total", megabytes(memory.totalram * unit)},
    };
}

}  // namespace coordinator

#include "broker/cluster/session_key.h"

#include "storage/disk.h"

#include <charconv>
#include <sstream>

namespace broker {

using base::Result;
using base::Unexpected;

namespace {

constexpr const char* file_name = "milena-session";
constexpr int version = 1;

std::filesystem::path path_in(const std::string& directory) {
    return std::filesystem::path(directory) / file_name;
}

std::optional<coordinator::SessionKey> parse(std::istream& in) {
    std::int64_t id = 0;
    std::string password;
    coordinator::SessionKey key;
    if (!(in >> id >> password) || password.size() != 2 * key.password.size()) return std::nullopt;
    key.id = coordinator::SessionId(id);
    for (std::size_t i = 0; i < key.password.size(); ++i) {
        unsigned byte = 0;
        const char* first = password.data() + 2 * i;
        const auto read = std::from_chars(first, first + 2, byte, 16);
        if (read.ptr != first + 2) return std::nullopt;
        key.password[i] = static_cast<std::byte>(byte);
    }
    return key;
}

}  // namespace

Result<std::optional<coordinator::SessionKey>, std::string> read_session_key(const std::string& directory) {
    const auto bytes = storage::read_whole(storage::real_disk(), path_in(directory), 4096);
    if (!bytes) return std::nullopt;
    std::istringstream in(std::string(reinterpret_cast<const char*>(bytes->data()), bytes->size()));
    std::string magic;
    int found = 0;
    if (!(in >> magic >> found) || magic != file_name) return std::nullopt;
    if (found > version) {
        return Unexpected(path_in(directory).string() + " has version " + std::to_string(found) +
                          ", this program knows " + std::to_string(version) + "; use the newer program");
    }
    return parse(in);
}

Result<void, std::string> write_session_key(const std::string& directory, const coordinator::SessionKey& key) {
    std::string text = std::string(file_name) + " " + std::to_string(version) + "\n" + std::to_string(key.id.value()) + " ";
    constexpr std::string_view digits = "0123456789abcdef";
    for (const std::byte byte : key.password) {
        text += digits[static_cast<unsigned>(byte) >> 4];
        text += digits[static_cast<unsigned>(byte) & 0xf];
    }
    text += "\n";
    const auto written = storage::replace_file(storage::real_disk(), path_in(directory), std::as_bytes(std::span(text)));
    if (!written) return Unexpected(written.error().detail);
    return {};
}

void forget_session_key(const std::string& directory) {
    // It may be gone already, and a key of a closed session is refused anyway.
    static_cast<void>(storage::real_disk().remove_file(path_in(directory)));
}

}  // namespace broker

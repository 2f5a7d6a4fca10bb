#include "broker/cluster/session_key.h"

#include "storage/disk.h"
#include "storage/tests/scratch.h"

#include <doctest/doctest.h>

#include <filesystem>
#include <string>

using namespace broker;
using coordinator::SessionId;
using coordinator::SessionKey;

namespace {

constexpr const char* file_name = "milena-session";

SessionKey some_key() {
    SessionKey key{SessionId(0x0100000000000001)};
    for (std::size_t i = 0; i < key.password.size(); ++i) key.password[i] = std::byte(i);
    key.password.back() = std::byte(0xff);
    return key;
}

void put(const test::Scratch& scratch, const std::string& text) {
    REQUIRE(storage::replace_file(storage::real_disk(), scratch.file(file_name),
                                  std::as_bytes(std::span(text))));
}

}  // namespace

TEST_CASE("a session key is read as it was written, until it is forgotten") {
    const test::Scratch scratch;
    const std::string folder = scratch.file("").string();
    CHECK(read_session_key(folder).value() == std::nullopt);
    REQUIRE(write_session_key(folder, some_key()));
    CHECK(read_session_key(folder).value() == some_key());
    forget_session_key(folder);
    CHECK(read_session_key(folder).value() == std::nullopt);
}

TEST_CASE("the session key of an earlier build is read") {
    CHECK(read_session_key(MILENA_UPGRADES "/session-v1").value() == some_key());
}

TEST_CASE("a session key that is cut or of something else is none") {
    const test::Scratch scratch;
    const std::string folder = scratch.file("").string();
    REQUIRE(write_session_key(folder, some_key()));
    const auto whole = storage::read_whole(storage::real_disk(), scratch.file(file_name), 4096);
    REQUIRE(whole);
    const std::string text(reinterpret_cast<const char*>(whole->data()), whole->size());
    for (std::size_t bytes = 0; bytes + 1 < text.size(); ++bytes) {
        put(scratch, text.substr(0, bytes));
        CHECK(read_session_key(folder).value() == std::nullopt);
    }
    put(scratch, "something else\n");
    CHECK(read_session_key(folder).value() == std::nullopt);
}

TEST_CASE("a session key of a newer version is refused with both versions") {
    const test::Scratch scratch;
    put(scratch, "milena-session 2\nwhatever\n");
    const auto read = read_session_key(scratch.file("").string());
    REQUIRE(!read);
    CHECK(read.error().find("version 2") != std::string::npos);
    CHECK(read.error().find("knows 1") != std::string::npos);
}

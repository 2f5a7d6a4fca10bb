// Opens the directories in compat-tests/upgrade that earlier builds wrote.
//
// To write one when a format has a new version: MILENA_WRITE=<directory> and the test case
// "write a directory", which is skipped otherwise (--no-skip).

#include "coordinator/metadata/durable_tree.h"
#include "coordinator/tests/metadata_fixture.h"
#include "coordinator/tests/sim_disk.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

using namespace coordinator;

namespace {

const std::filesystem::path directory = "/d";
const std::filesystem::path upgrades = MILENA_UPGRADES;

std::string read_file(const std::filesystem::path& path) {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
}

sim::Bytes bytes_of(const std::string& text) {
    const auto bytes = std::as_bytes(std::span(text));
    return {bytes.begin(), bytes.end()};
}

std::unique_ptr<DurableTree> open(sim::SimDisk& disk) {
    auto opened = DurableTree::open(disk, directory, [] {
        base::Uuid id{};
        id.front() = std::byte{0x4d};
        return id;
    });
    REQUIRE_MESSAGE(opened, opened.error().detail);
    return std::move(*opened);
}

// A tree as text that people can compare: sessions, then nodes, one a line.
std::string described(Tree& tree) {
    const auto all = everything_of(tree);
    std::ostringstream out;
    out << "zxid " << all.zxid.value() << " last_session " << all.last_session.value() << '\n';
    for (const SessionImage& session : all.sessions) {
        out << "session " << session.id.value() << ' ' << session.timeout_ms;
        for (const std::byte byte : session.password) out << ' ' << std::to_integer<int>(byte);
        out << '\n';
    }
    for (const NodeImage& node : all.nodes) {
        out << node.path << " data " << (node.data ? "'" + *node.data + "'" : "null") << " zxids "
            << node.czxid.value() << ' ' << node.mzxid.value() << ' ' << node.pzxid.value()
            << " times " << node.ctime << ' ' << node.mtime << " versions " << node.version << ' '
            << node.aversion << ' ' << node.children_created << " kind "
            << static_cast<int>(node.kind) << ' ' << node.owner_or_ttl << " acl";
        for (const AclEntry& entry : node.acl) {
            out << ' ' << entry.id.scheme << ':' << entry.id.id << ':' << entry.permissions;
        }
        out << '\n';
    }
    return out.str();
}

// Everything that a record of the format can say, before a snapshot and after it.
void write_all_kinds(DurableTree& tree) {
    std::int64_t now_ms = 1'700'000'000'000;
    const auto apply = [&](std::vector<Op> ops, SessionId session = SessionId(0)) {
        const auto decision = tree.tree().decide(ops, ourselves(session), now_ms += 1000);
        REQUIRE(decision);
        tree.apply(decision->transaction);
    };
    const auto open_session = [&] {
        Password password{};
        for (std::size_t i = 0; i < password.size(); ++i) password[i] = static_cast<std::byte>(i);
        const auto created = tree.tree().decide_create_session(6000, password, now_ms += 1000);
        tree.apply(created);
        return created.session;
    };
    for (const char* top : {"/before", "/after"}) {
        const std::string path = top;
        const SessionId stays = open_session();
        const SessionId goes = open_session();
        apply({Create{.path = path}, Create{.path = path + "/text", .data = R"({"version":1})"},
               Create{.path = path + "/empty", .data = ""},
               Create{.path = path + "/n-", .data = "n", .sequential = true},
               Create{.path = path + "/container", .kind = NodeKind::container},
               Create{.path = path + "/ttl", .kind = NodeKind::ttl, .ttl_ms = 3'600'000}});
        apply({Create{.path = path + "/stays", .kind = NodeKind::ephemeral}}, stays);
        apply({Create{.path = path + "/goes", .kind = NodeKind::ephemeral}}, goes);
        apply({SetData{.path = path + "/text", .data = std::nullopt},
               SetAcl{.path = path + "/text",
                      .acl = {{permission::read, {"world", "anyone"}},
                              {permission::all, {"digest", "u:Jq7wMyA/w2Vd5WIDAKdu4OIIFEQ="}}}},
               Delete{.path = path + "/n-0000000002"}});
        tree.apply(tree.tree().decide_close_session(goes, now_ms += 1000).value());
        REQUIRE(tree.commit());
        if (path == "/after") break;
        REQUIRE(tree.roll());
        const auto run = tree.begin_snapshot();
        REQUIRE(run->write(run->take(1000)));
        REQUIRE(run->finish());
    }
    tree.close();
}

}  // namespace

TEST_SUITE("coordinator/metadata/upgrade") {
    TEST_CASE("journals and snapshots of format 1 open, with or without the snapshot") {
        const auto from = upgrades / "metadata-journal-v1";
        const auto expected = read_file(from / "expected.txt");
        REQUIRE_FALSE(expected.empty());
        for (const bool with_snapshot : {true, false}) {
            sim::SimDisk disk;
            for (const auto& file : std::filesystem::directory_iterator(from)) {
                const auto name = file.path().filename().string();
                if (!name.starts_with("milena-metadata-")) continue;
                if (!with_snapshot && name.contains("snapshot")) continue;
                disk.put((directory / name).string(), bytes_of(read_file(file.path())));
            }
            REQUIRE(disk.files().size() == (with_snapshot ? 3 : 2));
            const auto tree = open(disk);
            CHECK(tree->notes().empty());
            CHECK(described(const_cast<Tree&>(tree->tree())) == expected);
        }
    }

    TEST_CASE("what this build writes is format 1, byte for byte") {
        // A change of the bytes is a new version of the format, with a directory of its own.
        sim::SimDisk disk;
        write_all_kinds(*open(disk));
        for (const std::string& file : disk.files()) {
            const auto name = std::filesystem::path(file).filename();
            CAPTURE(name.string());
            CHECK(disk.content(file) ==
                  bytes_of(read_file(upgrades / "metadata-journal-v1" / name)));
        }
    }

    TEST_CASE("write a directory" * doctest::skip()) {
        const char* out = std::getenv("MILENA_WRITE");
        REQUIRE(out != nullptr);
        sim::SimDisk disk;
        const auto tree = open(disk);
        write_all_kinds(*tree);
        for (const std::string& file : disk.files()) {
            const auto content = disk.content(file);
            std::ofstream(std::filesystem::path(out) / std::filesystem::path(file).filename(),
                          std::ios::binary)
                .write(reinterpret_cast<const char*>(content.data()),
                       static_cast<std::streamsize>(content.size()));
        }
        std::ofstream(std::filesystem::path(out) / "expected.txt")
            << described(const_cast<Tree&>(tree->tree()));
    }
}

#include "protocol/zookeeper/messages.h"

#include "protocol/tests/hex.h"

#include <doctest/doctest.h>

#include <cstddef>
#include <random>
#include <span>
#include <string>
#include <tuple>
#include <vector>

using namespace zookeeper;

namespace {

template <class T>
std::vector<std::byte> bytes_of(const T& value) {
    std::vector<std::byte> bytes;
    wire::Writer writer(bytes);
    jute::write(writer, value);
    return bytes;
}

template <class T>
std::vector<std::byte> again(std::span<const std::byte> bytes, bool& read) {
    wire::Reader reader(bytes);
    const T value = jute::read<T>(reader);
    read = reader.finish();
    return bytes_of(value);
}

// One of each, with something in every field.
const auto& samples() {
    static const std::vector<Acl> acl{{31, {"world", "anyone"}}, {1, {"digest", "u:x"}}};
    static const Stat stat{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    static const CreateRequest create{"/a", "data", acl, 3};
    static const std::vector<std::string> names{"a", "", "b"};
    static const SetWatchesRequest watches{7, names, std::nullopt, names};
    static const std::tuple all{RequestHeader{5, OpCode::close_session},
                                ReplyHeader{-1, 77, -101},
                                MultiHeader{OpCode::create, false, -1},
                                WatcherEvent{4, 3, "/a"},
                                stat,
                                create,
                                CreateTtlRequest{create, 1000},
                                DeleteRequest{"/a", 3},
                                SetDataRequest{"/a", {}, 2},
                                SetAclRequest{"/a", acl, 1},
                                PathRequest{"/a"},
                                ReadRequest{"/a", true},
                                WatchesRequest{"/a", 3},
                                watches,
                                SetWatches2Request{watches, names, names},
                                EphemeralsRequest{"/"},
                                AuthRequest{0, "digest", "u:p"},
                                PathResponse{"/a"},
                                CreatedResponse{"/a", stat},
                                StatResponse{stat},
                                DataResponse{"", stat},
                                AclResponse{acl, stat},
                                NamesResponse{names},
                                Children2Response{names, stat},
                                NumberResponse{9},
                                TokenResponse{},
                                WhoAmIResponse{{{"ip", "::1"}}}};
    return all;
}

template <class Look>
void with_each_sample(Look look) {
    std::apply([&](const auto&... sample) { (look(sample), ...); }, samples());
}

}  // namespace

TEST_CASE("a create request has the bytes that Apache ZooKeeper's client sends") {
    const CreateRequest request{"/a", std::nullopt, std::vector<Acl>{{31, {"world", "anyone"}}}, 1};
    CHECK(bytes_of(request) == test::hex("00000002 2f61 ffffffff 00000001 0000001f 00000005 "
                                         "776f726c64 00000006 616e796f6e65 00000001"));
}

TEST_CASE("the results of a multi that failed have the bytes that Apache ZooKeeper sends") {
    std::vector<std::byte> bytes;
    wire::Writer writer(bytes);
    for (const std::int32_t code : {0, -103, -2}) {
        jute::write(writer, MultiHeader{OpCode::error, false, code});
        jute::write(writer, NumberResponse{code});
    }
    jute::write(writer, MultiHeader{});
    CHECK(bytes == test::hex("ffffffff 00 00000000 00000000 ffffffff 00 ffffff99 ffffff99 "
                             "ffffffff 00 fffffffe fffffffe ffffffff 01 ffffffff"));
}

TEST_CASE("a stat takes 68 bytes") {
    CHECK(bytes_of(Stat{}).size() == 68);
}

TEST_CASE("a connect request of an old client has no read-only flag, and its answer neither") {
    std::vector<std::byte> bytes;
    wire::Writer writer(bytes);
    ConnectRequest request;
    request.timeout_ms = 30000;
    request.password = std::string(16, '\0');
    write_connect_request(writer, request);
    CHECK(bytes.size() == 44);
    wire::Reader reader(std::span<const std::byte>{bytes});
    CHECK_FALSE(read_connect_request(reader).read_only);
    CHECK(reader.finish());

    request.read_only = false;
    write_connect_request(writer, request);
    REQUIRE(bytes.size() == 44 + 45);
    wire::Reader newer(std::span<const std::byte>(bytes).subspan(44));
    CHECK(newer.rest().size() == 45);
    const auto read = read_connect_request(newer);
    CHECK(read.read_only == false);
    CHECK(read.timeout_ms == 30000);

    std::vector<std::byte> answer;
    wire::Writer answer_writer(answer);
    ConnectResponse response;
    response.password = std::string(16, 'p');
    write_connect_response(answer_writer, response);
    CHECK(answer.size() == 36);
    response.read_only = false;
    write_connect_response(answer_writer, response);
    CHECK(answer.size() == 36 + 37);
}

TEST_CASE("every message comes back as it was written") {
    with_each_sample([]<class T>(const T& sample) {
        bool read = false;
        const auto bytes = bytes_of(sample);
        CHECK(again<T>(bytes, read) == bytes);
        CHECK(read);
    });
}

TEST_CASE("null and empty buffers stay what they are") {
    CHECK(bytes_of(TokenResponse{}) == test::hex("ffffffff"));
    CHECK(bytes_of(TokenResponse{""}) == test::hex("00000000"));
    bool read = false;
    CHECK(again<TokenResponse>(test::hex("ffffffff"), read) == test::hex("ffffffff"));
    CHECK(again<TokenResponse>(test::hex("00000000"), read) == test::hex("00000000"));
}

TEST_CASE("a message cut anywhere is not read") {
    with_each_sample([]<class T>(const T& sample) {
        const auto bytes = bytes_of(sample);
        for (std::size_t size = 0; size < bytes.size(); ++size) {
            bool read = true;
            again<T>(std::span(bytes).first(size), read);
            CHECK_FALSE(read);
        }
    });
}

TEST_CASE("a path that is null is not read") {
    const auto bytes = test::hex("ffffffff 00000000");
    wire::Reader reader(std::span<const std::byte>{bytes});
    jute::read<DeleteRequest>(reader);
    CHECK(reader.failed());
}

TEST_CASE("lengths and counts beyond the frame are not believed") {
    for (const auto* text : {"7fffffff", "fffffffe", "80000000", "00000005 61"}) {
        const auto bytes = test::hex(text);
        wire::Reader names(std::span<const std::byte>{bytes});
        jute::read<NamesResponse>(names);
        CHECK(names.failed());
        wire::Reader path(std::span<const std::byte>{bytes});
        jute::read<PathRequest>(path);
        CHECK(path.failed());
    }
}

TEST_CASE("bytes that were changed are read as something or refused") {
    std::mt19937_64 random(4);
    with_each_sample([&]<class T>(const T& sample) {
        const auto bytes = bytes_of(sample);
        for (int round = 0; round < 2000; ++round) {
            auto changed = bytes;
            for (auto n = 1 + random() % 4; n > 0; --n) {
                changed[random() % changed.size()] = static_cast<std::byte>(random());
            }
            bool read = false;
            const auto written = again<T>(changed, read);
            if (read) CHECK(written.size() == changed.size());
        }
    });
}

TEST_CASE("a frame begins with its length") {
    std::vector<std::byte> frames = test::hex("aa");
    write_frame(frames, [](wire::Writer& writer) { jute::write(writer, PathRequest{"/"}); });
    CHECK(frames == test::hex("aa 00000005 00000001 2f"));
}

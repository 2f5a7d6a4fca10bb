// Messages of ZooKeeper's client protocol: every operation's request and answer, each declared
// once (jute.h says how they are read and written).
//
//     frame     int length | payload
//     first     ConnectRequest                        ConnectResponse
//     then      RequestHeader | request of its type   ReplyHeader | answer unless err != 0
//     events                                          ReplyHeader with xid -1 | WatcherEvent
//
// The names are Apache ZooKeeper's (zookeeper.jute) in our spelling. Operations without a
// record of their own: ping, closeSession and whoAmI ask with nothing; delete, ping, auth,
// setWatches, checkWatches and removeWatches answer with nothing.
#pragma once

#include "protocol/zookeeper/jute.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace zookeeper {

enum class OpCode : std::int32_t {
    error = -1,  // In the result of a multi only.
    create = 1,
    del = 2,
    exists = 3,
    get_data = 4,
    set_data = 5,
    get_acl = 6,
    set_acl = 7,
    get_children = 8,
    sync = 9,
    ping = 11,
    get_children2 = 12,
    check = 13,  // In a multi only.
    multi = 14,
    create2 = 15,
    reconfig = 16,
    check_watches = 17,
    remove_watches = 18,
    create_container = 19,
    delete_container = 20,  // ZooKeeper's own; clients may not.
    create_ttl = 21,
    multi_read = 22,
    auth = 100,
    set_watches = 101,
    sasl = 102,
    get_ephemerals = 103,
    get_all_children_number = 104,
    set_watches2 = 105,
    add_watch = 106,
    who_am_i = 107,
    close_session = -11,
};

// Errors that only the protocol knows; the tree's are coordinator::ZkError.
constexpr std::int32_t err_reconfig_disabled = -123;

constexpr std::int32_t xid_event = -1;
constexpr std::int32_t xid_ping = -2;

using Buffer = std::optional<std::string>;  // Null and empty are different.

// ---- Connecting ---------------------------------------------------------------------------

struct ConnectRequest {
    std::int32_t protocol_version = 0;
    std::int64_t last_zxid_seen = 0;
    std::int32_t timeout_ms = 0;
    std::int64_t session_id = 0;  // 0: a new one.
    Buffer password;
    std::optional<bool> read_only;  // Old clients do not send it, and then do not expect it.
};

struct ConnectResponse {
    std::int32_t protocol_version = 0;
    std::int32_t timeout_ms = 0;  // 0: the session is gone.
    std::int64_t session_id = 0;
    Buffer password;
    std::optional<bool> read_only;
};

ConnectRequest read_connect_request(wire::Reader& reader);
void write_connect_request(wire::Writer& writer, const ConnectRequest& request);
ConnectResponse read_connect_response(wire::Reader& reader);
void write_connect_response(wire::Writer& writer, const ConnectResponse& response);

// ---- Headers ------------------------------------------------------------------------------

struct RequestHeader {
    std::int32_t xid = 0;
    OpCode type = OpCode::ping;

    static void fields(auto& self, auto&& visit) { visit(self.xid, self.type); }
};

struct ReplyHeader {
    std::int32_t xid = 0;
    std::int64_t zxid = 0;
    std::int32_t err = 0;

    static void fields(auto& self, auto&& visit) { visit(self.xid, self.zxid, self.err); }
};

// Before each operation of a multi, and before each of its results.
struct MultiHeader {
    OpCode type = OpCode::error;
    bool done = true;  // Nothing follows.
    std::int32_t err = -1;

    static void fields(auto& self, auto&& visit) { visit(self.type, self.done, self.err); }
};

struct WatcherEvent {
    std::int32_t type = 0;
    std::int32_t state = 3;  // Connected, always.
    std::string path;

    static void fields(auto& self, auto&& visit) { visit(self.type, self.state, self.path); }
};

// ---- What several of them hold ------------------------------------------------------------

struct Id {
    std::string scheme;
    std::string id;

    static void fields(auto& self, auto&& visit) { visit(self.scheme, self.id); }
};

struct AclId {
    Buffer scheme;  // What an empty one is: nobody.
    Buffer id;

    static void fields(auto& self, auto&& visit) { visit(self.scheme, self.id); }
};

struct Acl {
    std::int32_t permissions = 0;
    AclId id;

    static void fields(auto& self, auto&& visit) { visit(self.permissions, self.id); }
};

struct Stat {
    std::int64_t czxid = 0;
    std::int64_t mzxid = 0;
    std::int64_t ctime = 0;
    std::int64_t mtime = 0;
    std::int32_t version = 0;
    std::int32_t cversion = 0;
    std::int32_t aversion = 0;
    std::int64_t ephemeral_owner = 0;
    std::int32_t data_length = 0;
    std::int32_t num_children = 0;
    std::int64_t pzxid = 0;

    static void fields(auto& self, auto&& visit) {
        visit(self.czxid, self.mzxid, self.ctime, self.mtime, self.version, self.cversion,
              self.aversion, self.ephemeral_owner, self.data_length, self.num_children, self.pzxid);
    }
};

// ---- Requests -----------------------------------------------------------------------------

struct CreateRequest {  // create, create2, createContainer
    std::optional<std::string> path;
    Buffer data;
    std::optional<std::vector<Acl>> acl;
    std::int32_t flags = 0;

    static void fields(auto& self, auto&& visit) {
        visit(self.path, self.data, self.acl, self.flags);
    }
};

struct CreateTtlRequest {
    CreateRequest create;
    std::int64_t ttl_ms = 0;

    static void fields(auto& self, auto&& visit) { visit(self.create, self.ttl_ms); }
};

struct DeleteRequest {
    std::string path;
    std::int32_t version = -1;  // -1: any; so in all that follow.

    static void fields(auto& self, auto&& visit) { visit(self.path, self.version); }
};

using CheckVersionRequest = DeleteRequest;

struct SetDataRequest {
    Buffer path;
    Buffer data;
    std::int32_t version = -1;

    static void fields(auto& self, auto&& visit) { visit(self.path, self.data, self.version); }
};

struct SetAclRequest {
    std::optional<std::string> path;
    std::optional<std::vector<Acl>> acl;
    std::int32_t version = -1;

    static void fields(auto& self, auto&& visit) { visit(self.path, self.acl, self.version); }
};

struct PathRequest {  // getACL, getAllChildrenNumber
    std::string path;

    static void fields(auto& self, auto&& visit) { visit(self.path); }
};

struct SyncPath {  // sync, and its answer
    std::optional<std::string> path;

    static void fields(auto& self, auto&& visit) { visit(self.path); }
};

struct ReadRequest {  // exists, getData, getChildren, getChildren2
    std::string path;
    bool watch = false;

    static void fields(auto& self, auto&& visit) { visit(self.path, self.watch); }
};

struct WatchesRequest {  // checkWatches, removeWatches, addWatch
    Buffer path;
    std::int32_t type = 0;  // Which watches; of addWatch the mode.

    static void fields(auto& self, auto&& visit) { visit(self.path, self.type); }
};

struct SetWatchesRequest {
    std::int64_t relative_zxid = 0;
    std::optional<std::vector<std::string>> data;
    std::optional<std::vector<std::string>> exist;
    std::optional<std::vector<std::string>> child;

    static void fields(auto& self, auto&& visit) {
        visit(self.relative_zxid, self.data, self.exist, self.child);
    }
};

struct SetWatches2Request {
    SetWatchesRequest once;
    std::optional<std::vector<std::string>> persistent;
    std::optional<std::vector<std::string>> recursive;

    static void fields(auto& self, auto&& visit) {
        visit(self.once, self.persistent, self.recursive);
    }
};

struct EphemeralsRequest {
    std::optional<std::string> prefix;

    static void fields(auto& self, auto&& visit) { visit(self.prefix); }
};

struct AuthRequest {
    std::int32_t type = 0;
    std::optional<std::string> scheme;
    Buffer auth;

    static void fields(auto& self, auto&& visit) { visit(self.type, self.scheme, self.auth); }
};

struct ReconfigRequest {
    std::optional<std::string> joining;
    std::optional<std::string> leaving;
    std::optional<std::string> new_members;
    std::int64_t config_id = -1;

    static void fields(auto& self, auto&& visit) {
        visit(self.joining, self.leaving, self.new_members, self.config_id);
    }
};

struct Nothing {
    static void fields(auto&, auto&& visit) { visit(); }
};

// ---- Answers ------------------------------------------------------------------------------

struct PathResponse {  // create
    std::string path;

    static void fields(auto& self, auto&& visit) { visit(self.path); }
};

struct CreatedResponse {  // create2, createContainer, createTTL
    std::string path;
    Stat stat;

    static void fields(auto& self, auto&& visit) { visit(self.path, self.stat); }
};

struct StatResponse {  // exists, setData, setACL
    Stat stat;

    static void fields(auto& self, auto&& visit) { visit(self.stat); }
};

struct DataResponse {
    Buffer data;
    Stat stat;

    static void fields(auto& self, auto&& visit) { visit(self.data, self.stat); }
};

struct AclResponse {
    std::vector<Acl> acl;
    Stat stat;

    static void fields(auto& self, auto&& visit) { visit(self.acl, self.stat); }
};

struct NamesResponse {  // getChildren, getEphemerals
    std::vector<std::string> names;

    static void fields(auto& self, auto&& visit) { visit(self.names); }
};

struct Children2Response {
    std::vector<std::string> names;
    Stat stat;

    static void fields(auto& self, auto&& visit) { visit(self.names, self.stat); }
};

struct NumberResponse {  // getAllChildrenNumber; of addWatch, and of an error in a multi, a code
    std::int32_t number = 0;

    static void fields(auto& self, auto&& visit) { visit(self.number); }
};

struct TokenResponse {
    Buffer token;

    static void fields(auto& self, auto&& visit) { visit(self.token); }
};

struct WhoAmIResponse {
    std::vector<Id> ids;  // Scheme and user.

    static void fields(auto& self, auto&& visit) { visit(self.ids); }
};

// ---- Frames -------------------------------------------------------------------------------

// A frame at the end of `out`: `write_payload(writer)` between a length that is put in later.
template <class WritePayload>
void write_frame(std::vector<std::byte>& out, WritePayload write_payload) {
    const auto begin = out.size();
    wire::Writer writer(out);
    writer.int32(0);
    write_payload(writer);
    const auto length = static_cast<std::uint32_t>(out.size() - begin - 4);
    for (std::size_t i = 0; i < 4; ++i) {
        out[begin + i] = static_cast<std::byte>(length >> (24 - 8 * i));
    }
}

}  // namespace zookeeper

// Requests: what a MetadataClient can be asked to ask, each as a value.
//
//     client.ask(request::get("/controller"))         blocks: Result<NodeView, ZkError>
//     client.submit(request::get("/controller"), done)
//
// A request knows how it is written, how its answer is read, and which watch it leaves at the
// server. Paths are the client's: below its chroot.
//
// Pure, no threads.
#pragma once

#include "coordinator/metadata/client/connect_string.h"
#include "coordinator/metadata/client/watch_book.h"
#include "coordinator/metadata/tree.h"
#include "protocol/base/result.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"
#include "protocol/zookeeper/messages.h"

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace coordinator {

// What came back: of an answer with an error there is no body.
struct Reply {
    ZkError error = ZkError::ok;
    Zxid zxid = {};
    wire::Reader& body;
    const Chroot& chroot;
};

// Something to ask, whatever its answer is.
struct AnyRequest {
    zookeeper::OpCode type = zookeeper::OpCode::ping;
    std::function<void(wire::Writer&, const Chroot&)> write;
    // What the answer means for the watches; may be empty.
    std::function<void(WatchBook&, ZkError, const Chroot&)> settle = {};
    std::function<void(Reply&)> done = {};
};

// Something to ask whose answer is a T.
template <class T>
struct Request {
    AnyRequest raw;
    std::function<T(Reply&)> read;
};

enum class Watch : bool { no, yes };

// What a transaction came to; an error of the whole is Refused too.
using Outcome = base::Result<Committed, Refused>;

namespace request {

// One transaction. No ops: a sync, answered when all earlier writes are. `with_parents` is
// not looked at.
Request<Outcome> commit(std::vector<Op> ops);

// With Watch::yes the client's on_event is called once for the next change; for children()
// of the names, else of the node. exists() watches a node that is not there, too.
Request<NodeView> get(std::string path, Watch watch = Watch::no);
// Nodes by one request, each found or not, for servers of 3.6 and later (multiRead).
Request<std::vector<base::Result<NodeView, ZkError>>> get_all(std::vector<std::string> paths);

Request<Stat> exists(std::string path, Watch watch = Watch::no);
Request<ChildrenView> children(std::string path, Watch watch = Watch::no);  // Names are sorted.

Request<std::pair<Acl, Stat>> acl(std::string path);
Request<std::string> sync(std::string path);
Request<std::vector<std::string>> ephemerals(std::string prefix);  // Of this session; sorted.
Request<std::int32_t> all_children_number(std::string path);
Request<std::vector<Id>> who_am_i();

// The ensemble's configuration, which no chroot hides.
Request<NodeView> config(Watch watch = Watch::no);

// Change the ensemble's members; the answer is the new configuration.
Request<NodeView> reconfig(zookeeper::ReconfigRequest change);

// A watch that stays, for servers of 3.6 and later: unimplemented by older ones, which close
// the connection too. Requires WatchKind::persistent or recursive.
Request<std::monostate> add_watch(std::string path, WatchKind kind);

// All watches of a type that this client has there. no_watcher when there is none.
Request<std::monostate> remove_watches(std::string path, WatcherType type);

}  // namespace request

}  // namespace coordinator

#include "coordinator/metadata/server/answers.h"

#include "coordinator/metadata/acl.h"
#include "coordinator/metadata/path.h"
#include "coordinator/metadata/wire/values.h"

#include <algorithm>
#include <array>
#include <openssl/evp.h>
#include <utility>
#include <variant>

namespace coordinator {

namespace jute = zookeeper::jute;
using zookeeper::OpCode;

namespace {

Verdict verdict(ZkError error) {
    return {static_cast<std::int32_t>(error)};
}

Answer always(Verdict judged) {
    return [judged](Turn&, ReplyBytes&) { return judged; };
}

// An answer to a request that its record decodes to.
template <class Request, class Handle>
Answer with(wire::Reader& reader, Handle handle) {
    auto request = jute::read<Request>(reader);
    if (reader.failed()) return always(verdict(ZkError::marshalling_error));
    return [request = std::move(request), handle](Turn& turn, ReplyBytes& reply) {
        return handle(turn, request, reply);
    };
}

template <class Body>
Verdict say(ReplyBytes& reply, const Body& body) {
    wire::Writer writer(reply.body);
    jute::write(writer, body);
    return {};
}

// ---- Writes -------------------------------------------------------------------------------

struct Write {
    OpCode type;  // As which its result is told.
    Op op;
};

base::Result<Write, ZkError> refuse(ZkError error) {
    return base::Unexpected(error);
}

// As ZooKeeper, to which an entry with a scheme and without an id is no list at all.
bool is_broken(const std::optional<std::vector<zookeeper::Acl>>& acl) {
    return acl && std::ranges::any_of(*acl, [](const zookeeper::Acl& entry) {
               return entry.id.scheme && !entry.id.id;
           });
}

base::Result<Write, ZkError> read_create(OpCode type, wire::Reader& reader, bool in_multi) {
    zookeeper::CreateTtlRequest request;
    if (type == OpCode::create_ttl) {
        request = jute::read<zookeeper::CreateTtlRequest>(reader);
    } else {
        request.create = jute::read<zookeeper::CreateRequest>(reader);
    }
    if (reader.failed()) return refuse(ZkError::marshalling_error);
    auto& [path, data, acl, flags] = request.create;
    Create create{.path = path.value_or("/"), .data = std::move(data), .acl = tree_acl(acl)};
    // The flag alone makes a container in a multi only, and a plain node elsewhere.
    const bool is_flagged =
        in_multi && type != OpCode::create_ttl && flags == create_flag::container;
    if (is_flagged) type = OpCode::create_container;
    if (type == OpCode::create_container) {
        create.kind = NodeKind::container;
    } else if (type == OpCode::create_ttl) {
        if (flags != create_flag::ttl && flags != create_flag::ttl_sequential) {
            return refuse(ZkError::bad_arguments);
        }
        create.kind = NodeKind::ttl;
        create.sequential = flags == create_flag::ttl_sequential;
        create.ttl_ms = request.ttl_ms;
    } else if (flags >= 0 && flags < create_flag::container) {
        if ((flags & create_flag::ephemeral) != 0) create.kind = NodeKind::ephemeral;
        create.sequential = (flags & create_flag::sequential) != 0;
    } else if (flags != create_flag::container) {
        return refuse(ZkError::bad_arguments);
    }
    // ZooKeeper looks at kind and path before the list, but reads a multi as a whole; and in a
    // multi it takes a list that is null for a request that it cannot read.
    const bool is_lost = in_multi && !acl && type != OpCode::create_ttl;
    const bool is_unreadable = !path || is_broken(acl) || is_lost;
    const bool is_fine_so_far = is_possible(create) && zk_path::has_name(create.path);
    if (is_unreadable && (in_multi || is_fine_so_far)) {
        return refuse(ZkError::marshalling_error);
    }
    return Write{type == OpCode::create ? type : OpCode::create2, std::move(create)};
}

// One operation that changes nodes; unimplemented when `type` is none.
base::Result<Write, ZkError> read_write(OpCode type, wire::Reader& reader, bool in_multi) {
    std::optional<Write> write;
    switch (type) {
        case OpCode::create:
        case OpCode::create2:
        case OpCode::create_container:
        case OpCode::create_ttl:
            return read_create(type, reader, in_multi);
        case OpCode::del: {
            auto request = jute::read<zookeeper::DeleteRequest>(reader);
            write = Write{type, Delete{std::move(request.path), request.version}};
            break;
        }
        case OpCode::set_data: {
            auto request = jute::read<zookeeper::SetDataRequest>(reader);
            // ZooKeeper takes a path that is null for one that is no path.
            if (in_multi && !request.path) return refuse(ZkError::marshalling_error);
            write = Write{
                type, SetData{request.path.value_or(""), std::move(request.data), request.version}};
            break;
        }
        case OpCode::set_acl: {
            auto request = jute::read<zookeeper::SetAclRequest>(reader);
            std::string path = request.path.value_or("");
            // ZooKeeper looks at the path first, and takes null for one that is no path.
            if (zk_path::is_valid(path) && is_broken(request.acl)) {
                return refuse(ZkError::marshalling_error);
            }
            write = Write{type, SetAcl{std::move(path), tree_acl(request.acl), request.version}};
            break;
        }
        case OpCode::check: {
            auto request = jute::read<zookeeper::CheckVersionRequest>(reader);
            write = Write{type, Check{std::move(request.path), request.version}};
            break;
        }
        default:
            return refuse(ZkError::unimplemented);
    }
    if (reader.failed()) return refuse(ZkError::marshalling_error);
    return std::move(*write);
}

void say_result(wire::Writer& writer, OpCode type, const OpResult& result) {
    switch (type) {
        case OpCode::create:
            jute::write(writer, result.path);
            break;
        case OpCode::create2:
            jute::write(writer, zookeeper::CreatedResponse{result.path, wire_stat(result.stat)});
            break;
        case OpCode::set_data:
        case OpCode::set_acl:
            jute::write(writer, wire_stat(result.stat));
            break;
        default:
            break;
    }
}

Answer prepare_write(OpCode type, wire::Reader& reader) {
    auto write = read_write(type, reader, false);
    if (!write) return always(verdict(write.error()));
    return [type = write->type, ops = std::vector<Op>{std::move(write->op)}](Turn& turn,
                                                                             ReplyBytes& reply) {
        const auto done = turn.commit(ops);
        if (!done) return verdict(done.error().error);
        wire::Writer writer(reply.body);
        say_result(writer, type, done->results.front());
        return Verdict{};
    };
}

// ---- Multi --------------------------------------------------------------------------------

void say_error(wire::Writer& writer, ZkError error) {
    const auto code = static_cast<std::int32_t>(error);
    jute::write(writer, zookeeper::MultiHeader{OpCode::error, false, code});
    writer.int32(code);
}

Answer prepare_multi(wire::Reader& reader) {
    std::vector<OpCode> types;
    std::vector<Op> ops;
    for (;;) {
        const auto header = jute::read<zookeeper::MultiHeader>(reader);
        if (reader.failed()) return always(verdict(ZkError::marshalling_error));
        if (header.done) break;
        if (header.type == OpCode::set_acl) return always(verdict(ZkError::marshalling_error));
        auto write = read_write(header.type, reader, true);
        if (!write) return always(verdict(ZkError::marshalling_error));
        types.push_back(write->type);
        ops.push_back(std::move(write->op));
    }
    return [types = std::move(types), ops = std::move(ops)](Turn& turn, ReplyBytes& reply) {
        wire::Writer writer(reply.body);
        const auto done = turn.commit(ops);
        for (std::size_t i = 0; i < ops.size(); ++i) {
            if (done) {
                jute::write(writer, zookeeper::MultiHeader{types[i], false, 0});
                say_result(writer, types[i], done->results[i]);
            } else if (i == done.error().at) {
                say_error(writer, done.error().error);
            } else {
                say_error(writer,
                          i < done.error().at ? ZkError::ok : ZkError::runtime_inconsistency);
            }
        }
        jute::write(writer, zookeeper::MultiHeader{});
        return Verdict{};
    };
}

// ---- Reads --------------------------------------------------------------------------------

// "" is another name of "/" for reads. What is watched by it never changes, as in ZooKeeper.
const std::string& named(const std::string& path) {
    static const std::string root = "/";
    return path.empty() ? root : path;
}

ZkError get_data(Turn& turn, const zookeeper::ReadRequest& request, wire::Writer& writer) {
    turn.looks_at(named(request.path));
    auto node = turn.tree().get(request.path, turn.caller());
    if (!node) return node.error();
    if (request.watch) turn.watch(request.path, WatchKind::data);
    jute::write(writer, zookeeper::DataResponse{std::move(node->data), wire_stat(node->stat)});
    return ZkError::ok;
}

ZkError get_children(Turn& turn, const zookeeper::ReadRequest& request, bool with_stat,
                     wire::Writer& writer) {
    turn.looks_at(named(request.path));
    auto children = turn.tree().children(request.path, turn.caller());
    if (!children) return children.error();
    if (request.watch) turn.watch(request.path, WatchKind::child);
    jute::write(writer, children->names);
    if (with_stat) jute::write(writer, wire_stat(children->stat));
    return ZkError::ok;
}

Verdict exists(Turn& turn, const zookeeper::ReadRequest& request, ReplyBytes& reply) {
    turn.looks_at(named(request.path));
    if (request.path.contains('\0')) return verdict(ZkError::bad_arguments);
    const auto stat = turn.tree().exists(request.path, turn.caller());
    const bool tells = stat || stat.error() == ZkError::no_node;
    if (request.watch && tells) turn.watch(request.path, WatchKind::data);
    if (!stat) return verdict(stat.error());
    return say(reply, zookeeper::StatResponse{wire_stat(*stat)});
}

Answer prepare_multi_read(wire::Reader& reader) {
    struct One {
        OpCode type;
        zookeeper::ReadRequest request;
    };
    std::vector<One> reads;
    for (;;) {
        const auto header = jute::read<zookeeper::MultiHeader>(reader);
        if (reader.failed()) return always(verdict(ZkError::marshalling_error));
        if (header.done) break;
        if (header.type != OpCode::get_data && header.type != OpCode::get_children) {
            return always(verdict(ZkError::marshalling_error));
        }
        reads.push_back({header.type, jute::read<zookeeper::ReadRequest>(reader)});
        reads.back().request.watch = false;  // As ZooKeeper: none is set here.
    }
    return [reads = std::move(reads)](Turn& turn, ReplyBytes& reply) {
        wire::Writer writer(reply.body);
        for (const One& one : reads) {
            std::vector<std::byte> body;
            wire::Writer body_writer(body);
            const ZkError error = one.type == OpCode::get_data
                                      ? get_data(turn, one.request, body_writer)
                                      : get_children(turn, one.request, false, body_writer);
            if (error != ZkError::ok) {
                say_error(writer, error);
                continue;
            }
            jute::write(writer, zookeeper::MultiHeader{one.type, false, 0});
            writer.bytes(body);
            // A short request can name a large node many times.
            if (reply.body.size() > multi_read_bytes_max) {
                return Verdict{.drops_for = "it reads more than " +
                                            std::to_string(multi_read_bytes_max) +
                                            " bytes at once"};
            }
        }
        jute::write(writer, zookeeper::MultiHeader{});
        return Verdict{};
    };
}

Verdict get_ephemerals(Turn& turn, const zookeeper::EphemeralsRequest& request, ReplyBytes& reply) {
    const std::string prefix = request.prefix.value_or("");
    const bool all = prefix == "/" || prefix.find_first_not_of(' ') == prefix.npos;
    zookeeper::NamesResponse own;
    const auto session = turn.tree().sessions().find(turn.caller().session);
    if (session != turn.tree().sessions().end()) {
        for (const std::string& path : session->second.ephemerals) {
            if (all || path.starts_with(prefix)) own.names.push_back(path);
        }
    }
    return say(reply, own);
}

// ---- Watches ------------------------------------------------------------------------------

std::optional<WatcherType> watcher_type(std::int32_t type) {
    if (type < 1 || type > 3) return std::nullopt;
    return static_cast<WatcherType>(type);
}

Verdict check_watches(Turn& turn, const zookeeper::WatchesRequest& request, ReplyBytes&) {
    const auto type = watcher_type(request.type);
    if (!type) return verdict(ZkError::marshalling_error);
    return verdict(turn.has_watch(request.path.value_or(""), *type) ? ZkError::ok
                                                                    : ZkError::no_watcher);
}

Verdict remove_watches(Turn& turn, const zookeeper::WatchesRequest& request, ReplyBytes&) {
    const auto type = watcher_type(request.type);
    if (!type) return verdict(ZkError::marshalling_error);
    return verdict(turn.remove_watch(request.path.value_or(""), *type) ? ZkError::ok
                                                                       : ZkError::no_watcher);
}

Verdict add_watch(Turn& turn, const zookeeper::WatchesRequest& request, ReplyBytes& reply) {
    if (request.type != 0 && request.type != 1) return verdict(ZkError::marshalling_error);
    turn.watch(request.path.value_or(""),
               request.type == 0 ? WatchKind::persistent : WatchKind::recursive);
    return say(reply, zookeeper::NumberResponse{0});
}

// What a client that comes back missed is told at once, unless it may not read it; what has
// not changed is watched again.
class WatchesAgain {
public:
    WatchesAgain(Turn& turn, Zxid since, ReplyBytes& reply)
        : turn_(turn), since_(since), reply_(reply) {}

    void data(const std::string& path) {
        const auto stat = turn_.tree().exists(path);
        if (!stat) return tell(EventType::deleted, path);
        if (stat->mzxid > since_) return tell(EventType::data_changed, path);
        turn_.watch(path, WatchKind::data);
    }

    void exist(const std::string& path) {
        if (turn_.tree().exists(path)) return tell(EventType::created, path);
        turn_.watch(path, WatchKind::data);
    }

    void child(const std::string& path) {
        const auto stat = turn_.tree().exists(path);
        if (!stat) return tell(EventType::deleted, path);
        if (stat->pzxid > since_) return tell(EventType::children_changed, path);
        turn_.watch(path, WatchKind::child);
    }

private:
    void tell(EventType type, const std::string& path) {
        const auto seen = turn_.tree().exists(path, turn_.caller());
        if (!seen && seen.error() == ZkError::no_auth) return;
        write_event(reply_.before, type, path);
    }

    Turn& turn_;
    const Zxid since_;
    ReplyBytes& reply_;
};

using PathList = std::optional<std::vector<std::string>>;

// As ZooKeeper: a list that is null ends it there, and what came before is done.
template <class Take>
bool for_each(const PathList& paths, Take take) {
    if (!paths) return false;
    for (const std::string& path : *paths) take(path);
    return true;
}

bool set_watches(Turn& turn, const zookeeper::SetWatchesRequest& request, ReplyBytes& reply) {
    WatchesAgain again(turn, Zxid(request.relative_zxid), reply);
    return for_each(request.data, [&](const std::string& path) { again.data(path); }) &&
           for_each(request.exist, [&](const std::string& path) { again.exist(path); }) &&
           for_each(request.child, [&](const std::string& path) { again.child(path); });
}

bool set_watches2(Turn& turn, const zookeeper::SetWatches2Request& request, ReplyBytes& reply) {
    const auto watch = [&](WatchKind kind) {
        return [&turn, kind](const std::string& path) { turn.watch(path, kind); };
    };
    return set_watches(turn, request.once, reply) &&
           for_each(request.persistent, watch(WatchKind::persistent)) &&
           for_each(request.recursive, watch(WatchKind::recursive));
}

// ---- Who is it ----------------------------------------------------------------------------

// "user:" and the digest that ZooKeeper's access lists hold of "user:password".
std::string digest_id(const std::string& user_and_password) {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned int digest_size = 0;
    EVP_Digest(user_and_password.data(), user_and_password.size(), digest.data(), &digest_size,
               EVP_sha1(), nullptr);
    std::array<unsigned char, 2 * EVP_MAX_MD_SIZE> text{};
    const int size = EVP_EncodeBlock(text.data(), digest.data(), static_cast<int>(digest_size));
    return user_and_password.substr(0, user_and_password.find(':')) + ":" +
           std::string(text.begin(), text.begin() + size);
}

Verdict add_auth(Turn& turn, const zookeeper::AuthRequest& request, const std::string& host) {
    Verdict judged{.zxid = 0};
    if (request.scheme == "digest" && request.auth) {
        const std::string id = digest_id(*request.auth);
        if (id == turn.settings().super_digest) turn.add_id({"super", ""});
        turn.add_id({"digest", id});
    } else if (request.scheme == "ip") {
        turn.add_id({"ip", host});
    } else {
        judged.err = static_cast<std::int32_t>(ZkError::auth_failed);
        judged.ends = true;
    }
    return judged;
}

Verdict who_am_i(Turn& turn, const zookeeper::Nothing&, ReplyBytes& reply) {
    zookeeper::WhoAmIResponse who;
    for (const Id& id : turn.caller().ids) {
        const bool has_secret = id.scheme == "digest";
        who.ids.push_back({id.scheme, has_secret ? id.id.substr(0, id.id.find(':')) : id.id});
    }
    return say(reply, who);
}

Answer prepare_any(OpCode type, wire::Reader& reader, const std::string& host) {
    using namespace zookeeper;
    switch (type) {
        case OpCode::create:
        case OpCode::create2:
        case OpCode::create_container:
        case OpCode::create_ttl:
        case OpCode::del:
        case OpCode::set_data:
        case OpCode::set_acl:
            return prepare_write(type, reader);
        case OpCode::multi:
            return prepare_multi(reader);
        case OpCode::multi_read:
            return prepare_multi_read(reader);
        case OpCode::exists:
            return with<ReadRequest>(reader, exists);
        case OpCode::get_data:
            return with<ReadRequest>(
                reader, [](Turn& turn, const ReadRequest& request, ReplyBytes& reply) {
                    wire::Writer writer(reply.body);
                    return verdict(coordinator::get_data(turn, request, writer));
                });
        case OpCode::get_children:
        case OpCode::get_children2:
            return with<ReadRequest>(
                reader, [with_stat = type == OpCode::get_children2](
                            Turn& turn, const ReadRequest& request, ReplyBytes& reply) {
                    wire::Writer writer(reply.body);
                    return verdict(coordinator::get_children(turn, request, with_stat, writer));
                });
        case OpCode::get_acl:
            return with<PathRequest>(
                reader, [](Turn& turn, const PathRequest& request, ReplyBytes& reply) {
                    turn.looks_at(named(request.path));
                    const auto node = turn.tree().acl(request.path, turn.caller());
                    if (!node) return verdict(node.error());
                    return say(reply, AclResponse{wire_acl(node->first), wire_stat(node->second)});
                });
        case OpCode::get_all_children_number:
            return with<PathRequest>(reader, [](Turn& turn, const PathRequest& request,
                                                ReplyBytes& reply) {
                const auto number = turn.tree().all_children_number(request.path, turn.caller());
                if (!number) return verdict(number.error());
                // ZooKeeper counts "/" among the nodes below "".
                return say(reply, NumberResponse{*number + (request.path.empty() ? 1 : 0)});
            });
        case OpCode::sync:  // All that was asked before is done: there is one queue.
            return with<SyncPath>(reader, [](Turn&, const SyncPath& path, ReplyBytes& reply) {
                return say(reply, path);
            });
        case OpCode::get_ephemerals:
            return with<EphemeralsRequest>(reader, coordinator::get_ephemerals);
        case OpCode::check_watches:
            return with<WatchesRequest>(reader, coordinator::check_watches);
        case OpCode::remove_watches:
            return with<WatchesRequest>(reader, coordinator::remove_watches);
        case OpCode::add_watch:
            return with<WatchesRequest>(reader, coordinator::add_watch);
        case OpCode::set_watches:
            return with<SetWatchesRequest>(
                reader, [](Turn& turn, const SetWatchesRequest& request, ReplyBytes& reply) {
                    const bool whole = coordinator::set_watches(turn, request, reply);
                    return verdict(whole ? ZkError::ok : ZkError::marshalling_error);
                });
        case OpCode::set_watches2:
            return with<SetWatches2Request>(
                reader, [](Turn& turn, const SetWatches2Request& request, ReplyBytes& reply) {
                    const bool whole = coordinator::set_watches2(turn, request, reply);
                    return verdict(whole ? ZkError::ok : ZkError::marshalling_error);
                });
        case OpCode::auth:
            return with<AuthRequest>(reader,
                                     [host](Turn& turn, const AuthRequest& request, ReplyBytes&) {
                                         return add_auth(turn, request, host);
                                     });
        case OpCode::who_am_i:
            return with<Nothing>(reader, coordinator::who_am_i);
        case OpCode::sasl:  // No mechanism is configured: ZooKeeper says so with a null token.
            return [](Turn&, ReplyBytes& reply) { return say(reply, TokenResponse{}); };
        case OpCode::ping:
            return [](Turn& turn, ReplyBytes&) {
                turn.looks_at_nothing();
                return Verdict{};
            };
        case OpCode::close_session:
            return [](Turn& turn, ReplyBytes&) {
                turn.close_session();
                return Verdict{.ends = true};
            };
        case OpCode::reconfig:
            return always({err_reconfig_disabled});
        case OpCode::delete_container:
            return always(verdict(ZkError::bad_arguments));
        case OpCode::error:
        case OpCode::check:
            break;
    }
    Verdict unknown = verdict(ZkError::unimplemented);
    unknown.ends = true;
    unknown.zxid = -1;
    return always(unknown);
}

}  // namespace

Answer prepare(OpCode type, wire::Reader& reader, const std::string& host) {
    return [answer = prepare_any(type, reader, host)](Turn& turn, ReplyBytes& reply) {
        Verdict judged = answer(turn, reply);
        if (turn.watches() > watches_per_client_max) {
            judged.drops_for =
                "it has more than " + std::to_string(watches_per_client_max) + " watches";
        }
        return judged;
    };
}

Counted counted(OpCode type) {
    switch (type) {
        case OpCode::auth:
        case OpCode::sasl:
            return Counted::aside;
        case OpCode::ping:
            return Counted::ping;
        case OpCode::create:
        case OpCode::create2:
        case OpCode::create_container:
        case OpCode::create_ttl:
        case OpCode::del:
        case OpCode::set_data:
        case OpCode::set_acl:
        case OpCode::multi:
        case OpCode::close_session:
            return Counted::update;
        default:
            return Counted::read;
    }
}

const char* short_name(OpCode type) {
    switch (type) {
        case OpCode::ping:
            return "PING";
        case OpCode::multi:
            return "MULT";
        case OpCode::multi_read:
            return "MLTR";
        case OpCode::create:
        case OpCode::create2:
        case OpCode::create_container:
        case OpCode::create_ttl:
            return "CREA";
        case OpCode::del:
            return "DELE";
        case OpCode::set_data:
            return "SETD";
        case OpCode::set_acl:
            return "SETA";
        case OpCode::close_session:
            return "CLOS";
        case OpCode::sync:
            return "SYNC";
        case OpCode::exists:
            return "EXIS";
        case OpCode::get_data:
            return "GETD";
        case OpCode::set_watches:
            return "SETW";
        case OpCode::set_watches2:
            return "STW2";
        case OpCode::add_watch:
            return "ADDW";
        case OpCode::get_acl:
            return "GETA";
        case OpCode::get_children:
        case OpCode::get_children2:
            return "GETC";
        case OpCode::get_all_children_number:
            return "GETACN";
        case OpCode::check_watches:
            return "CHKW";
        case OpCode::remove_watches:
            return "REMW";
        case OpCode::get_ephemerals:
            return "GETE";
        case OpCode::who_am_i:
            return "HOMI";
        default:
            return "";
    }
}

void write_event(std::vector<std::byte>& out, EventType type, const std::string& path) {
    zookeeper::write_frame(out, [&](wire::Writer& writer) {
        jute::write(writer, zookeeper::ReplyHeader{zookeeper::xid_event, -1, 0});
        jute::write(writer, zookeeper::WatcherEvent{static_cast<std::int32_t>(type), 3, path});
    });
}

}  // namespace coordinator

#include "coordinator/metadata/client/requests.h"

#include "coordinator/metadata/wire/values.h"
#include "protocol/base/ensure.h"

#include <algorithm>

namespace coordinator {

namespace jute = zookeeper::jute;
using zookeeper::OpCode;

namespace {

// The client's error for an answer that is none.
constexpr ZkError unreadable = ZkError::marshalling_error;

// A request that is one record, made when the chroot is known.
template <class Make>
std::function<void(wire::Writer&, const Chroot&)> writes(Make make) {
    return [make = std::move(make)](wire::Writer& writer, const Chroot& chroot) {
        jute::write(writer, make(chroot));
    };
}

auto path_request(std::string path) {
    return writes([path = std::move(path)](const Chroot& chroot) {
        return zookeeper::PathRequest{chroot.full(path)};
    });
}

auto read_request(const std::string& path, Watch watch) {
    return writes([path, watch](const Chroot& chroot) {
        return zookeeper::ReadRequest{chroot.full(path), watch == Watch::yes};
    });
}

// Books a watch that the server has set: always when it answered, or when it found no node.
auto books(const std::string& path, Watch watch, WatchBook::Kind found,
           std::optional<WatchBook::Kind> absent = {}) {
    return [=](WatchBook& book, ZkError error, const Chroot& chroot) {
        if (watch == Watch::no) return;
        if (error == ZkError::ok) book.add(found, chroot.full(path));
        if (error == ZkError::no_node && absent) book.add(*absent, chroot.full(path));
    };
}

template <class Message>
Message body(Reply& reply) {
    return jute::read<Message>(reply.body);
}

// ---- Transactions -------------------------------------------------------------------------

OpCode type_of(const Op& op) {
    struct {
        OpCode operator()(const Create& create) const {
            switch (create.kind) {
                case NodeKind::container:
                    return OpCode::create_container;
                case NodeKind::ttl:
                    return OpCode::create_ttl;
                case NodeKind::persistent:
                case NodeKind::ephemeral:
                    break;
            }
            return OpCode::create2;
        }
        OpCode operator()(const Delete&) const { return OpCode::del; }
        OpCode operator()(const SetData&) const { return OpCode::set_data; }
        OpCode operator()(const SetAcl&) const { return OpCode::set_acl; }
        OpCode operator()(const Check&) const { return OpCode::check; }
    } const type;
    return std::visit(type, op);
}

std::int32_t flags_of(const Create& create) {
    switch (create.kind) {
        case NodeKind::container:
            return create_flag::container;
        case NodeKind::ttl:
            return create.sequential ? create_flag::ttl_sequential : create_flag::ttl;
        case NodeKind::persistent:
        case NodeKind::ephemeral:
            break;
    }
    return (create.kind == NodeKind::ephemeral ? create_flag::ephemeral : 0) |
           (create.sequential ? create_flag::sequential : 0);
}

void write_op(wire::Writer& writer, const Op& op, const Chroot& chroot) {
    struct {
        void operator()(const Create& create) const {
            jute::write(writer, zookeeper::CreateRequest{chroot.full(create.path), create.data,
                                                         wire_acl(create.acl), flags_of(create)});
            if (create.kind == NodeKind::ttl) writer.int64(create.ttl_ms);
        }
        void operator()(const Delete& del) const {
            jute::write(writer, zookeeper::DeleteRequest{chroot.full(del.path), del.version});
        }
        void operator()(const SetData& set) const {
            jute::write(writer,
                        zookeeper::SetDataRequest{chroot.full(set.path), set.data, set.version});
        }
        void operator()(const SetAcl& set) const {
            jute::write(writer, zookeeper::SetAclRequest{chroot.full(set.path), wire_acl(set.acl),
                                                         set.version});
        }
        void operator()(const Check& check) const {
            jute::write(writer,
                        zookeeper::CheckVersionRequest{chroot.full(check.path), check.version});
        }
        wire::Writer& writer;
        const Chroot& chroot;
    } const write{writer, chroot};
    std::visit(write, op);
}

OpResult read_result(OpCode type, Reply& reply) {
    OpResult result;
    switch (type) {
        case OpCode::create:
            result.path = reply.chroot.relative(body<zookeeper::PathResponse>(reply).path);
            break;
        case OpCode::create2:
        case OpCode::create_container:
        case OpCode::create_ttl: {
            const auto made = body<zookeeper::CreatedResponse>(reply);
            result = {reply.chroot.relative(made.path), tree_stat(made.stat)};
            break;
        }
        case OpCode::set_data:
        case OpCode::set_acl:
            result.stat = tree_stat(body<zookeeper::StatResponse>(reply).stat);
            break;
        case OpCode::del:
        case OpCode::check:
            break;
        default:
            reply.body.fail();
    }
    return result;
}

// Of a multi that failed there is one entry an op, and the first with an error is to blame.
Outcome read_multi(Reply& reply) {
    Committed done{reply.zxid};
    std::optional<Refused> refused;
    for (std::size_t at = 0;; ++at) {
        const auto header = body<zookeeper::MultiHeader>(reply);
        if (reply.body.failed()) return base::Unexpected(Refused{unreadable, 0});
        if (header.done) break;
        if (header.type == OpCode::error) {
            const auto error = static_cast<ZkError>(body<zookeeper::NumberResponse>(reply).number);
            if (error != ZkError::ok && !refused) refused = Refused{error, at};
        } else {
            done.results.push_back(read_result(header.type, reply));
        }
    }
    if (refused) return base::Unexpected(*refused);
    return done;
}

NodeView read_node(Reply& reply) {
    auto node = body<zookeeper::DataResponse>(reply);
    return {std::move(node.data), tree_stat(node.stat)};
}

std::vector<base::Result<NodeView, ZkError>> read_nodes(Reply& reply) {
    std::vector<base::Result<NodeView, ZkError>> nodes;
    for (;;) {
        const auto header = body<zookeeper::MultiHeader>(reply);
        if (reply.body.failed() || header.done) return nodes;
        if (header.type == OpCode::error) {
            const auto error = body<zookeeper::NumberResponse>(reply).number;
            nodes.push_back(base::Unexpected(static_cast<ZkError>(error)));
        } else {
            nodes.push_back(read_node(reply));
        }
    }
}

bool goes_alone(const std::vector<Op>& ops) {
    return ops.size() == 1 && !std::holds_alternative<Check>(ops.front());
}

}  // namespace

namespace request {

Request<Outcome> commit(std::vector<Op> ops) {
    if (ops.empty()) {
        return {{.type = OpCode::sync, .write = path_request("/")},
                [](Reply& reply) -> Outcome { return Committed{reply.zxid}; }};
    }
    if (goes_alone(ops)) {
        const OpCode type = type_of(ops.front());
        return {{.type = type,
                 .write = [op = std::move(ops.front())](
                              wire::Writer& writer,
                              const Chroot& chroot) { write_op(writer, op, chroot); }},
                [type](Reply& reply) -> Outcome {
                    Committed done{reply.zxid};
                    done.results.push_back(read_result(type, reply));
                    return done;
                }};
    }
    return {{.type = OpCode::multi,
             .write =
                 [ops = std::move(ops)](wire::Writer& writer, const Chroot& chroot) {
                     for (const Op& op : ops) {
                         jute::write(writer, zookeeper::MultiHeader{type_of(op), false, -1});
                         write_op(writer, op, chroot);
                     }
                     jute::write(writer, zookeeper::MultiHeader{});
                 }},
            read_multi};
}

Request<NodeView> get(std::string path, Watch watch) {
    return {{.type = OpCode::get_data,
             .write = read_request(path, watch),
             .settle = books(path, watch, WatchBook::Kind::data)},
            read_node};
}

Request<std::vector<base::Result<NodeView, ZkError>>> get_all(std::vector<std::string> paths) {
    return {{.type = OpCode::multi_read,
             .write =
                 [paths = std::move(paths)](wire::Writer& writer, const Chroot& chroot) {
                     for (const auto& path : paths) {
                         jute::write(writer, zookeeper::MultiHeader{OpCode::get_data, false, -1});
                         jute::write(writer, zookeeper::ReadRequest{chroot.full(path), false});
                     }
                     jute::write(writer, zookeeper::MultiHeader{});
                 }},
            read_nodes};
}

Request<NodeView> config(Watch watch) {
    static const std::string path = "/zookeeper/config";
    auto made = get(path, watch);
    made.raw.write = [watch](wire::Writer& writer, const Chroot&) {
        jute::write(writer, zookeeper::ReadRequest{path, watch == Watch::yes});
    };
    made.raw.settle = [watch](WatchBook& book, ZkError error, const Chroot&) {
        if (watch == Watch::yes && error == ZkError::ok) book.add(WatchBook::Kind::data, path);
    };
    return made;
}

Request<Stat> exists(std::string path, Watch watch) {
    return {{.type = OpCode::exists,
             .write = read_request(path, watch),
             .settle = books(path, watch, WatchBook::Kind::data, WatchBook::Kind::absent)},
            [](Reply& reply) { return tree_stat(body<zookeeper::StatResponse>(reply).stat); }};
}

Request<ChildrenView> children(std::string path, Watch watch) {
    return {{.type = OpCode::get_children2,
             .write = read_request(path, watch),
             .settle = books(path, watch, WatchBook::Kind::child)},
            [](Reply& reply) {
                auto node = body<zookeeper::Children2Response>(reply);
                std::ranges::sort(node.names);
                return ChildrenView{std::move(node.names), tree_stat(node.stat)};
            }};
}

Request<std::pair<Acl, Stat>> acl(std::string path) {
    return {{.type = OpCode::get_acl, .write = path_request(std::move(path))}, [](Reply& reply) {
                const auto node = body<zookeeper::AclResponse>(reply);
                return std::pair(tree_acl(node.acl), tree_stat(node.stat));
            }};
}

Request<std::string> sync(std::string path) {
    return {{.type = OpCode::sync, .write = path_request(std::move(path))}, [](Reply& reply) {
                return reply.chroot.relative(body<zookeeper::PathResponse>(reply).path);
            }};
}

Request<std::vector<std::string>> ephemerals(std::string prefix) {
    return {{.type = OpCode::get_ephemerals,
             .write = writes([prefix = std::move(prefix)](const Chroot& chroot) {
                 return zookeeper::EphemeralsRequest{chroot.full(prefix)};
             })},
            [](Reply& reply) {
                auto names = body<zookeeper::NamesResponse>(reply).names;
                for (std::string& name : names) name = reply.chroot.relative(name);
                std::ranges::sort(names);
                return names;
            }};
}

Request<std::int32_t> all_children_number(std::string path) {
    return {{.type = OpCode::get_all_children_number, .write = path_request(std::move(path))},
            [](Reply& reply) { return body<zookeeper::NumberResponse>(reply).number; }};
}

Request<std::vector<Id>> who_am_i() {
    return {{.type = OpCode::who_am_i, .write = [](wire::Writer&, const Chroot&) {}},
            [](Reply& reply) {
                std::vector<Id> ids;
                for (auto& id : body<zookeeper::WhoAmIResponse>(reply).ids) {
                    ids.push_back({std::move(id.scheme), std::move(id.id)});
                }
                return ids;
            }};
}

Request<NodeView> reconfig(zookeeper::ReconfigRequest change) {
    return {{.type = OpCode::reconfig,
             .write = writes([change = std::move(change)](const Chroot&) { return change; })},
            read_node};
}

Request<std::monostate> add_watch(std::string path, WatchKind kind) {
    base::ensure(kind == WatchKind::persistent || kind == WatchKind::recursive,
                 "only a watch that stays is added by itself");
    const bool recursive = kind == WatchKind::recursive;
    return {{.type = OpCode::add_watch,
             .write = writes([path, recursive](const Chroot& chroot) {
                 return zookeeper::WatchesRequest{chroot.full(path), recursive ? 1 : 0};
             }),
             .settle = books(path, Watch::yes,
                             recursive ? WatchBook::Kind::recursive : WatchBook::Kind::persistent)},
            [](Reply&) { return std::monostate(); }};
}

Request<std::monostate> remove_watches(std::string path, WatcherType type) {
    return {{.type = OpCode::remove_watches,
             .write = writes([path, type](const Chroot& chroot) {
                 return zookeeper::WatchesRequest{chroot.full(path),
                                                  static_cast<std::int32_t>(type)};
             }),
             .settle =
                 [path, type](WatchBook& book, ZkError error, const Chroot& chroot) {
                     if (error == ZkError::ok) book.remove(chroot.full(path), type);
                 }},
            [](Reply&) { return std::monostate(); }};
}

}  // namespace request

}  // namespace coordinator

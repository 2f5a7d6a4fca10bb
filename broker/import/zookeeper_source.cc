#include "broker/import/zookeeper_source.h"

#include "coordinator/metadata/znode.h"
#include "protocol/zookeeper/messages.h"
#include "storage/names.h"

#include <optional>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::ZkError;
using zookeeper::OpCode;
namespace jute = zookeeper::jute;
namespace path = znodes::path;

namespace {

constexpr std::uint16_t default_port = 2181;
constexpr std::int32_t session_timeout_ms = 30'000;
constexpr std::size_t answer_bytes_max = std::size_t{256} << 20;
constexpr std::size_t requests_in_flight_max = 256;

// A node's data or the names of its children; nothing when there is no such node.
using Data = std::optional<std::string>;
using Names = std::vector<std::string>;

class Session {
public:
    static Result<Session, std::string> open(const ZookeeperAddress& at, Deadline deadline) {
        std::string last;
        for (const Address& server : at.servers) {
            auto socket = Socket::connect(server, deadline);
            if (!socket) {
                last =
                    "no ZooKeeper answers at " + to_string(server) + ": " + socket.error().detail;
                continue;
            }
            Session session(std::move(*socket), to_string(server), at.chroot, deadline);
            if (auto shaken = session.shake_hands(); !shaken) {
                last = shaken.error();
                continue;
            }
            return session;
        }
        return Unexpected(last);
    }

    const std::string& where() const noexcept { return where_; }

    // In the order of `paths`.
    Result<std::vector<Data>, std::string> data(const std::vector<std::string>& paths) {
        return ask<Data>(OpCode::get_data, paths, [](wire::Reader& reader) -> Data {
            return jute::read<zookeeper::DataResponse>(reader).data.value_or("");
        });
    }

    Result<Data, std::string> data(const std::string& path) {
        auto all = data(std::vector{path});
        if (!all) return Unexpected(all.error());
        return std::move(all->front());
    }

    Result<Names, std::string> children(const std::string& path) {
        auto all = ask<std::optional<Names>>(
            OpCode::get_children, {path}, [](wire::Reader& reader) -> std::optional<Names> {
                return jute::read<zookeeper::NamesResponse>(reader).names;
            });
        if (!all) return Unexpected(all.error());
        return all->front().value_or(Names());
    }

    void close() {
        std::vector<std::byte> out;
        request(out, OpCode::close_session, zookeeper::Nothing());
        // The session would expire by itself: whether this arrives changes nothing.
        if (socket_.write(out, deadline_)) static_cast<void>(receive());
    }

private:
    Session(Socket socket, std::string where, std::string chroot, Deadline deadline)
        : socket_(std::move(socket)),
          where_(std::move(where)),
          chroot_(std::move(chroot)),
          deadline_(deadline) {}

    Unexpected<std::string> broken(const std::string& what) const {
        return Unexpected("ZooKeeper at " + where_ + ": " + what);
    }

    // One frame at the end of `out`.
    template <class Request>
    void request(std::vector<std::byte>& out, OpCode type, const Request& asked) {
        zookeeper::write_frame(out, [&](wire::Writer& writer) {
            jute::write(writer, zookeeper::RequestHeader{next_xid_++, type});
            jute::write(writer, asked);
        });
    }

    Result<std::vector<std::byte>, std::string> receive() {
        std::array<std::byte, 4> prefix;
        if (auto got = socket_.read(prefix, deadline_); !got) return broken(got.error().detail);
        const auto length = wire::Reader(std::span<std::byte>(prefix)).int32();
        if (length < 0 || static_cast<std::size_t>(length) > answer_bytes_max)
            return broken("this is no ZooKeeper");
        std::vector<std::byte> bytes(static_cast<std::size_t>(length));
        if (auto got = socket_.read(bytes, deadline_); !got) return broken(got.error().detail);
        return bytes;
    }

    Result<void, std::string> shake_hands() {
        std::vector<std::byte> out;
        zookeeper::ConnectRequest wanted;
        wanted.timeout_ms = session_timeout_ms;
        wanted.password = std::string(16, '\0');  // The server draws one.
        wanted.read_only = false;                 // Read-only servers will not do.
        zookeeper::write_frame(
            out, [&](wire::Writer& writer) { zookeeper::write_connect_request(writer, wanted); });
        if (auto sent = socket_.write(out, deadline_); !sent) return broken(sent.error().detail);
        const auto answer = receive();
        if (!answer) return Unexpected(answer.error());
        wire::Reader reader(*answer);
        const auto given = zookeeper::read_connect_response(reader);
        if (reader.failed() || given.timeout_ms <= 0) return broken("it gives no session");
        return {};
    }

    template <class T, class Read>
    Result<std::vector<T>, std::string> ask(OpCode type, const std::vector<std::string>& paths,
                                            Read read) {
        std::vector<T> all;
        all.reserve(paths.size());
        for (std::size_t from = 0; from < paths.size(); from += requests_in_flight_max) {
            const auto to = std::min(paths.size(), from + requests_in_flight_max);
            const auto first_xid = next_xid_;
            std::vector<std::byte> out;
            for (std::size_t i = from; i < to; ++i) {
                request(out, type, zookeeper::ReadRequest{chroot_ + paths[i], false});
            }
            if (auto sent = socket_.write(out, deadline_); !sent)
                return broken(sent.error().detail);
            for (std::size_t i = from; i < to; ++i) {
                const auto answer = receive();
                if (!answer) return Unexpected(answer.error());
                wire::Reader reader(*answer);
                const auto header = jute::read<zookeeper::ReplyHeader>(reader);
                const auto error = static_cast<ZkError>(header.err);
                if (reader.failed() ||
                    header.xid != first_xid + static_cast<std::int32_t>(i - from)) {
                    return broken("this is no ZooKeeper");
                }
                if (error == ZkError::no_node) {
                    all.emplace_back();
                    continue;
                }
                if (error == ZkError::no_auth) {
                    return broken("its ACL lets nobody read " + chroot_ + paths[i] +
                                  "; give world:anyone the right for the import");
                }
                if (header.err != 0)
                    return broken("error " + std::to_string(header.err) + " at " + chroot_ +
                                  paths[i]);
                all.push_back(read(reader));
                if (reader.failed())
                    return broken("the answer about " + chroot_ + paths[i] + " does not decode");
            }
        }
        return all;
    }

    Socket socket_;
    std::string where_;
    std::string chroot_;
    Deadline deadline_;
    std::int32_t next_xid_ = 1;
};

class Reading {
public:
    Reading(Session& session, Source& source) : session_(session), source_(source) {}

    Result<void, std::string> everything() {
        const auto cluster = session_.data(std::string(path::cluster_id));
        if (!cluster) return Unexpected(cluster.error());
        const auto id = *cluster ? znodes::parse_cluster_id(**cluster) : std::nullopt;
        if (!id)
            return bad(
                path::cluster_id,
                "holds no cluster id; name the chroot of this Kafka cluster, as host:port/chroot");
        source_.cluster_id = *id;
        if (auto done = topics(); !done) return done;
        if (auto done = states(); !done) return done;
        if (auto done = configs(); !done) return done;
        return rest();
    }

private:
    Unexpected<std::string> bad(std::string_view node, const std::string& what) const {
        return Unexpected("ZooKeeper at " + session_.where() + ": " + std::string(node) + " " +
                          what);
    }

    Result<void, std::string> topics() {
        const auto names = session_.children(std::string(path::topics));
        if (!names) return Unexpected(names.error());
        std::vector<std::string> paths;
        for (const auto& name : *names) paths.push_back(path::topic(name));
        const auto nodes = session_.data(paths);
        if (!nodes) return Unexpected(nodes.error());
        for (std::size_t i = 0; i < paths.size(); ++i) {
            if (!(*nodes)[i]) continue;  // Deleted meanwhile.
            const auto topic = znodes::parse_topic(*(*nodes)[i]);
            if (!topic || !storage::is_topic_name((*names)[i]))
                return bad(paths[i], "does not hold a topic");
            SourceTopic& made = source_.topics[(*names)[i]];
            made.id = topic->topic_id;
            for (const auto& [index, replicas] : topic->partitions)
                made.partitions[index] = {
                    .replicas = replicas, .isr = replicas, .eligible = {}, .directories = {}};
        }
        return {};
    }

    Result<void, std::string> states() {
        std::vector<std::string> paths;
        std::vector<SourcePartition*> partitions;
        for (auto& [name, topic] : source_.topics) {
            for (auto& [index, partition] : topic.partitions) {
                paths.push_back(path::partition_state(name, index));
                partitions.push_back(&partition);
            }
        }
        const auto nodes = session_.data(paths);
        if (!nodes) return Unexpected(nodes.error());
        for (std::size_t i = 0; i < paths.size(); ++i) {
            if (!(*nodes)[i]) continue;  // Not elected yet.
            const auto state = znodes::parse_partition_state(*(*nodes)[i]);
            if (!state) return bad(paths[i], "does not hold a partition's state");
            partitions[i]->isr = state->isr;
            partitions[i]->leader_epoch = state->leader_epoch;
        }
        return {};
    }

    Result<void, std::string> configs() {
        std::vector<std::string> paths;
        for (const auto& [name, topic] : source_.topics) {
            paths.push_back(znodes::config_path({znodes::ConfigEntity::Type::topic, name}));
        }
        const auto nodes = session_.data(paths);
        if (!nodes) return Unexpected(nodes.error());
        std::size_t i = 0;
        for (auto& [name, topic] : source_.topics) {
            const Data& node = (*nodes)[i];
            const auto config = node ? znodes::parse_config(*node) : znodes::Config();
            if (!config) return bad(paths[i], "does not hold a configuration");
            topic.config = *config;
            ++i;
        }
        const auto brokers = session_.children("/config/brokers");
        if (!brokers) return Unexpected(brokers.error());
        for (const auto& name : *brokers) {
            const auto where = znodes::config_path({znodes::ConfigEntity::Type::broker, name});
            const auto node = session_.data(where);
            if (!node) return Unexpected(node.error());
            const auto config = *node ? znodes::parse_config(**node) : znodes::Config();
            if (!config) return bad(where, "does not hold a configuration");
            if (!config->empty()) source_.brokers[name] = *config;
        }
        return {};
    }

    // Quotas, SCRAM credentials and ACLs as they are; producer ids; the controller's epoch;
    // deletions.
    Result<void, std::string> rest() {
        for (const char* const type : {"/config/clients", "/config/users", "/config/ips",
                                       "/kafka-acl", "/kafka-acl-extended"}) {
            if (auto done = copy_below(type); !done) return done;
        }
        const auto block = session_.data(std::string(path::producer_id_block));
        if (!block) return Unexpected(block.error());
        if (*block && !(*block)->empty()) {
            const auto parsed = znodes::parse_producer_id_block(**block);
            if (!parsed)
                return bad(path::producer_id_block, "does not hold a block of producer ids");
            source_.next_producer = parsed->last + 1;
        }
        const auto epoch = session_.data(std::string(path::controller_epoch));
        if (!epoch) return Unexpected(epoch.error());
        if (*epoch) source_.controller_epoch = znodes::parse_controller_epoch(**epoch).value_or(0);
        const auto doomed = session_.children(std::string(path::delete_topics));
        if (!doomed) return Unexpected(doomed.error());
        source_.doomed = {doomed->begin(), doomed->end()};
        return {};
    }

    Result<void, std::string> copy_below(const std::string& parent) {
        const auto names = session_.children(parent);
        if (!names) return Unexpected(names.error());
        for (const auto& name : *names) {
            const std::string node = parent + "/" + name;
            const auto data = session_.data(node);
            if (!data) return Unexpected(data.error());
            if (!*data) continue;
            source_.nodes[node] = **data;
            if (auto done = copy_below(node); !done) return done;
        }
        return {};
    }

    Session& session_;
    Source& source_;
};

}  // namespace

Result<ZookeeperAddress, std::string> parse_zookeeper(std::string_view text) {
    ZookeeperAddress at;
    const auto slash = text.find('/');
    if (slash != text.npos) at.chroot = text.substr(slash);
    while (at.chroot.ends_with('/')) at.chroot.pop_back();
    std::string servers;
    for (std::string_view rest = text.substr(0, slash); !rest.empty();) {
        const auto comma = std::min(rest.find(','), rest.size());
        std::string one(rest.substr(0, comma));
        rest.remove_prefix(std::min(comma + 1, rest.size()));
        const bool has_port = one.rfind(':') != one.npos && !one.ends_with(']');
        servers += (servers.empty() ? "" : ",") + one +
                   (has_port ? "" : ":" + std::to_string(default_port));
    }
    auto parsed = parse_addresses(servers);
    if (!parsed) return Unexpected(parsed.error());
    at.servers = std::move(*parsed);
    return at;
}

Result<Source, std::string> read_zookeeper_source(const ZookeeperAddress& at, Deadline deadline) {
    auto session = Session::open(at, deadline);
    if (!session) return Unexpected(session.error());
    Source source;
    source.where = "ZooKeeper at " + session->where() + at.chroot;
    if (auto read = Reading(*session, source).everything(); !read) return Unexpected(read.error());
    session->close();
    return source;
}

}  // namespace broker

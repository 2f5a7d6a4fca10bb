#include "broker/tools/zk_kafka.h"

#include "broker/tools/tool.h"
#include "broker/tools/zk_text.h"

#include <sys/random.h>

namespace broker {

using namespace coordinator;
using State = MetadataClient::State;

namespace {

constexpr std::int32_t session_timeout_ms = 30'000;

}  // namespace

ZkKafka::ZkKafka(const std::string& connect, OnEvent on_event) : connect_(connect) {
    auto at = parse_connect_string(connect);
    if (!at) throw UsageError("--zookeeper " + connect + ": " + at.error());
    MetadataClient::Settings settings;
    settings.at = std::move(*at);
    settings.session_timeout_ms = session_timeout_ms;
    settings.random = [](std::span<std::byte> bytes) {
        // Without it the order of the servers is not drawn, and nothing else suffers.
        static_cast<void>(::getrandom(bytes.data(), bytes.size(), 0));
    };
    settings.on_event = std::move(on_event);
    client_ = std::make_unique<MetadataClient>(std::move(settings));
    wait_connected();
}

void ZkKafka::wait_connected() {
    if (client_->wait_settled(std::chrono::milliseconds(session_timeout_ms)) != State::connected) {
        throw ToolError(
            "Timed out waiting for connection while in state: CONNECTING (" + connect_ + ")",
            "kafka.zookeeper.ZooKeeperClientTimeoutException");
    }
}

ZkKafka::~ZkKafka() {
    client_->close();
}

void ZkKafka::fail(ZkError error, const std::string& path) {
    throw ToolError(zk_text::error(error, path), "org.apache.zookeeper.KeeperException");
}

std::optional<std::string> ZkKafka::get(const std::string& path) {
    return std::move(get_all({path}).front());
}

std::vector<std::optional<std::string>> ZkKafka::get_all(const std::vector<std::string>& paths) {
    std::vector<Request<NodeView>> requests;
    for (const auto& path : paths) requests.push_back(request::get(path));
    std::vector<std::optional<std::string>> found;
    for (auto& answer : client_->ask_all(std::move(requests))) {
        if (!answer && answer.error() != ZkError::no_node) {
            fail(answer.error(), paths[found.size()]);
        }
        found.push_back(answer ? std::move(answer->data) : std::nullopt);
    }
    return found;
}

bool ZkKafka::exists(const std::string& path) {
    const auto answer = client_->ask(request::exists(path));
    if (!answer && answer.error() != ZkError::no_node) fail(answer.error(), path);
    return answer.has_value();
}

std::vector<std::string> ZkKafka::children(const std::string& path) {
    auto answer = client_->ask(request::children(path));
    if (answer) return std::move(answer->names);
    if (answer.error() != ZkError::no_node) fail(answer.error(), path);
    return {};
}

bool ZkKafka::create(const std::string& path, const Data& data, NodeKind kind) {
    const auto done = client_->submit_and_wait(
        {Create{.path = path, .data = data, .kind = kind, .with_parents = true}});
    if (!done && done.error().error != ZkError::node_exists) fail(done.error().error, path);
    return done.has_value();
}

void ZkKafka::set(const std::string& path, const std::string& data) {
    const auto done = client_->submit_and_wait({SetData{path, data}});
    if (!done) fail(done.error().error, path);
}

void ZkKafka::put(const std::string& path, const std::string& data) {
    if (!create(path, data)) set(path, data);
}

void ZkKafka::remove(const std::string& path) {
    const auto done = client_->submit_and_wait({Delete{path}});
    if (!done && done.error().error != ZkError::no_node) fail(done.error().error, path);
}

void ZkKafka::remove_below(const std::string& path) {
    for (const auto& name : children(path)) remove_below(path + "/" + name);
    remove(path);
}

std::string ZkKafka::bootstrap() {
    std::string text;
    for (const auto& [id, broker] : brokers()) {
        for (const auto& at : broker.endpoints) {
            if (at.security_protocol != "PLAINTEXT") continue;
            text += (text.empty() ? "" : ",") +
                    to_string(Address{at.host, static_cast<std::uint16_t>(at.port)});
        }
    }
    if (text.empty()) throw ToolError("there is no broker that listens with PLAINTEXT");
    return text;
}

std::map<base::BrokerId, znodes::BrokerRegistration> ZkKafka::brokers() {
    std::map<base::BrokerId, znodes::BrokerRegistration> found;
    for (const auto id : broker_ids()) {
        const auto text = get(znodes::path::broker(id));
        if (!text) continue;  // Gone meanwhile.
        if (auto parsed = znodes::parse_broker(*text)) found[id] = std::move(*parsed);
    }
    return found;
}

std::vector<base::BrokerId> ZkKafka::broker_ids() {
    std::vector<base::BrokerId> ids;
    for (const auto& name : children(std::string(znodes::path::broker_ids))) {
        if (const auto id = to_integer(name)) ids.emplace_back(static_cast<std::int32_t>(*id));
    }
    std::ranges::sort(ids);
    return ids;
}

std::optional<znodes::TopicAssignment> ZkKafka::topic(const std::string& name) {
    const auto text = get(znodes::path::topic(name));
    if (!text) return std::nullopt;
    auto parsed = znodes::parse_topic(*text);
    if (!parsed) throw ToolError("the znode of topic " + name + " does not hold a topic");
    return parsed;
}

std::map<base::PartitionIndex, znodes::PartitionState> ZkKafka::states(
    const std::string& topic, const znodes::TopicAssignment& assignment) {
    std::vector<std::string> paths;
    for (const auto& [index, replicas] : assignment.partitions) {
        paths.push_back(znodes::path::partition_state(topic, index));
    }
    const auto texts = get_all(paths);
    std::map<base::PartitionIndex, znodes::PartitionState> found;
    std::size_t at = 0;
    for (const auto& [index, replicas] : assignment.partitions) {
        const auto& text = texts[at++];
        auto parsed = text ? znodes::parse_partition_state(*text) : std::nullopt;
        if (parsed) found[index] = std::move(*parsed);
    }
    return found;
}

znodes::Config ZkKafka::config(const znodes::ConfigEntity& entity) {
    const auto path = znodes::config_path(entity);
    const auto text = get(path);
    if (!text) return {};
    auto parsed = znodes::parse_config(*text);
    if (!parsed) throw ToolError("the znode " + path + " does not hold a configuration");
    return *parsed;
}

void ZkKafka::change_config(const znodes::ConfigEntity& entity, const znodes::Config& config) {
    put(znodes::config_path(entity), znodes::write_config(config));
    const auto done =
        client_->submit_and_wait({Create{.path = std::string(znodes::path::config_change_prefix),
                                         .data = znodes::write_config_change(entity),
                                         .sequential = true,
                                         .with_parents = true}});
    if (!done) fail(done.error().error, std::string(znodes::path::config_changes));
}

}  // namespace broker

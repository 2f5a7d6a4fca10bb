#include "broker/cluster/embedded_store.h"

#include "coordinator/metadata/turn.h"

#include <future>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using coordinator::NodeView;
using coordinator::ZkError;

namespace {

// Nobody ends the session of who watches for the broker: it has none.
class Listener final : public coordinator::Client {
public:
    explicit Listener(MetadataStore::Tell tell) : tell_(std::move(tell)) {}

    void notify(const coordinator::Event& event) override {
        tell_({StoreEvent::Kind::node, event.type, event.path});
    }
    void ended() override {}

private:
    const MetadataStore::Tell tell_;
};

}  // namespace

Result<std::optional<NodeView>, ZkError> MetadataStore::get(const std::string& path) {
    auto found = get(std::span(&path, 1));
    if (!found) return Unexpected(found.error());
    return std::move(found->front());
}

Result<std::vector<std::string>, ZkError> MetadataStore::children(const std::string& path) {
    auto found = children(std::span(&path, 1));
    if (!found) return Unexpected(found.error());
    return std::move(found->front()).value_or(std::vector<std::string>());
}

EmbeddedStore::EmbeddedStore(std::unique_ptr<coordinator::MetadataService> service,
                             const coordinator::SessionKey& session)
    : service_(std::move(service)), session_(session) {}

EmbeddedStore::~EmbeddedStore() {
    stop();
}

Result<std::unique_ptr<EmbeddedStore>, std::string> EmbeddedStore::open(
    std::unique_ptr<coordinator::MetadataService> service,
    const std::optional<coordinator::SessionKey>& last, std::int32_t timeout_ms) {
    coordinator::SessionKey session;
    if (last && service->resume_session(*last)) {
        session = *last;
    } else {
        const auto opened = service->open_session(timeout_ms);
        if (!opened) return Unexpected<std::string>("the metadata service gives no session");
        session = *opened;
    }
    return std::unique_ptr<EmbeddedStore>(new EmbeddedStore(std::move(service), session));
}

Result<std::vector<std::optional<NodeView>>, ZkError> EmbeddedStore::get(
    std::span<const std::string> paths) {
    return service_->read([&](const coordinator::Tree& tree) {
        std::vector<std::optional<NodeView>> nodes;
        nodes.reserve(paths.size());
        for (const auto& path : paths) {
            auto node = tree.get(path);
            nodes.push_back(node ? std::optional(std::move(*node)) : std::nullopt);
        }
        return nodes;
    });
}

Result<std::vector<std::optional<std::vector<std::string>>>, ZkError> EmbeddedStore::children(
    std::span<const std::string> paths) {
    return service_->read([&](const coordinator::Tree& tree) {
        std::vector<std::optional<std::vector<std::string>>> all;
        all.reserve(paths.size());
        for (const auto& path : paths) {
            auto found = tree.children(path);
            all.push_back(found ? std::optional(std::move(found->names)) : std::nullopt);
        }
        return all;
    });
}

Result<coordinator::Committed, coordinator::Refused> EmbeddedStore::commit(
    std::vector<coordinator::Op> ops) {
    return service_->submit_and_wait(std::move(ops), coordinator::ourselves(session_.id));
}

Result<void, ZkError> EmbeddedStore::watch(std::vector<std::string> roots, Tell tell) {
    const auto id =
        service_->admit(coordinator::ourselves().ids, std::make_shared<Listener>(std::move(tell)));
    std::promise<bool> watched;
    service_->take_turn(
        id,
        [&](coordinator::Turn& turn) {
            for (const auto& root : roots) turn.watch(root, coordinator::WatchKind::recursive);
        },
        [&](bool durable) { watched.set_value(durable); });
    if (!watched.get_future().get()) return Unexpected(ZkError::connection_loss);
    return {};
}

bool EmbeddedStore::end_session() {
    return service_->close_session(session_.id).has_value();
}

void EmbeddedStore::stop() {
    service_->stop();
}

}  // namespace broker

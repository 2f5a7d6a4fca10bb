// EmbeddedStore: the metadata service of this process as the broker's store.
//
// Calls go straight into the service's queue. Its session is attached: it does not expire while
// the process lives.
#pragma once

#include "broker/cluster/metadata_store.h"

#include <memory>

namespace broker {

class EmbeddedStore final : public MetadataStore {
public:
    // Come back to `last`, or open a session if the service does not know it any more.
    [[nodiscard]] static base::Result<std::unique_ptr<EmbeddedStore>, std::string> open(
        std::unique_ptr<coordinator::MetadataService> service,
        const std::optional<coordinator::SessionKey>& last, std::int32_t timeout_ms);
    ~EmbeddedStore() override;

    // For the port on which ZooKeeper's clients are served.
    coordinator::MetadataService& service() noexcept { return *service_; }

    using MetadataStore::children;
    using MetadataStore::get;
    [[nodiscard]] base::Result<std::vector<std::optional<coordinator::NodeView>>,
                               coordinator::ZkError>
    get(std::span<const std::string> paths) override;
    [[nodiscard]] base::Result<std::vector<std::optional<std::vector<std::string>>>,
                               coordinator::ZkError>
    children(std::span<const std::string> paths) override;
    [[nodiscard]] base::Result<coordinator::Committed, coordinator::Refused> commit(
        std::vector<coordinator::Op> ops) override;
    std::size_t transaction_bytes_max() const override {
        return coordinator::MetadataService::transaction_bytes_max;
    }
    coordinator::SessionKey session() const override { return session_; }
    [[nodiscard]] base::Result<void, coordinator::ZkError> watch(std::vector<std::string> roots,
                                                                 Tell tell) override;
    bool end_session() override;
    void stop() override;

private:
    EmbeddedStore(std::unique_ptr<coordinator::MetadataService> service,
                  const coordinator::SessionKey& session);

    std::unique_ptr<coordinator::MetadataService> service_;
    const coordinator::SessionKey session_;
};

}  // namespace broker

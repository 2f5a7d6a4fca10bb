#include "coordinator/metadata/service.h"

#include "coordinator/metadata/journal_format.h"
#include "coordinator/metadata/service_loop.h"
#include "coordinator/metadata/turn.h"

#include <filesystem>
#include <future>
#include <set>
#include <utility>

namespace coordinator {

using storage::FaultKind;

MetadataService::MetadataService(std::unique_ptr<Loop> loop) : loop_(std::move(loop)) {}

MetadataService::~MetadataService() = default;

base::Result<std::unique_ptr<MetadataService>, std::string> MetadataService::start(
    Settings settings) {
    const bool is_one = settings.journal_directory.empty();
    const Places places(settings.directory,
                        is_one ? settings.directory : settings.journal_directory);
    DirectoryLocks locks;
    for (const auto& place : std::set{places.snapshots, places.journal}) {
        auto lock = settings.disk->lock(place / journal_format::lock_name);
        if (!lock && lock.error().kind == FaultKind::locked) {
            return base::Unexpected("the metadata in " + place.string() +
                                    " is in use by another process; end it, or name another "
                                    "directory (milena.metadata.dir, or dataDir and dataLogDir)");
        }
        if (!lock) return base::Unexpected("metadata: " + lock.error().detail);
        locks.push_back(std::move(*lock));
    }
    const auto draw_tree_id = [&] {
        base::Uuid id{};
        settings.random(id);
        return id;
    };
    auto tree = DurableTree::open(*settings.disk, places, draw_tree_id,
                                  settings.journal_room_bytes_max, settings.monotonic_ms);
    if (!tree) return base::Unexpected("metadata: " + tree.error().detail);
    for (const std::string& note : (*tree)->notes()) {
        if (settings.log) settings.log("metadata: " + note);
    }
    auto loop = std::make_unique<Loop>(std::move(settings), std::move(locks), std::move(*tree));
    return std::unique_ptr<MetadataService>(new MetadataService(std::move(loop)));
}

void MetadataService::stop() {
    loop_->stop();
}

void MetadataService::submit(std::vector<Op> ops, Caller caller, Done done) {
    struct Submitted {
        std::vector<Op> ops;
        Caller caller;
        Done done;
        base::Result<Committed, Refused> result;
    };
    auto submitted = std::make_shared<Submitted>();
    *submitted = {std::move(ops), std::move(caller), std::move(done), {}};
    auto decide = [loop = loop_.get(), submitted] {
        submitted->result = loop->commit(submitted->ops, submitted->caller);
        return loop->tree().last_zxid();
    };
    auto answer = [submitted](bool durable) {
        if (!durable) submitted->result = base::Unexpected(Refused{ZkError::connection_loss, 0});
        if (submitted->done) submitted->done(submitted->result);
    };
    loop_->put({std::move(decide), std::move(answer)});
}

base::Result<Committed, Refused> MetadataService::submit_and_wait(std::vector<Op> ops,
                                                                  Caller caller) {
    loop_->ensure_elsewhere();
    std::promise<base::Result<Committed, Refused>> answered;
    submit(std::move(ops), std::move(caller),
           [&](const base::Result<Committed, Refused>& result) { answered.set_value(result); });
    return answered.get_future().get();
}

base::Result<SessionKey, ZkError> MetadataService::open_session(std::int32_t timeout_ms) {
    SessionKey key;
    const auto decide = [&] { key = loop_->create_session(loop_->clamped(timeout_ms)); };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    return key;
}

base::Result<void, ZkError> MetadataService::resume_session(const SessionKey& key) {
    bool is_known = false;
    const auto decide = [&] {
        is_known = loop_->knows(key);
        if (is_known) loop_->expiry().forget(key.id);
    };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    if (!is_known) return base::Unexpected(ZkError::session_expired);
    return {};
}

void MetadataService::detach_session(SessionId session) {
    auto decide = [loop = loop_.get(), session] {
        const auto known = loop->tree().sessions().find(session);
        if (known != loop->tree().sessions().end()) {
            loop->expiry().touch(session, known->second.timeout_ms,
                                 loop->settings().monotonic_ms());
        }
        return loop->durable();
    };
    loop_->put({std::move(decide), [](bool) {}});
}

base::Result<void, ZkError> MetadataService::close_session(SessionId session) {
    base::Result<void, ZkError> result;
    const auto decide = [&] { result = loop_->end_session(session); };
    if (!loop_->put_and_wait(decide)) return base::Unexpected(ZkError::connection_loss);
    return result;
}

void MetadataService::subscribe(Follower follower) {
    loop_->subscribe(std::move(follower));
}

WatcherId MetadataService::admit(std::vector<Id> ids, std::shared_ptr<Client> client) {
    const WatcherId id = loop_->draw_watcher();
    loop_->put(
        {[loop = loop_.get(), id, ids = std::move(ids), client = std::move(client)]() mutable {
             loop->admit(id, std::move(ids), std::move(client));
             return loop->durable();
         },
         [](bool) {}});
    return id;
}

void MetadataService::take_turn(WatcherId client, std::function<void(Turn&)> step,
                                std::function<void(bool durable)> answer) {
    struct Taken {
        std::function<void(Turn&)> step;
        std::function<void(bool)> answer;
        bool left_out = false;  // The client was dismissed.
        bool waits = false;     // Counted in its Guest.
    };
    auto taken = std::make_shared<Taken>(Taken{std::move(step), std::move(answer)});
    auto decide = [loop = loop_.get(), client, taken] {
        auto* const guest = loop->guest(client);
        if (client.value() != 0) {
            taken->left_out = guest == nullptr;
            if (taken->left_out) return loop->durable();
            loop->renew(*guest);
        }
        Turn turn(*loop, client);
        taken->step(turn);
        const Zxid shows = turn.zxid();
        taken->waits = guest != nullptr && shows > loop->durable();
        if (taken->waits) ++guest->waiting;
        return shows;
    };
    auto tell = [loop = loop_.get(), client, taken](bool durable) {
        if (taken->left_out) return;
        if (auto* const guest = taken->waits ? loop->guest(client) : nullptr) --guest->waiting;
        taken->answer(durable);
    };
    loop_->put({std::move(decide), std::move(tell)});
}

void MetadataService::dismiss(WatcherId client) {
    loop_->put({[loop = loop_.get(), client] {
                    loop->dismiss(client);
                    return loop->durable();
                },
                [](bool) {}});
}

Zxid MetadataService::look_at(const std::function<void(const Tree&)>& look) const {
    return loop_->look_at(look);
}

bool MetadataService::wait_durable(Zxid zxid) const {
    return loop_->wait_durable(zxid);
}

const MetadataService::Settings& MetadataService::settings() const {
    return loop_->settings();
}

MetadataService::Bytes MetadataService::file_bytes() const {
    const Settings& settings = loop_->settings();
    const auto bytes_in = [&](const std::filesystem::path& place) {
        std::uint64_t bytes = 0;
        const auto entries = settings.disk->list(place);
        if (!entries) return bytes;
        for (const auto& entry : *entries) {
            if (entry.is_directory || !entry.name.starts_with(journal_format::family)) continue;
            const auto facts = settings.disk->facts(place / entry.name);
            if (facts) bytes += facts->bytes;
        }
        return bytes;
    };
    const bool is_one = settings.journal_directory.empty();
    return {bytes_in(settings.directory),
            bytes_in(is_one ? settings.directory : settings.journal_directory)};
}

}  // namespace coordinator

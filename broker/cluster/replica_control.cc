#include "broker/cluster/replica_control.h"

#include "broker/cluster/config_control.h"
#include "broker/cluster/interbroker.h"
#include "protocol/base/log.h"
#include "protocol/base/plant.h"
#include "storage/names.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace broker {

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using base::TopicPartition;
using protocol::ErrorCode;
using protocol::LeaderAndIsrRequest;
using protocol::LeaderAndIsrResponse;
using protocol::StopReplicaRequest;
using protocol::StopReplicaResponse;
using protocol::UpdateMetadataRequest;
using protocol::UpdateMetadataResponse;

namespace {

constexpr LeaderEpoch no_term(-1);         // Of requests that name none.
constexpr LeaderEpoch while_deleting(-2);  // In StopReplica of a topic that is being deleted.
constexpr BrokerId topic_is_going(-2);     // In UpdateMetadata likewise.

// The most places for partitions that one request of a controller makes, over all its topics: what
// is beyond is not believed, since a few bytes of it ask for a place of every lower number too.
constexpr std::size_t new_places_max = 1'000'000;

// Whether the partition has a place, or one may be made for it out of those that are left.
bool has_place(const TopicImage* topic, const std::string& name, PartitionIndex index,
               std::size_t& places_left) {
    if (!storage::is_topic_name(name) || index < PartitionIndex(0)) return false;
    const auto wanted = static_cast<std::size_t>(index.value()) + 1;
    const std::size_t made = topic ? topic->partitions.size() : 0;
    if (wanted <= made) return true;
    if (wanted - made > places_left) return false;
    places_left -= wanted - made;
    return true;
}

using Drafts = std::map<std::string, std::shared_ptr<TopicImage>>;

// As the request has made it so far; null when there is none.
const TopicImage* latest(const Drafts& drafts, const ClusterImage& image, const std::string& name) {
    const auto draft = drafts.find(name);
    return draft == drafts.end() ? image.find_topic(name) : draft->second.get();
}

PartitionImage& place_of(TopicImage& topic, PartitionIndex index) {
    const auto at = static_cast<std::size_t>(index.value());
    if (topic.partitions.size() <= at) topic.partitions.resize(at + 1);
    return topic.partitions[at];
}

// What is here of a topic stays where it is while another has taken its name: until the controller
// has it deleted it is in the way of the new one's log.
void keep_logs(const TopicImage& gone, TopicImage& topic) {
    for (std::size_t i = 0; i < gone.partitions.size(); ++i) {
        if (!gone.partitions[i].local) continue;
        place_of(topic, PartitionIndex(static_cast<std::int32_t>(i))).local =
            gone.partitions[i].local;
    }
}

// Whoever waits for followers to delete records waits for those that are alive.
void wake_deletions(const ClusterImage& image) {
    for (const auto& topic : image.topics()) {
        for (const auto& partition : topic->partitions) {
            if (partition.local) partition.local->wake_deletions();
        }
    }
}

// Call `look(topic name, topic id, partition)` for every partition of a request, which names its
// topics in two ways.
template <class Request, class Look>
void each_partition(const Request& request, Look look) {
    for (const auto& state : request.ungrouped_partition_states)
        look(state.topic_name.str(), base::Uuid{}, state);
    for (const auto& topic : request.topic_states) {
        for (const auto& state : topic.partition_states)
            look(topic.topic_name.str(), topic.topic_id, state);
    }
}

}  // namespace

ReplicaControl::ReplicaControl(ClusterCore& core, Ports ports)
    : core_(core),
      ports_(std::move(ports)),
      isr_keeper_({[&core] { return core.image(); }, ports_.broker_epoch,
                   core.settings.monotonic_ms,
                   [&core]() -> MetadataStore& { return *core.store; }}),
      fetchers_(
          {[&core] { return core.image(); }, core.settings.wall_ms, core.settings.monotonic_ms}) {}

void ReplicaControl::start() {
    controller_epoch_ = core_.controller_epoch;
    const auto image = core_.image();
    for (const auto& topic : image->topics()) {
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            const PartitionImage& partition = topic->partitions[i];
            if (!partition.local || partition.leader != core_.self) continue;
            // With other replicas the same term has to be told again: as its leader this broker
            // does not know them yet.
            const bool is_known = partition.replicas.size() == 1;
            const auto term = partition.leader_epoch.value() - (is_known ? 0 : 1);
            terms_.emplace(
                TopicPartition{topic->name, PartitionIndex(static_cast<std::int32_t>(i))},
                LeaderEpoch(term));
        }
    }
    isr_keeper_.start();
}

void ReplicaControl::stop() {
    fetchers_.stop();
    isr_keeper_.stop();
    stopped_.clear();
}

// Whether a controller may speak, and to this broker as it is now.
ErrorCode ReplicaControl::fence(BrokerId controller, std::int32_t controller_epoch,
                                std::int64_t broker_epoch) {
    const bool is_over = controller_epoch < controller_epoch_;
    if (is_over && !base::is_planted(base::Plant::stale_leader_accepted)) {
        base::log_warn("controller", "broker " + std::to_string(controller.value()) +
                                         " speaks as controller of epoch " +
                                         std::to_string(controller_epoch) + ", which is over");
        return ErrorCode::stale_controller_epoch;
    }
    if (broker_epoch >= 0 && broker_epoch < ports_.broker_epoch())
        return ErrorCode::stale_broker_epoch;
    controller_epoch_ = controller_epoch;
    return ErrorCode::none;
}

// The topic as it is or, when nobody has told of it yet, without partitions and as configured.
std::shared_ptr<TopicImage> ReplicaControl::draft_topic(ClusterImage& image,
                                                        const std::string& name,
                                                        const base::Uuid& id) const {
    const auto known = image.share_topic(name);
    // Made again under its old name.
    const bool is_other =
        known && id != base::Uuid{} && known->id != base::Uuid{} && known->id != id;
    if (known && !is_other) {
        auto topic = std::make_shared<TopicImage>(*known);
        if (id != base::Uuid{}) topic->id = id;
        return topic;
    }
    auto topic = std::make_shared<TopicImage>();
    topic->name = name;
    topic->id = id;
    topic->is_internal = is_internal_topic(name);
    if (known) keep_logs(*known, *topic);
    const std::string where = topic_config_path(name);
    const auto node = core_.store->get(where);
    topic->config = effective_config(image.config, node ? config_of(where, *node) : ConfigMap{});
    return topic;
}

// ---- LeaderAndIsr --------------------------------------------------------------------------

// This broker's copy, also of a topic that clients do not see any more.
std::shared_ptr<Partition> ReplicaControl::local_of(const ClusterImage& image,
                                                    const TopicPartition& at) const {
    const TopicImage* const known = image.find_topic(at.topic);
    const PartitionImage* const partition = known ? known->find(at.partition) : nullptr;
    if (partition && partition->local) return partition->local;
    const auto of_gone = stopped_.find(at);
    return of_gone == stopped_.end() ? nullptr : of_gone->second;
}

ErrorCode ReplicaControl::judge(const ClusterImage& image, const TopicPartition& at,
                                const base::Uuid& id, const Role& role) const {
    const auto local = local_of(image, at);
    const auto ours = local ? local->topic_id() : base::Uuid{};
    if (id != base::Uuid{} && ours != base::Uuid{} && id != ours)
        return ErrorCode::inconsistent_topic_id;
    if (std::ranges::find(role.replicas, core_.self) == role.replicas.end())
        return ErrorCode::unknown_topic_or_partition;
    // Told or not: the controller asks this of a broker that has lost a log directory.
    const bool is_lost = local ? local->is_offline() : !role.is_new && core_.logs->has_failed();
    if (is_lost) return ErrorCode::kafka_storage_error;
    const auto term = terms_.find(at);
    const bool is_over = term != terms_.end() && role.leader_epoch <= term->second;
    if (is_over && !base::is_planted(base::Plant::stale_leader_accepted))
        return ErrorCode::stale_controller_epoch;
    return ErrorCode::none;
}

// Whether a role of the term that runs has something new all the same.
bool ReplicaControl::gives_id(const ClusterImage& image, const TopicPartition& at,
                              const base::Uuid& id, LeaderEpoch term) const {
    const TopicImage* const known = image.find_topic(at.topic);
    const PartitionImage* const partition = known ? known->find(at.partition) : nullptr;
    const auto running = terms_.find(at);
    return partition && partition->local && id != base::Uuid{} &&
           partition->local->topic_id() == base::Uuid{} && running != terms_.end() &&
           running->second == term;
}

void ReplicaControl::take_role(TopicImage& topic, const Role& role, const ClusterImage& image) {
    const TopicPartition at{topic.name, role.partition_index};
    auto& partition = place_of(topic, role.partition_index);
    partition.leader = role.leader;
    partition.leader_epoch = role.leader_epoch;
    partition.replicas = role.replicas;
    partition.isr = role.isr;
    fetchers_.leave(at);
    auto of_gone = stopped_.extract(at);
    if (!partition.local && of_gone) partition.local = std::move(of_gone.mapped());
    if (!partition.local) {
        auto made = core_.logs->create(at, topic.id, topic.log_settings(*image.config));
        if (!made) return base::log_error("storage", made.error());
        partition.local = *made;
    }
    terms_.insert_or_assign(at, role.leader_epoch);
    partition.local->set_isr_min(topic.config->min_insync_replicas);
    if (role.leader == core_.self) {
        partition.local->become_leader(
            role.leader_epoch,
            Isr({core_.self, role.replicas, role.isr, role.partition_epoch},
                core_.settings.monotonic_ms(), image.config->replica_lag_time_max_ms));
        return;
    }
    partition.local->become_follower(role.leader_epoch);
}

LeaderAndIsrResponse ReplicaControl::apply(const LeaderAndIsrRequest& request) {
    LeaderAndIsrResponse response;
    response.error_code =
        fence(request.controller_id, request.controller_epoch, request.broker_epoch);
    const auto answer = [&](const std::string& topic, const base::Uuid& id, PartitionIndex index,
                            ErrorCode error) {
        LeaderAndIsrResponse::PartitionError each;
        each.topic_name = wire::Text(topic);
        each.partition_index = index;
        each.error_code = error;
        response.partition_errors.push_back(each);
        if (response.topics.empty() || response.topics.back().topic_id != id)
            response.topics.emplace_back().topic_id = id;
        response.topics.back().partition_errors.push_back(std::move(each));
    };
    ClusterImage next = *core_.image();
    Drafts drafts;
    std::size_t places_left = new_places_max;
    std::vector<std::pair<std::shared_ptr<Partition>, const Role*>> taken;
    bool is_named = false;
    each_partition(request, [&](const std::string& name, const base::Uuid& id, const Role& role) {
        const TopicPartition at{name, role.partition_index};
        auto error = response.error_code != ErrorCode::none ? response.error_code
                                                            : judge(next, at, id, role);
        const bool is_role = error == ErrorCode::none;
        if (error == ErrorCode::stale_controller_epoch && response.error_code == ErrorCode::none &&
            gives_id(next, at, id, role.leader_epoch))
            error = ErrorCode::none;
        if (error == ErrorCode::none &&
            !has_place(latest(drafts, next, name), name, role.partition_index, places_left))
            error = ErrorCode::unknown_topic_or_partition;
        if (error != ErrorCode::none) return answer(name, id, role.partition_index, error);
        auto& draft = drafts[name];
        if (!draft) draft = draft_topic(next, name, id);
        if (is_role) take_role(*draft, role, next);
        const auto& local = draft->find(role.partition_index)->local;
        answer(name, id, role.partition_index,
               local ? ErrorCode::none : ErrorCode::kafka_storage_error);
        if (!local) return;
        if (is_role) taken.emplace_back(local, &role);
        if (id == base::Uuid{} || local->topic_id() != base::Uuid{}) return;
        core_.logs->name_topic(*local, id);
        is_named = true;
    });
    for (auto& [name, draft] : drafts) next.set_topic(std::move(draft));
    if (taken.empty() && !is_named) return response;
    for (const auto& [partition, role] : taken) {
        if (role->leader == core_.self || role->leader < BrokerId(0)) continue;
        auto address = interbroker_address(next, role->leader);
        const auto live = std::ranges::find(request.live_leaders, role->leader,
                                            &LeaderAndIsrRequest::LiveLeader::broker_id);
        if (live != request.live_leaders.end())
            address = Address{live->host_name.str(), static_cast<std::uint16_t>(live->port)};
        if (!address) continue;  // It is not alive; the controller will name another.
        fetchers_.follow(partition, role->leader_epoch, role->leader, *address, next);
    }
    core_.current.publish(std::move(next));
    ports_.roles_moved();
    return response;
}

// ---- UpdateMetadata ------------------------------------------------------------------------

void ReplicaControl::take_brokers(ClusterImage& image, const UpdateMetadataRequest& request) const {
    image.controller = request.controller_id;
    image.brokers.clear();
    for (const auto& live : request.live_brokers) {
        BrokerImage broker;
        broker.id = BrokerId(live.id);
        if (live.rack) broker.rack = live.rack->str();
        for (const auto& endpoint : live.endpoints) {
            // Versions 1 and 2 name the protocol only, which is the listener's name then.
            static constexpr std::string_view protocols[] = {"PLAINTEXT", "SSL", "SASL_PLAINTEXT",
                                                             "SASL_SSL"};
            std::string listener = endpoint.listener.str();
            const auto number = static_cast<std::size_t>(endpoint.security_protocol);
            if (listener.empty() && number < std::size(protocols)) listener = protocols[number];
            broker.endpoints.push_back({std::move(listener), endpoint.host.str(), endpoint.port});
        }
        if (broker.endpoints.empty() && !live.v0_host.empty())
            broker.endpoints.push_back({"PLAINTEXT", live.v0_host.str(), live.v0_port});
        image.brokers.push_back(std::move(broker));
    }
    std::ranges::sort(image.brokers, {}, &BrokerImage::id);
}

UpdateMetadataResponse ReplicaControl::apply(const UpdateMetadataRequest& request) {
    UpdateMetadataResponse response;
    response.error_code =
        fence(request.controller_id, request.controller_epoch, request.broker_epoch);
    if (response.error_code != ErrorCode::none) return response;
    ClusterImage next = *core_.image();
    const auto before = next.brokers;
    take_brokers(next, request);
    const bool brokers_moved =
        !std::ranges::equal(before, next.brokers, {}, &BrokerImage::id, &BrokerImage::id);
    Drafts drafts;
    std::size_t places_left = new_places_max;
    std::set<std::string> going;
    bool has_left = false;
    each_partition(request, [&](const std::string& name, const base::Uuid& id, const auto& state) {
        if (state.leader == topic_is_going) {
            if (storage::is_topic_name(name)) going.insert(name);
            return;
        }
        if (!has_place(latest(drafts, next, name), name, state.partition_index, places_left))
            return;
        auto& draft = drafts[name];
        if (!draft) draft = draft_topic(next, name, id);
        auto& partition = place_of(*draft, state.partition_index);
        // Our own role may be newer than what the controller has told everybody.
        if (state.leader_epoch < partition.leader_epoch) return;
        has_left |= partition.leader == core_.self && state.leader != core_.self;
        partition.leader = state.leader;
        partition.leader_epoch = state.leader_epoch;
        partition.replicas = state.replicas;
        partition.isr = state.isr;
        partition.offline = state.offline_replicas;
    });
    for (auto& [name, draft] : drafts) next.set_topic(std::move(draft));
    forget_deleted(next, going);
    core_.current.publish(std::move(next));
    if (brokers_moved) wake_deletions(*core_.image());
    if (!going.empty()) ports_.topics_gone(going);
    // Whose log directory has failed gets no other word of it.
    if (has_left) ports_.roles_moved();
    return response;
}

// Clients do not see them any more; the logs go with StopReplica.
void ReplicaControl::forget_deleted(ClusterImage& image, const std::set<std::string>& topics) {
    for (const auto& name : topics) {
        const auto topic = image.share_topic(name);
        if (!topic) continue;
        for (std::size_t i = 0; i < topic->partitions.size(); ++i) {
            const PartitionIndex index(static_cast<std::int32_t>(i));
            if (topic->partitions[i].local)
                stopped_.insert_or_assign({name, index}, topic->partitions[i].local);
        }
        image.erase_topic(name);
    }
}

// ---- StopReplica ---------------------------------------------------------------------------

ErrorCode ReplicaControl::stop_one(const TopicPartition& at, LeaderEpoch epoch, bool deletes,
                                   std::set<TopicPartition>& deleted) {
    const auto term = terms_.find(at);
    const bool is_over =
        epoch != no_term && epoch != while_deleting && term != terms_.end() && epoch < term->second;
    if (is_over) return ErrorCode::fenced_leader_epoch;
    fetchers_.leave(at);
    const auto local = local_of(*core_.image(), at);
    if (!local) return ErrorCode::none;
    if (local->is_offline()) return ErrorCode::kafka_storage_error;
    local->resign();
    // A later role may be of the same term: this broker leaves, and comes back.
    terms_.erase(at);
    if (deletes) deleted.insert(at);
    return ErrorCode::none;
}

// They go from the image together: each image is a copy of the one before.
void ReplicaControl::delete_logs(const std::set<TopicPartition>& deleted) {
    ClusterImage next = *core_.image();
    Drafts drafts;
    std::vector<std::shared_ptr<Partition>> logs;
    for (const TopicPartition& at : deleted) {
        if (auto of_gone = stopped_.extract(at)) logs.push_back(std::move(of_gone.mapped()));
        const auto known = next.share_topic(at.topic);
        const auto* const partition = known ? known->find(at.partition) : nullptr;
        if (!partition || !partition->local) continue;
        auto& draft = drafts[at.topic];
        if (!draft) draft = std::make_shared<TopicImage>(*known);
        logs.push_back(std::exchange(place_of(*draft, at.partition).local, nullptr));
    }
    for (auto& [name, draft] : drafts) next.set_topic(std::move(draft));
    if (!drafts.empty()) core_.current.publish(std::move(next));
    for (const auto& log : logs) {
        core_.logs->retire(log, core_.random_uuid());
        base::log_info("replica", storage::directory_name(log->id()) +
                                      ": its replica is deleted, as the controller said");
    }
}

StopReplicaResponse ReplicaControl::apply(const StopReplicaRequest& request) {
    StopReplicaResponse response;
    response.error_code =
        fence(request.controller_id, request.controller_epoch, request.broker_epoch);
    std::set<TopicPartition> deleted;
    const auto stop = [&](const wire::Text& topic, PartitionIndex index, LeaderEpoch epoch,
                          bool deletes) {
        auto& answer = response.partition_errors.emplace_back();
        answer.topic_name = topic;
        answer.partition_index = index;
        answer.error_code = response.error_code != ErrorCode::none
                                ? response.error_code
                                : stop_one({topic.str(), index}, epoch, deletes, deleted);
    };
    for (const auto& each : request.ungrouped_partitions)
        stop(each.topic_name, each.partition_index, no_term, request.delete_partitions);
    for (const auto& topic : request.topics) {
        for (const auto index : topic.partition_indexes)
            stop(topic.name, index, no_term, request.delete_partitions);
    }
    for (const auto& topic : request.topic_states) {
        for (const auto& each : topic.partition_states)
            stop(topic.topic_name, each.partition_index, each.leader_epoch, each.delete_partition);
    }
    if (!deleted.empty()) delete_logs(deleted);
    ports_.roles_moved();
    return response;
}

}  // namespace broker

#include "broker/cluster/cluster.h"

#include "broker/cluster/await_call.h"
#include "broker/cluster/config_control.h"
#include "broker/cluster/controller_office.h"
#include "broker/cluster/hand_over.h"
#include "broker/cluster/image_waits.h"
#include "broker/cluster/lone_controller.h"
#include "broker/cluster/membership.h"
#include "broker/cluster/opening.h"
#include "broker/cluster/replica_control.h"
#include "broker/cluster/session_key.h"
#include "broker/cluster/topic_control.h"
#include "broker/cluster/topic_loader.h"
#include "broker/cluster/tree_watcher.h"
#include "protocol/base/log.h"
#include "protocol/base/plant.h"

#include <boost/asio/post.hpp>

#include <algorithm>
#include <future>
#include <utility>

namespace broker {

using base::Result;
using base::Unexpected;
using protocol::ErrorCode;
namespace path = znodes::path;

namespace {

AdminOutcome not_controller() {
    return failed(ErrorCode::not_controller,
                  "This is not the correct controller for this cluster.");
}

}  // namespace

// In the order in which they depend on one another. All but the core and its store work on the
// controller's thread.
struct Cluster::Parts {
    Parts(Settings settings, boost::asio::thread_pool& controller)
        : core(std::move(settings)),
          membership(core),
          topics(core),
          configs(core),
          replicas(core, {[this] { return membership.broker_epoch(); },
                          [this](const std::set<std::string>& gone) {
                              if (topics_gone) topics_gone(gone);
                          },
                          [this] {
                              if (roles_moved) roles_moved();
                          }}),
          office(core, replicas, controller),
          waits(controller),
          watcher({core, membership, topics, configs, office, controller,
                   [this](const std::set<std::string>& gone) {
                       if (topics_gone) topics_gone(gone);
                   },
                   [this] {
                       base::log_info("controller", "Another broker has registered");
                       enter_company();
                   }}) {
        core.directory_failed = [this, &controller] {
            boost::asio::post(controller, [this] { replicas.directory_failed(); });
        };
        core.current.when_published([this](const ClusterImage& image) { waits.look(image); });
    }

    // From now on a controller says what is led here, be it this broker.
    void enter_company() {
        replicas.start();
        office.open();
    }
    // What this broker writes as controller depends on its term; alone there is none.
    Guard guard() const {
        const control::Term* const term = office.term();
        if (!term) return std::nullopt;
        return coordinator::Check{std::string(path::controller_epoch), term->epoch_version};
    }
    void leave_office() {
        office.close();
        waits.close();
    }

    ClusterCore core;
    coordinator::MetadataService* service = nullptr;  // The store's, when it is in this process.
    std::function<void(const std::set<std::string>&)> topics_gone;
    std::function<void()> roles_moved;
    Membership membership;
    TopicControl topics;
    ConfigControl configs;
    ReplicaControl replicas;
    ControllerOffice office;
    ImageWaits waits;
    TreeWatcher watcher;
};

Cluster::Cluster(Settings settings)
    : parts_(std::make_unique<Parts>(std::move(settings), controller_)) {}

Cluster::~Cluster() {
    // Nothing is told any more to parts that are going.
    if (parts_->core.store) parts_->core.store->stop();
    if (!stopped_) leave_office();
    controller_.join();
}

Result<std::unique_ptr<Cluster>, std::string> Cluster::start(Settings settings,
                                                             boost::asio::thread_pool& disk) {
    std::unique_ptr<Cluster> cluster(new Cluster(std::move(settings)));
    auto loaded = cluster->load(disk);
    if (!loaded) return Unexpected(loaded.error());
    return cluster;
}

Result<void, std::string> Cluster::load(boost::asio::thread_pool& disk) {
    ClusterCore& core = parts_->core;
    if (auto done = open_log_directories(core, disk); !done) return done;
    const auto service = open_store(core);
    if (!service) return Unexpected(service.error());
    parts_->service = *service;
    if (auto done = parts_->membership.keep_session(); !done) return done;
    // Before anything is read, so that no change after that goes by.
    const auto watched = core.store->watch(
        TreeWatcher::roots(), [this](const StoreEvent& event) { parts_->watcher.tell(event); });
    if (!watched) {
        return Unexpected("the metadata cannot be watched: " +
                          coordinator::to_string(watched.error()));
    }
    if (auto done = make_paths(core); !done) return done;
    if (auto done = parts_->membership.identify(); !done) return done;
    if (auto done = parts_->membership.look_for_company(); !done) return done;
    if (!core.has_company) {
        if (auto done = finish_deletions(core, parts_->topics); !done) return done;
    }
    return TopicLoader(core).load();
}

Result<void, std::string> Cluster::register_broker(std::vector<BrokerEndpoint> endpoints) {
    if (auto joined = parts_->membership.join(std::move(endpoints)); !joined) return joined;
    lead_everything();
    boost::asio::post(controller_, [this] {
        if (has_company()) parts_->enter_company();
        parts_->watcher.begin();
    });
    logs().start_keeper();
    return {};
}

void Cluster::lead_everything() {
    const auto now = image();
    for (const auto& topic : now->topics()) {
        for (const auto& partition : topic->partitions) {
            if (partition.local && partition.leader == self())
                partition.local->become_leader(partition.leader_epoch);
        }
    }
}

void Cluster::hand_over() {
    if (has_company())
        broker::hand_over([this] { return image(); }, parts_->membership.broker_epoch());
    leave_office();
}

void Cluster::leave_office() {
    std::promise<void> left;
    boost::asio::post(controller_, [&] {
        parts_->leave_office();
        left.set_value();
    });
    left.get_future().wait();
}

void Cluster::stop() {
    if (std::exchange(stopped_, true)) return;
    leave_office();
    controller_.join();
    parts_->replicas.stop();
    const auto last = image();
    for (const auto& topic : last->topics()) {
        for (const auto& partition : topic->partitions) {
            if (partition.local) partition.local->resign();
        }
    }
    logs().stop(parts_->membership.broker_epoch());
    // Gone for good: nobody waits for this session's time-out.
    if (store().end_session()) forget_session_key(logs().first_online());
    store().stop();
}

ImagePointer Cluster::image() const {
    return parts_->core.image();
}
base::BrokerId Cluster::self() const noexcept {
    return parts_->core.self;
}
LogManager& Cluster::logs() noexcept {
    return *parts_->core.logs;
}
MetadataStore& Cluster::store() noexcept {
    return *parts_->core.store;
}
coordinator::MetadataService* Cluster::metadata() noexcept {
    return parts_->service;
}

bool Cluster::has_company() const noexcept {
    return parts_->core.has_company;
}

void Cluster::when_roles_move(std::function<void()> call) {
    parts_->roles_moved = std::move(call);
}

protocol::LeaderAndIsrResponse Cluster::apply(const protocol::LeaderAndIsrRequest& request) {
    return parts_->replicas.apply(request);
}

protocol::UpdateMetadataResponse Cluster::apply(const protocol::UpdateMetadataRequest& request) {
    return parts_->replicas.apply(request);
}

protocol::StopReplicaResponse Cluster::apply(const protocol::StopReplicaRequest& request) {
    return parts_->replicas.apply(request);
}

void Cluster::ask_for_isr(const std::shared_ptr<Partition>& partition, IsrRequest request) {
    parts_->replicas.ask_for_isr(partition, std::move(request));
}

void Cluster::when_topics_go(std::function<void(const std::set<std::string>&)> call) {
    parts_->topics_gone = std::move(call);
}

bool Cluster::may_change_topics() const {
    return !has_company() || parts_->office.term();
}

std::vector<CreatedTopic> Cluster::create_topics(const std::vector<NewTopic>& topics,
                                                 bool validate_only) {
    if (!may_change_topics())
        return std::vector(topics.size(), CreatedTopic{.outcome = not_controller()});
    return parts_->topics.create(topics, validate_only, parts_->guard());
}

std::vector<AdminOutcome> Cluster::delete_topics(const std::vector<std::string>& topics) {
    if (!may_change_topics()) return std::vector(topics.size(), not_controller());
    return parts_->topics.remove(topics, parts_->guard());
}

std::vector<AdminOutcome> Cluster::create_partitions(const std::vector<NewPartitions>& wanted,
                                                     bool validate_only) {
    if (!may_change_topics()) return std::vector(wanted.size(), not_controller());
    return parts_->topics.add_partitions(wanted, validate_only, parts_->guard());
}

AdminOutcome Cluster::set_topic_config(const std::string& topic, const ConfigMap& overrides) {
    return parts_->configs.set_topic(topic, overrides);
}

AdminOutcome Cluster::set_broker_config(std::optional<base::BrokerId> broker,
                                        const ConfigMap& configs) {
    return parts_->configs.set_broker(broker, configs);
}

ErrorCode Cluster::move_log(const base::TopicPartition& at, const std::string& directory) {
    const auto now = image();
    const TopicImage* const topic = now->find_topic(at.topic);
    const PartitionImage* const found = topic ? topic->find(at.partition) : nullptr;
    const bool is_broken =
        found && !found->local && found->why_not_local(self()) == ErrorCode::kafka_storage_error;
    const auto outcome = logs().move(at, found ? found->local : nullptr, directory);
    if (outcome != ErrorCode::replica_not_available) return outcome;
    if (!found) return ErrorCode::unknown_topic_or_partition;
    return is_broken ? ErrorCode::kafka_storage_error : outcome;
}

Result<base::ProducerId, ErrorCode> Cluster::take_producer_ids() {
    return next_producer_ids(self());
}

Result<base::ProducerId, ErrorCode> Cluster::allocate_producer_ids(base::BrokerId broker,
                                                                   std::int64_t broker_epoch) {
    auto* const driver = parts_->office.driver();
    if (!driver || !driver->image()) return Unexpected(ErrorCode::not_controller);
    const auto* const known = driver->image()->find_broker(broker);
    if (!known || known->epoch != broker_epoch) return Unexpected(ErrorCode::stale_broker_epoch);
    return next_producer_ids(broker);
}

// Written at the version that was read, so two who ask at once cannot get the same.
Result<base::ProducerId, ErrorCode> Cluster::next_producer_ids(base::BrokerId broker) {
    const std::string where(path::producer_id_block);
    const auto node = store().get(where);
    if (!node) return Unexpected(ErrorCode::coordinator_not_available);
    const auto last =
        *node && (*node)->data ? znodes::parse_producer_id_block(*(*node)->data) : std::nullopt;
    znodes::ProducerIdBlock block;
    block.broker = broker;
    block.first = last ? last->last + 1 : base::ProducerId(0);
    if (last && base::is_planted(base::Plant::producer_id_reused)) block.first = last->first;
    block.last = block.first + (producer_ids_per_block - 1);
    const auto version = *node ? (*node)->stat.version : coordinator::any_version;
    const auto stored =
        store().commit({coordinator::SetData{where, znodes::write(block), version}});
    if (!stored) return Unexpected(ErrorCode::coordinator_not_available);
    return block.first;
}

// ---- what the controller is asked ---------------------------------------------------------

// `call(done)` gives whether `done` will be called: only a controller does.
template <class Answer, class Call>
boost::asio::awaitable<Answer> Cluster::ask(Call call) {
    auto start = [call = std::move(call)](auto done) mutable {
        const bool is_asked = call(done);
        if (is_asked) return;
        Answer answer;
        answer.error = ErrorCode::not_controller;
        done(std::move(answer));
    };
    return await_call<Answer>(controller_, std::move(start));
}

boost::asio::awaitable<control::AlterPartitionAnswer> Cluster::alter_partition(
    base::BrokerId broker, std::int64_t broker_epoch, std::vector<control::IsrChange> changes) {
    return ask<control::AlterPartitionAnswer>(
        [this, broker, broker_epoch, changes = std::move(changes)](const auto& done) mutable {
            auto* const driver = parts_->office.driver();
            return driver &&
                   driver->alter_partition(broker, broker_epoch, std::move(changes), done);
        });
}

boost::asio::awaitable<control::ElectLeadersAnswer> Cluster::elect_leaders(
    control::ElectionKind kind, std::optional<std::vector<base::TopicPartition>> partitions) {
    return ask<control::ElectLeadersAnswer>(
        [this, kind, partitions = std::move(partitions)](const auto& done) {
            if (!has_company()) {
                done(elect_alone(*image(), kind, partitions));
                return true;
            }
            auto* const driver = parts_->office.driver();
            return driver && driver->elect_leaders(kind, partitions, done);
        });
}

boost::asio::awaitable<control::ReassignmentAnswer> Cluster::reassign(
    std::vector<control::Reassignment> reassignments) {
    return ask<control::ReassignmentAnswer>(
        [this, wanted = std::move(reassignments)](const auto& done) mutable {
            if (!has_company()) {
                done(reassign_alone(parts_->topics, wanted));
                return true;
            }
            auto* const driver = parts_->office.driver();
            return driver && driver->reassign(std::move(wanted), done);
        });
}

boost::asio::awaitable<control::ShutdownAnswer> Cluster::shut_down(base::BrokerId broker,
                                                                   std::int64_t broker_epoch) {
    return ask<control::ShutdownAnswer>([this, broker, broker_epoch](const auto& done) {
        auto* const driver = parts_->office.driver();
        return driver && driver->shut_down(broker, broker_epoch, done);
    });
}

boost::asio::awaitable<control::MovesAnswer> Cluster::list_reassignments(
    std::optional<std::vector<base::TopicPartition>> partitions) {
    return ask<control::MovesAnswer>([this, partitions = std::move(partitions)](const auto& done) {
        const auto* const driver = parts_->office.driver();
        if (has_company() && !driver) return false;
        done(driver ? driver->moves(partitions) : control::MovesAnswer());
        return true;
    });
}

boost::asio::awaitable<bool> Cluster::until(std::function<bool(const ClusterImage&)> holds,
                                            std::chrono::milliseconds patience) {
    return await_call<bool>(controller_, [this, holds = std::move(holds), patience](auto done) {
        parts_->waits.wait(*image(), holds, patience, std::move(done));
    });
}

// ---- topics that clients ask for ----------------------------------------------------------

void Cluster::auto_create(const std::vector<std::string>& names) {
    std::vector<NewTopic> wanted;
    const auto now = image();
    {
        const std::lock_guard lock(mutex_);
        for (const auto& name : names) {
            if (!creating_.insert(name).second) continue;
            NewTopic topic;
            topic.name = name;
            if (name == "__consumer_offsets") {
                topic.partitions = now->config->offsets_topic_num_partitions;
                // A cluster that has fewer brokers than that gets by with them.
                topic.replication_factor = static_cast<std::int16_t>(std::clamp<std::size_t>(
                    now->brokers.size(), 1,
                    static_cast<std::size_t>(now->config->offsets_topic_replication_factor)));
            }
            topic.configs = internal_topic_config(name, *now->config);
            wanted.push_back(std::move(topic));
        }
    }
    if (wanted.empty()) return;
    boost::asio::post(controller_,
                      [this, wanted = std::move(wanted)] { create_for_clients(wanted); });
}

void Cluster::create_for_clients(const std::vector<NewTopic>& wanted) {
    // In company a topic is made by writing it down; the controller does the rest.
    const auto created = parts_->topics.create(wanted, false);
    for (std::size_t i = 0; i < wanted.size(); ++i) {
        const auto& outcome = created[i].outcome;
        if (outcome.error == ErrorCode::none) {
            base::log_info("controller",
                           "Created topic " + wanted[i].name + " because a client asked for it");
        } else if (outcome.error != ErrorCode::topic_already_exists) {
            base::log_warn("controller",
                           "Cannot create topic " + wanted[i].name + ": " + outcome.message);
        }
    }
    const std::lock_guard lock(mutex_);
    for (const auto& topic : wanted) creating_.erase(topic.name);
}

}  // namespace broker

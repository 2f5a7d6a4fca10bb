#include "broker/cluster/controller_driver.h"

#include "broker/cluster/controller_election.h"
#include "broker/cluster/znodes.h"
#include "protocol/base/log.h"

#include <algorithm>
#include <utility>

namespace broker {

using base::BrokerId;
using base::Result;
using base::TopicPartition;
using base::Unexpected;
using control::Outcome;
using coordinator::ZkError;
using protocol::ErrorCode;
namespace path = znodes::path;

namespace {

std::string name_of(const TopicPartition& at) {
    return at.topic + "-" + std::to_string(at.partition.value());
}

}  // namespace

PlacesToLook PlacesToLook::everywhere() {
    return {.office = true,
            .brokers = true,
            .all_topics = true,
            .deletions = true,
            .elections = true,
            .reassignments = true,
            .notes = true};
}

bool PlacesToLook::is_empty() const {
    return !office && !brokers && topics.empty() && !all_topics && !deletions && !elections &&
           !reassignments && !notes;
}

void PlacesToLook::add(PlacesToLook others) {
    office |= others.office;
    brokers |= others.brokers;
    topics.merge(others.topics);
    all_topics |= others.all_topics;
    deletions |= others.deletions;
    elections |= others.elections;
    reassignments |= others.reassignments;
    notes |= others.notes;
}

ControllerDriver::ControllerDriver(MetadataStore& store, Settings settings, Ports ports)
    : store_(store), settings_(std::move(settings)), ports_(std::move(ports)) {}

const control::Term* ControllerDriver::term() const {
    return controller_ ? &controller_->term() : nullptr;
}

const control::Image* ControllerDriver::image() const {
    return controller_ ? &controller_->image() : nullptr;
}

// ---- terms --------------------------------------------------------------------------------

void ControllerDriver::look(PlacesToLook places) {
    places_.add(std::move(places));
    places_.office = true;
    look_around();
}

void ControllerDriver::session_lost() {
    leave_office();
    look({});
}

bool ControllerDriver::is_in_office() {
    const auto held = holds_office(store_);
    if (!held) {
        try_again();
        return false;
    }
    if (controller_ && *held) return true;
    leave_office();
    return take_office();
}

bool ControllerDriver::take_office() {
    const auto term = stand_for_election(store_, settings_.self, ports_.wall_ms());
    if (!term) {
        try_again();
        return false;
    }
    if (!*term) {
        places_ = {};  // They are the controller's business.
        return false;
    }
    auto tree = read_tree(store_, term_of_tree(**term));
    if (!tree || !settle_features(store_, settings_.versions, (*term)->epoch_version)) {
        try_again();
        return false;
    }
    if (!settings_.deletes_topics) tree->deletions.clear();
    base::log_info("controller", "Controller of the cluster in epoch " +
                                     std::to_string((*term)->epoch) + ", with " +
                                     std::to_string(tree->brokers.size()) + " brokers and " +
                                     std::to_string(tree->topics.size()) + " topics");
    for (const auto& broker : tree->brokers) seen_.insert(broker.id);
    controller_.emplace(**term, settings_.controller, *tree);
    places_ = PlacesToLook::everywhere();
    places_.brokers = places_.all_topics = places_.deletions = false;
    return true;
}

// Old protocols know no topic ids, and those that topics have anyway stay as they are.
TermOfTree ControllerDriver::term_of_tree(const control::Term& term) const {
    return {term.epoch_version, settings_.versions.has_topic_ids ? ports_.random_id : nullptr};
}

void ControllerDriver::leave_office() {
    if (!controller_) return;
    controller_->resign();
    forget_term(controller_->take_effects());
}

void ControllerDriver::forget_term(const control::Effects& last) {
    base::log_info("controller", "Not the cluster's controller any more (epoch " +
                                     std::to_string(controller_->term().epoch) + ")");
    controller_.reset();
    unreported_.reset();
    states_to_read_.clear();
    topics_to_read_.clear();
    seen_.clear();
    moves_.reset();
    ports_.hang_up();
    for (const auto& answer : last.answers) deliver(answer);
    waiting_.clear();
}

void ControllerDriver::try_again() {
    if (std::exchange(tries_again_, true)) return;
    ports_.later([this] {
        tries_again_ = false;
        places_.office = true;
        look_around();
    });
}

// ---- what the tree says -------------------------------------------------------------------

void ControllerDriver::look_around() {
    while (!places_.is_empty() || unreported_) {
        if (!is_in_office()) return;
        auto places = std::exchange(places_, {});
        const auto look = [](bool& place, auto at) {
            if (place && at()) place = false;
        };
        look(places.brokers, [this] { return look_at_brokers().has_value(); });
        bool topics = places.all_topics || !places.topics.empty();
        look(topics, [&] { return look_at_topics(places.topics, places.all_topics).has_value(); });
        look(places.deletions, [this] { return look_at_deletions().has_value(); });
        look(places.notes, [this] { return look_at_notes().has_value(); });
        look(places.elections, [this] { return look_at_elections().has_value(); });
        look(places.reassignments, [this] { return look_at_reassignments().has_value(); });
        if (!topics) {
            places.all_topics = false;
            places.topics.clear();
        }
        places.office = false;
        if (auto known = std::exchange(unreported_, std::nullopt)) {
            controller_->written(known->batch, known->outcomes);
        }
        const bool is_done = places.is_empty();
        places_.add(std::move(places));
        carry_out();
        if (!is_done || unreported_) return try_again();
    }
}

Result<void, ZkError> ControllerDriver::look_at_brokers() {
    auto brokers = read_brokers(store_);
    if (!brokers) return Unexpected(brokers.error());
    auto gone = std::exchange(seen_, {});
    for (control::Broker& broker : *brokers) {
        gone.erase(broker.id);
        seen_.insert(broker.id);
        controller_->broker_seen(std::move(broker));
    }
    for (const BrokerId id : gone) controller_->broker_gone(id);
    return {};
}

Result<void, ZkError> ControllerDriver::look_at_topics(const std::set<std::string>& names,
                                                       bool all) {
    std::set<std::string> wanted = names;
    if (all) {
        const auto there = store_.children(std::string(path::topics));
        if (!there) return Unexpected(there.error());
        wanted.insert(there->begin(), there->end());
        controller_->image().for_each(
            [&](const control::Partition& partition) { wanted.insert(partition.topic->name); });
    }
    auto topics =
        read_topics(store_, term_of_tree(controller_->term()), {wanted.begin(), wanted.end()});
    if (!topics) return Unexpected(topics.error());
    for (const control::TopicNode& topic : *topics) {
        wanted.erase(topic.name);
        controller_->topic_seen(topic);
        controller_->unclean_elections_changed(topic.name, topic.unclean_elections);
    }
    for (const auto& name : wanted) controller_->topic_gone(name);
    return {};
}

Result<void, ZkError> ControllerDriver::look_at_deletions() {
    const auto marked = store_.children(std::string(path::delete_topics));
    if (!marked) return Unexpected(marked.error());
    if (!marked->empty() && !settings_.deletes_topics) {
        base::log_warn(
            "controller",
            "topics are marked for deletion, and stay, because delete.topic.enable is false");
        return {};
    }
    for (const auto& name : *marked) controller_->topic_marked(name);
    return {};
}

// Brokers of old versions write the states of their partitions themselves, and say so with these.
Result<void, ZkError> ControllerDriver::look_at_notes() {
    const auto states = take_notes(path::isr_changes, [this](const std::string& text) {
        const auto partitions = znodes::parse_partitions(text);
        if (partitions) controller_->states_changed(*partitions);
    });
    if (!states) return states;
    return take_notes(path::log_dir_events, [this](const std::string& text) {
        const auto broker = znodes::parse_log_dir_event(text);
        if (broker) controller_->log_directory_failed(*broker);
    });
}

Result<void, ZkError> ControllerDriver::take_notes(
    std::string_view folder, const std::function<void(const std::string&)>& take) {
    const auto names = store_.children(std::string(folder));
    if (!names) return Unexpected(names.error());
    std::vector<std::string> paths;
    for (const auto& name : *names) paths.push_back(std::string(folder) + "/" + name);
    const auto nodes = store_.get(paths);
    if (!nodes) return Unexpected(nodes.error());
    for (std::size_t i = 0; i < paths.size(); ++i) {
        if (!(*nodes)[i]) continue;
        take((*nodes)[i]->data.value_or(""));
        remove(paths[i]);
    }
    return {};
}

Result<void, ZkError> ControllerDriver::look_at_elections() {
    const auto node = store_.get(std::string(path::preferred_replica_election));
    if (!node) return Unexpected(node.error());
    if (!*node) return {};
    const auto wanted = (*node)->data ? znodes::parse_partitions(*(*node)->data) : std::nullopt;
    if (!wanted || wanted->empty()) {
        remove(path::preferred_replica_election);
        return {};
    }
    const auto ticket = wait_for<control::ElectLeadersAnswer>([this](const auto& answer) {
        for (const auto& [at, error] : answer.partitions) {
            if (error == ErrorCode::none || error == ErrorCode::election_not_needed) continue;
            base::log_warn("controller", "no preferred leader for " + name_of(at) + ": " +
                                             std::string(protocol::error_sentence(error)));
        }
        if (controller_) remove(path::preferred_replica_election);
    });
    controller_->elect_leaders(ticket, control::ElectionKind::preferred, wanted);
    return {};
}

// The node stays until the moves are over: that is what whoever wrote it waits for.
Result<void, ZkError> ControllerDriver::look_at_reassignments() {
    const auto node = store_.get(std::string(path::reassign_partitions));
    if (!node) return Unexpected(node.error());
    if (!*node) return {};
    const auto wanted = (*node)->data ? znodes::parse_reassignments(*(*node)->data) : std::nullopt;
    if (!wanted || wanted->empty()) {
        remove(path::reassign_partitions);
        return {};
    }
    std::vector<control::Reassignment> reassignments;
    for (const auto& [at, replicas] : *wanted) reassignments.push_back({at, replicas});
    const auto ticket = wait_for<control::ReassignmentAnswer>([this](const auto& answer) {
        if (!controller_) return;
        auto& moves = moves_ ? *moves_ : moves_.emplace();
        for (const auto& [at, error] : answer.partitions) {
            if (error == ErrorCode::none) {
                moves.insert(at);
            } else {
                base::log_warn("controller", "replicas of " + name_of(at) +
                                                 " are not reassigned: " +
                                                 std::string(protocol::error_sentence(error)));
            }
        }
    });
    controller_->reassign(ticket, std::move(reassignments));
    return {};
}

void ControllerDriver::end_reassignments() {
    if (!controller_ || !moves_) return;
    const control::Image& image = controller_->image();
    std::erase_if(*moves_, [&](const TopicPartition& at) {
        const control::Partition* const partition = image.find(at);
        return partition == nullptr || !partition->assignment.is_moving();
    });
    if (!moves_->empty()) return;
    moves_.reset();
    remove(path::reassign_partitions);
}

// A node that stays because nobody can be reached is found when all is looked at again.
void ControllerDriver::remove(std::string_view node) {
    const auto done = store_.commit(
        {coordinator::Check{std::string(path::controller_epoch), controller_->term().epoch_version},
         coordinator::Delete{std::string(node)}});
    if (done || done.error().error != ZkError::connection_loss) return;
    places_.add(
        {.elections = node == path::preferred_replica_election,
         .reassignments = node == path::reassign_partitions,
         .notes = node != path::preferred_replica_election && node != path::reassign_partitions});
    try_again();
}

// ---- effects ------------------------------------------------------------------------------

void ControllerDriver::carry_out() {
    while (controller_ && !unreported_) {
        auto effects = controller_->take_effects();
        if (effects.resign) {
            forget_term(effects);
            return try_again();
        }
        for (auto& request : effects.requests) ports_.send(controller_->term(), std::move(request));
        for (const auto& answer : effects.answers) deliver(answer);
        states_to_read_.insert(effects.reads.states.begin(), effects.reads.states.end());
        topics_to_read_.insert(effects.reads.topics.begin(), effects.reads.topics.end());
        const bool has_writes = effects.writes.has_value();
        if (has_writes) write(*effects.writes);
        const bool has_reads = !states_to_read_.empty() || !topics_to_read_.empty();
        if (has_reads && !unreported_ && !read()) return try_again();
        const bool has_more =
            has_writes || has_reads || !effects.requests.empty() || !effects.answers.empty();
        if (!has_more) return end_reassignments();
    }
    if (controller_) try_again();
}

void ControllerDriver::write(const control::WriteBatch& batch) {
    auto outcomes = broker::write(store_, batch);
    const bool is_known = std::ranges::none_of(
        outcomes, [](const Outcome& outcome) { return outcome.kind == Outcome::Kind::unknown; });
    const bool is_over = std::ranges::any_of(
        outcomes, [](const Outcome& outcome) { return outcome.kind == Outcome::Kind::deposed; });
    if (is_known || is_over) {
        controller_->written(batch.id, outcomes);
    } else {
        unreported_ = Unreported{batch.id, std::move(outcomes)};
    }
}

Result<void, ZkError> ControllerDriver::read() {
    const std::vector<TopicPartition> partitions(states_to_read_.begin(), states_to_read_.end());
    auto states = read_states(store_, partitions);
    if (!states) return Unexpected(states.error());
    states_to_read_.clear();
    for (std::size_t i = 0; i < partitions.size(); ++i) {
        controller_->state_read(partitions[i], std::move((*states)[i]));
    }
    if (topics_to_read_.empty()) return {};
    if (auto looked = look_at_topics(topics_to_read_, false); !looked) return looked;
    topics_to_read_.clear();
    return {};
}

// ---- what brokers answer ------------------------------------------------------------------

void ControllerDriver::answered(std::int32_t controller_epoch, std::uint64_t request,
                                ErrorCode error,
                                const std::vector<control::PartitionError>& partitions) {
    const bool is_refused = error != ErrorCode::none && error != ErrorCode::stale_broker_epoch;
    if (is_refused) return unanswered(controller_epoch, request);
    if (!is_term(controller_epoch)) return;
    controller_->answered(request, error, partitions);
    carry_out();
}

// It is made again: not at once, or a broker that refuses would be asked in a circle.
void ControllerDriver::unanswered(std::int32_t controller_epoch, std::uint64_t request) {
    ports_.later([this, controller_epoch, request] {
        if (!is_term(controller_epoch)) return;
        controller_->unanswered(request);
        carry_out();
    });
}

bool ControllerDriver::is_term(std::int32_t controller_epoch) const {
    return controller_ && controller_->term().epoch == controller_epoch;
}

// ---- what is asked ------------------------------------------------------------------------

template <class Answer>
control::Ticket ControllerDriver::wait_for(Done<Answer> done) {
    waiting_.emplace(next_ticket_, [done = std::move(done)](const control::Answer& answer) {
        done(std::get<Answer>(answer));
    });
    return next_ticket_++;
}

void ControllerDriver::deliver(const control::Answer& answer) {
    const auto ticket = std::visit([](const auto& each) { return each.ticket; }, answer);
    if (auto found = waiting_.extract(ticket)) found.mapped()(answer);
}

bool ControllerDriver::alter_partition(BrokerId broker, std::int64_t broker_epoch,
                                       std::vector<control::IsrChange> changes,
                                       Done<control::AlterPartitionAnswer> done) {
    if (!controller_) return false;
    controller_->alter_partition(wait_for(std::move(done)), broker, broker_epoch,
                                 std::move(changes));
    carry_out();
    return true;
}

bool ControllerDriver::elect_leaders(control::ElectionKind kind,
                                     const std::optional<std::vector<TopicPartition>>& partitions,
                                     Done<control::ElectLeadersAnswer> done) {
    if (!controller_) return false;
    controller_->elect_leaders(wait_for(std::move(done)), kind, partitions);
    carry_out();
    return true;
}

bool ControllerDriver::reassign(std::vector<control::Reassignment> reassignments,
                                Done<control::ReassignmentAnswer> done) {
    if (!controller_) return false;
    controller_->reassign(wait_for(std::move(done)), std::move(reassignments));
    carry_out();
    return true;
}

bool ControllerDriver::shut_down(BrokerId broker, std::int64_t broker_epoch,
                                 Done<control::ShutdownAnswer> done) {
    if (!controller_) return false;
    controller_->shut_down(wait_for(std::move(done)), broker, broker_epoch);
    carry_out();
    return true;
}

control::MovesAnswer ControllerDriver::moves(
    const std::optional<std::vector<TopicPartition>>& partitions) const {
    control::MovesAnswer answer;
    if (!controller_) {
        answer.error = ErrorCode::not_controller;
        return answer;
    }
    const auto add = [&](const control::Partition& partition) {
        if (partition.assignment.is_moving())
            answer.partitions.push_back({partition.at(), partition.assignment});
    };
    const control::Image& image = controller_->image();
    if (!partitions) {
        image.for_each(add);
        return answer;
    }
    for (const TopicPartition& at : *partitions) {
        if (const auto* const partition = image.find(at)) add(*partition);
    }
    return answer;
}

// ---- settings, and what is done from time to time -----------------------------------------

void ControllerDriver::unclean_elections_changed(const std::string& topic,
                                                 std::optional<bool> enabled) {
    if (!controller_) return;
    controller_->unclean_elections_changed(topic, enabled);
    carry_out();
}

void ControllerDriver::default_unclean_elections_changed(bool enabled) {
    if (std::exchange(settings_.controller.unclean_elections, enabled) == enabled) return;
    if (!controller_) return;
    controller_->default_unclean_elections_changed(enabled);
    carry_out();
}

void ControllerDriver::rebalance_leaders() {
    if (!controller_) return;
    controller_->rebalance_leaders();
    carry_out();
}

}  // namespace broker

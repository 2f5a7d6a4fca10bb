#include "broker/cluster/tree_watcher.h"

#include "protocol/base/log.h"
#include "storage/names.h"

#include <boost/asio/post.hpp>

#include <utility>

namespace broker {

using coordinator::EventType;
using coordinator::NodeView;
namespace path = znodes::path;

std::vector<std::string> TreeWatcher::roots() {
    return {std::string(path::broker_ids),
            std::string(path::topics),
            std::string(path::config_changes),
            std::string(path::delete_topics),
            std::string(path::preferred_replica_election),
            std::string(path::reassign_partitions),
            std::string(path::controller),
            std::string(path::isr_changes),
            std::string(path::log_dir_events)};
}

// ---- what happened ------------------------------------------------------------------------

void TreeWatcher::tell(const StoreEvent& event) {
    using Kind = StoreEvent::Kind;
    if (event.kind == Kind::away) {
        base::log_warn("metadata",
                       "no metadata server can be reached; topics are served as before, and "
                       "changes of them are refused until one can be");
    }
    if (event.kind == Kind::back) base::log_info("metadata", "the metadata can be reached again");
    if (event.kind != Kind::node || path::child_of(event.path, path::broker_ids)) {
        parts_.membership.look_again();
    }
    const std::lock_guard lock(mutex_);
    note(event);
    if (!begun_ || std::exchange(posted_, true)) return;
    boost::asio::post(parts_.controller, [this] { act(); });
}

void TreeWatcher::note(const StoreEvent& event) {
    using Kind = StoreEvent::Kind;
    if (event.kind == Kind::lost) pending_.session = true;
    if (event.kind != Kind::node) {
        pending_.everything = pending_.everything || event.kind != Kind::away;
        return;
    }
    const std::string_view at = event.path;
    if (const auto topic = path::child_of(at, path::topics)) {
        pending_.topics.emplace(*topic);
        if (event.type == EventType::deleted) pending_.deleted_topics.emplace(*topic);
    } else if (path::child_of(at, path::config_changes)) {
        if (event.type == EventType::created) pending_.config_changes.insert(event.path);
    } else if (path::child_of(at, path::delete_topics)) {
        pending_.deletions = true;
    } else if (at == path::preferred_replica_election) {
        pending_.elections = true;
    } else if (at == path::reassign_partitions) {
        pending_.reassignments = true;
    } else if (at == path::controller) {
        pending_.membership = true;
    } else if (const auto broker = path::child_of(at, path::broker_ids)) {
        pending_.brokers.emplace(*broker);
    } else if (path::child_of(at, path::isr_changes) || path::child_of(at, path::log_dir_events)) {
        pending_.notes = pending_.notes || event.type == EventType::created;
    }
}

// ---- what is done about it ----------------------------------------------------------------

void TreeWatcher::begin() {
    {
        const std::lock_guard lock(mutex_);
        begun_ = posted_ = true;
        pending_.deletions = pending_.elections = pending_.reassignments = pending_.notes = true;
    }
    act();
    parts_.configs.purge();
}

void TreeWatcher::act() {
    Pending pending;
    {
        const std::lock_guard lock(mutex_);
        pending = std::exchange(pending_, {});
        posted_ = false;
    }
    if (pending.session) {
        if (const auto kept = parts_.membership.keep_session(); !kept)
            base::log_warn("metadata", kept.error());
    }
    if (has_company(pending)) return act_in_company(pending);
    if (pending.everything) add_everything(pending);
    if (pending.membership || !pending.brokers.empty()) parts_.membership.mend();
    for (const auto& change : pending.config_changes) (void)parts_.configs.notified(change);
    check_topics(pending);
    if (pending.deletions) delete_marked();
    if (pending.elections) elect_preferred();
    if (pending.reassignments) reassign();
    if (pending.notes) clear_notes();
}

bool TreeWatcher::has_company(const Pending& pending) {
    ClusterCore& core = parts_.core;
    const bool may_be_new = pending.everything || !pending.brokers.empty();
    if (core.has_company || !may_be_new) return core.has_company;
    if (!parts_.membership.look_for_company() || !core.has_company) return false;
    parts_.company_came();
    return true;
}

// Topics, elections and reassignments are the controller's; configurations are every broker's own.
void TreeWatcher::act_in_company(Pending& pending) {
    if (pending.everything || pending.membership || !pending.brokers.empty())
        parts_.membership.mend();
    if (pending.everything) {
        for (const auto& topic : parts_.core.image()->topics())
            parts_.configs.read_topic(topic->name);
        parts_.configs.read_broker();
    }
    for (const auto& change : pending.config_changes) {
        // The controller wants to know what it says of unclean elections.
        if (auto topic = parts_.configs.notified(change)) pending.topics.insert(*std::move(topic));
    }
    tell_office(pending);
}

void TreeWatcher::tell_office(Pending& pending) {
    ControllerOffice& office = parts_.office;
    office.config_changed();
    if (pending.session) return office.session_lost();
    if (pending.everything) return office.look(PlacesToLook::everywhere());
    // Who is not in office waits for it, and for nothing else.
    if (!office.term() && !pending.membership) return;
    PlacesToLook places;
    places.office = pending.membership;
    places.brokers = !pending.brokers.empty();
    places.topics = std::move(pending.topics);
    places.deletions = pending.deletions;
    places.elections = pending.elections;
    places.reassignments = pending.reassignments;
    places.notes = pending.notes;
    if (!places.is_empty()) office.look(std::move(places));
}

void TreeWatcher::add_everything(Pending& pending) {
    pending.membership = pending.deletions = pending.elections = pending.reassignments =
        pending.notes = true;
    const auto names = parts_.core.store->children(std::string(path::topics));
    if (!names) return;  // It is away again, and comes back with another event.
    pending.topics.insert(names->begin(), names->end());
    for (const auto& topic : parts_.core.image()->topics()) {
        pending.topics.insert(topic->name);
        parts_.configs.read_topic(topic->name);
    }
    parts_.configs.read_broker();
}

void TreeWatcher::check_topics(const Pending& pending) {
    if (pending.topics.empty()) return;
    std::vector<std::string> paths;
    for (const auto& name : pending.topics) paths.push_back(path::topic(name));
    const auto nodes = parts_.core.store->get(paths);
    if (!nodes) return;
    auto node = nodes->begin();
    for (const auto& name : pending.topics) {
        const auto known = parts_.core.image()->share_topic(name);
        if (known) check_known(known, *node, pending.deleted_topics.contains(name));
        check_topic(name, *node++);
    }
}

// Records go only where somebody was seen to delete the topic, or made another one in its place. A
// tree that was emptied, exchanged or restored from yesterday deletes nothing.
void TreeWatcher::check_known(const TopicPointer& known, const std::optional<NodeView>& node,
                              bool was_deleted) {
    if (node && node->stat.czxid.value() == known->czxid) return;
    if (node && node->data) {
        const auto assignment = znodes::parse_topic(*node->data);
        if (!assignment || assignment->topic_id == known->id) return;
    }
    const bool is_other = node && node->data;
    if (!(was_deleted || is_other) || !parts_.core.tree_is_ours()) {
        base::log_warn("metadata", "the metadata do not have topic " + known->name +
                                       " any more, and nobody was seen to delete it; it is kept");
        return;
    }
    base::log_info("controller", "Topic " + known->name + " was deleted from the metadata");
    parts_.topics.withdraw(known);
    forget(known->name);
}

void TreeWatcher::check_topic(const std::string& name, const std::optional<NodeView>& node) {
    if (!node) return;
    const auto assignment = node->data ? znodes::parse_topic(*node->data) : std::nullopt;
    if (!assignment || !storage::is_topic_name(name)) {
        base::log_warn("metadata", path::topic(name) + " does not hold a topic; it is left out");
        return;
    }
    const auto known = parts_.core.image()->share_topic(name);
    const auto count = known ? known->partitions.size() : 0;
    if (known && assignment->partitions.size() < count) {
        base::log_warn("metadata", path::topic(name) + " has fewer partitions than topic " + name +
                                       "; they are kept");
        return;
    }
    const bool is_as_known = known && assignment->partitions.size() == count &&
                             (assignment->topic_id || known->id == base::Uuid{});
    if (is_as_known) return;
    if (const auto adopted = parts_.topics.adopt(name, *assignment, *node); !adopted) {
        base::log_warn("controller",
                       "topic " + name + " of the metadata is left as it is: " + adopted.error());
    } else if (assignment->partitions.size() != count) {
        base::log_info("controller", "Topic " + name + " has " +
                                         std::to_string(assignment->partitions.size()) +
                                         " partitions, as the metadata say");
    }
}

void TreeWatcher::forget(const std::string& topic) {
    if (parts_.topics_gone) parts_.topics_gone({topic});
}

void TreeWatcher::delete_marked() {
    const auto marked = parts_.core.store->children(std::string(path::delete_topics));
    if (!marked || marked->empty()) return;
    if (!parts_.core.image()->config->delete_topic_enable) {
        base::log_warn(
            "controller",
            "topics are marked for deletion, and stay, because delete.topic.enable is false");
        return;
    }
    for (const auto& name : *marked) {
        if (parts_.core.image()->find_topic(name)) {
            const auto outcome = parts_.topics.remove({name}).front();
            if (outcome.error == protocol::ErrorCode::none)
                base::log_info("controller", "Deleted topic " + name + ", as the metadata asked");
            forget(name);
            continue;
        }
        // A mark of what is not there.
        (void)parts_.topics.remove_mark(name);
    }
}

// The first replica of each is the leader already, if it is alive: on one broker there is nobody
// else.
void TreeWatcher::elect_preferred() {
    const std::string where(path::preferred_replica_election);
    const auto node = parts_.core.store->get(where);
    if (!node || !*node) return;
    const auto wanted = (*node)->data ? znodes::parse_partitions(*(*node)->data) : std::nullopt;
    if (!wanted) base::log_warn("metadata", where + " does not name partitions; it is deleted");
    for (const auto& at : wanted.value_or(std::vector<base::TopicPartition>())) {
        const auto topic = parts_.core.image()->share_topic(at.topic);
        const auto* partition = topic ? topic->find(at.partition) : nullptr;
        const std::string name = storage::directory_name(at);
        if (!partition) {
            base::log_warn("controller",
                           "no preferred leader for " + name + ": there is no such partition");
        } else if (partition->replicas.empty() ||
                   partition->leader != partition->replicas.front()) {
            base::log_warn("controller",
                           "no preferred leader for " + name + ": its first replica is not alive");
        }
    }
    (void)parts_.core.commit({coordinator::Delete{where}});
}

void TreeWatcher::reassign() {
    const std::string where(path::reassign_partitions);
    const auto node = parts_.core.store->get(where);
    if (!node || !*node) return;
    const auto wanted = (*node)->data ? znodes::parse_reassignments(*(*node)->data) : std::nullopt;
    if (!wanted)
        base::log_warn("metadata", where + " does not name partitions and replicas; it is deleted");
    for (const auto& [at, replicas] : wanted.value_or(znodes::Reassignments())) {
        const auto moved = parts_.topics.reassign(at, replicas);
        if (moved) continue;
        base::log_warn("controller", "replicas of " + at.topic + "-" +
                                         std::to_string(at.partition.value()) +
                                         " are not reassigned: " + moved.error());
    }
    (void)parts_.core.commit({coordinator::Delete{where}});
}

// Brokers tell the controller of ISR changes and failed directories with these; a broker that is
// its own controller knows.
void TreeWatcher::clear_notes() {
    for (const auto folder : {path::isr_changes, path::log_dir_events}) {
        const auto names = parts_.core.store->children(std::string(folder));
        if (!names) return;
        for (const auto& name : *names) {
            (void)parts_.core.commit({coordinator::Delete{std::string(folder) + "/" + name}});
        }
    }
}

}  // namespace broker

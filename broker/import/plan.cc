#include "broker/import/plan.h"

#include "broker/cluster/topic_rules.h"
#include "storage/names.h"

#include <algorithm>
#include <limits>
#include <set>

namespace broker {

using base::BrokerId;
using base::LeaderEpoch;
using base::PartitionIndex;
using base::ProducerId;
using base::Result;
using base::Unexpected;
using coordinator::Op;
namespace path = znodes::path;

namespace {

// Far below what the metadata service takes at once.
constexpr std::size_t transaction_bytes = std::size_t{4} << 20;
constexpr std::size_t operation_bytes = 100;  // Beside path and data, about.

// Where our producer ids begin above those of Apache Kafka. On the way back it goes on with its
// own, from metadata that knows nothing of ours: were they the same, its broker would take new
// records for old ones, acknowledge them and drop them.
constexpr std::int64_t producer_gap = std::int64_t{1} << 40;
constexpr std::int64_t producer_block = 1000;

// Directory ids of KRaft that name no directory: unassigned, lost, migrating.
constexpr std::uint8_t reserved_directory_ids = 100;

bool is_reserved(const base::Uuid& id) {
    const bool small =
        std::all_of(id.begin(), id.end() - 1, [](std::byte each) { return each == std::byte{0}; });
    return small && std::to_integer<std::uint8_t>(id.back()) < reserved_directory_ids;
}

std::string name_of(const base::TopicPartition& at) {
    return storage::directory_name(at);
}

// A partition's directory of ours.
struct Local {
    const SurveyedDirectory* in;
    const storage::SurveyedPartition* partition;

    std::string path() const { return in->path + "/" + name_of(partition->at); }
};
using LocalTopics = std::map<std::string, std::map<PartitionIndex, Local>>;

class Planner {
public:
    Planner(const ImportInput& input, const coordinator::Tree& tree) : in_(input), tree_(tree) {}

    Result<ImportPlan, std::string> run();

private:
    Result<void, std::string> find_directories();
    Result<void, std::string> check_source() const;
    Result<void, std::string> add_topic(const std::string& name,
                                        const std::map<PartitionIndex, Local>& locals);
    Result<void, std::string> add_missing(const std::string& name,
                                          const std::map<PartitionIndex, Local>& locals);
    Result<void, std::string> judge(const std::string& name, const SourceTopic& topic,
                                    const std::map<PartitionIndex, Local>& locals) const;
    Result<base::Uuid, std::string> id_of(const std::map<PartitionIndex, Local>& locals,
                                          const SourceTopic* known) const;
    void look_at_held(const std::string& name);
    Result<void, std::string> add_cluster();

    void put(std::string where, coordinator::Data data);
    void create(std::string where, coordinator::Data data);
    void add(Op op, std::size_t bytes);
    void end_topic();
    void note(std::string line) { plan_.notes.push_back(std::move(line)); }

    const SourceTopic* in_source(const std::string& name) const {
        if (in_.source == nullptr) return nullptr;
        const auto found = in_.source->topics.find(name);
        return found == in_.source->topics.end() ? nullptr : &found->second;
    }
    znodes::PartitionState state(const SourcePartition* known, const Local* local) const;

    const ImportInput& in_;
    const coordinator::Tree& tree_;
    ImportPlan plan_;
    LocalTopics local_;
    std::set<std::string> made_;  // Nodes that the plan creates.
    std::vector<Op> ops_;         // Of the transaction that is being made,
    std::size_t bytes_ = 0;       // about as long as this.
};

void Planner::add(Op op, std::size_t bytes) {
    ops_.push_back(std::move(op));
    bytes_ += bytes + operation_bytes;
}

void Planner::create(std::string where, coordinator::Data data) {
    const std::size_t bytes = where.size() + (data ? data->size() : 0);
    made_.insert(where);
    coordinator::Create op;
    op.path = std::move(where);
    op.data = std::move(data);
    op.with_parents = true;
    add(std::move(op), bytes);
}

// Whatever is there.
void Planner::put(std::string where, coordinator::Data data) {
    if (!tree_.exists(where) && !made_.contains(where))
        return create(std::move(where), std::move(data));
    const std::size_t bytes = where.size() + (data ? data->size() : 0);
    add(coordinator::SetData{std::move(where), std::move(data)}, bytes);
}

// A topic is never split, so that none is ever seen with some of its nodes.
void Planner::end_topic() {
    if (bytes_ < transaction_bytes) return;
    plan_.transactions.push_back(std::exchange(ops_, {}));
    bytes_ = 0;
}

Result<void, std::string> Planner::find_directories() {
    for (const SurveyedDirectory& directory : in_.directories) {
        for (const auto& name : directory.survey.unknown_directories) {
            note(directory.path + "/" + name + " is no partition; it is left as it is");
        }
        for (const auto& partition : directory.survey.partitions) {
            if (partition.kind == storage::DirectoryKind::deleted) continue;
            if (partition.kind != storage::DirectoryKind::partition) {
                note(directory.path + "/" + name_of(partition.at) + ": its " +
                     (partition.kind == storage::DirectoryKind::future
                          ? "unfinished move to this log directory"
                          : "stray copy") +
                     " is left as it is and not served");
                continue;
            }
            const Local local{&directory, &partition};
            if (partition.fault && partition.fault->kind == storage::FaultKind::io) {
                return Unexpected(partition.fault->detail);
            }
            const auto [other, fresh] =
                local_[partition.at.topic].try_emplace(partition.at.partition, local);
            if (!fresh) {
                return Unexpected(name_of(partition.at) + " is in " + other->second.in->path +
                                  " and in " + directory.path +
                                  "; move the one that is not in use out of log.dirs");
            }
        }
    }
    return {};
}

Result<void, std::string> Planner::check_source() const {
    if (in_.source == nullptr || in_.source->cluster_id.empty() || in_.identity.cluster.empty())
        return {};
    if (in_.source->cluster_id == in_.identity.cluster) return {};
    return Unexpected(in_.source->where + " is of cluster " + in_.source->cluster_id +
                      ", meta.properties in log.dirs of " + in_.identity.cluster +
                      "; name the ZooKeeper, or the chroot, of that cluster");
}

// The topic's id; all zero when nobody knows one.
Result<base::Uuid, std::string> Planner::id_of(const std::map<PartitionIndex, Local>& locals,
                                               const SourceTopic* known) const {
    if (known != nullptr && known->id) return *known->id;
    const Local* first = nullptr;
    for (const auto& [index, local] : locals) {
        const auto& fault = local.partition->fault;
        if (!local.partition->topic_id) {
            if (fault && fault->kind == storage::FaultKind::corrupt)
                return Unexpected(fault->detail + "; put it back from a backup, or remove it");
            continue;
        }
        if (first == nullptr) {
            first = &local;
        } else if (first->partition->topic_id != local.partition->topic_id) {
            return Unexpected(first->path() + " and " + local.path() +
                              " are of two topics of that name (partition.metadata); move the one "
                              "that was deleted out of log.dirs");
        }
    }
    return first != nullptr ? *first->partition->topic_id : base::Uuid{};
}

// What would lose records that somebody has, or serve an empty log where one is missing.
Result<void, std::string> Planner::judge(const std::string& name, const SourceTopic& topic,
                                         const std::map<PartitionIndex, Local>& locals) const {
    for (const auto& [index, partition] : topic.partitions) {
        const base::TopicPartition at{name, index};
        const auto mine = std::ranges::find(partition.replicas, in_.identity.broker);
        if (mine == partition.replicas.end()) continue;
        const auto replica = static_cast<std::size_t>(mine - partition.replicas.begin());
        if (replica < partition.directories.size() &&
            !is_reserved(partition.directories[replica])) {
            const std::string id = storage::uuid_text(partition.directories[replica]);
            const bool ours = std::ranges::any_of(in_.directories, [&](const auto& each) {
                return each.survey.identity && each.survey.identity->directory == id;
            });
            if (!ours) {
                return Unexpected(name_of(at) + " lies in the log directory with directory.id " +
                                  id + " (" + in_.source->where +
                                  "), which is not in log.dirs; add it there");
            }
        }
        if (!locals.contains(index) && !in_.accept) {
            return Unexpected(in_.source->where + " has " + name_of(at) +
                              " on this broker, but no directory of log.dirs holds it; "
                              "add the one that does, or import with --accept to begin it empty");
        }
        const auto& whole = partition.isr.empty() ? partition.eligible : partition.isr;
        if (!whole.empty() && std::ranges::find(whole, in_.identity.broker) == whole.end()) {
            return Unexpected("this broker's copy of " + name_of(at) +
                              " was behind that of broker " +
                              std::to_string(whole.front().value()) +
                              "; import that broker's log directories instead");
        }
    }
    return {};
}

// The leader is whoever starts: above every epoch that is in a log or was given.
znodes::PartitionState Planner::state(const SourcePartition* known, const Local* local) const {
    znodes::PartitionState state;
    LeaderEpoch latest = known != nullptr ? known->leader_epoch : LeaderEpoch(-1);
    if (local != nullptr) latest = std::max(latest, local->partition->max_leader_epoch);
    state.controller_epoch = in_.source != nullptr ? in_.source->controller_epoch : 0;
    state.leader = local != nullptr ? in_.identity.broker : BrokerId(-1);
    state.leader_epoch = latest + 1;
    if (local != nullptr) state.isr = {in_.identity.broker};
    if (local == nullptr && known != nullptr) state.isr = known->isr;
    return state;
}

Result<void, std::string> Planner::add_topic(const std::string& name,
                                             const std::map<PartitionIndex, Local>& locals) {
    const SourceTopic* const known = in_source(name);
    if (in_.source != nullptr && (known == nullptr || in_.source->doomed.contains(name))) {
        for (const auto& [index, local] : locals) {
            note(local.path() + ": " +
                 (known == nullptr ? "no topic of that name is in "
                                   : "the topic is being deleted in ") +
                 in_.source->where + "; it is left as it is and not served");
        }
        return {};
    }
    auto id = id_of(locals, known);
    if (!id) return Unexpected(id.error());
    if (*id == base::Uuid{}) *id = in_.draw_uuid();

    std::map<PartitionIndex, Local> mine;
    for (const auto& [index, local] : locals) {
        const bool is_other = local.partition->topic_id && *local.partition->topic_id != *id;
        const bool is_stray = known != nullptr && !known->partitions.contains(index);
        if (!is_other && !is_stray) {
            mine.emplace(index, local);
            continue;
        }
        note(local.path() +
             (is_other ? " is of an earlier topic of that name"
                       : " is no partition in " + in_.source->where) +
             "; it is left as it is and not served");
    }
    if (known != nullptr) {
        if (auto fine = judge(name, *known, mine); !fine) return fine;
    }
    if (known == nullptr && mine.empty()) return {};

    znodes::TopicAssignment assignment;
    assignment.topic_id = *id;
    if (known != nullptr) {
        for (const auto& [index, partition] : known->partitions)
            assignment.partitions[index] = partition.replicas;
    } else {
        // Of a partition without a directory nobody knows where it is; it has a number all the
        // same.
        for (PartitionIndex index{0}; index <= mine.rbegin()->first; index = index + 1) {
            assignment.partitions[index] = {};
            if (mine.contains(index)) {
                assignment.partitions[index] = {in_.identity.broker};
            } else {
                note(name_of({name, index}) + " is in no directory of log.dirs: it has no leader");
            }
        }
    }

    znodes::Config config;
    if (known != nullptr) {
        config = known->config;
    } else {
        const auto internal = internal_topic_config(name, in_.config);
        config = {internal.begin(), internal.end()};
    }
    put(znodes::config_path({znodes::ConfigEntity::Type::topic, name}),
        znodes::write_config(config));
    put(path::topic(name), znodes::write(assignment));
    for (const auto& [index, replicas] : assignment.partitions) {
        const auto local = mine.find(index);
        const bool is_ours = std::ranges::find(replicas, in_.identity.broker) != replicas.end();
        const auto* const source = known != nullptr ? &known->partitions.at(index) : nullptr;
        put(path::partition_state(name, index),
            znodes::write(
                state(source, is_ours && local != mine.end() ? &local->second : nullptr)));
    }
    const std::string held = path::held_topic(name);
    if (known == nullptr && !in_.accept) {
        put(held, std::nullopt);
        ++plan_.held;
    } else if (tree_.exists(held)) {
        add(coordinator::Delete{held}, held.size());  // Of an import that did not finish.
    }
    ++plan_.topics;
    plan_.partitions += mine.size();
    for (const auto& [index, local] : mine) {
        plan_.bytes += local.partition->bytes;
        if (local.partition->fault) note(local.partition->fault->detail);
    }
    end_topic();
    return {};
}

// A topic that the tree has: directories that it does not know of become its partitions.
Result<void, std::string> Planner::add_missing(const std::string& name,
                                               const std::map<PartitionIndex, Local>& locals) {
    const auto node = tree_.get(path::topic(name));
    auto assignment = node && node->data ? znodes::parse_topic(*node->data) : std::nullopt;
    if (!assignment)
        return Unexpected(path::topic(name) + " of the metadata does not hold a topic");
    std::map<PartitionIndex, Local> fresh;
    for (const auto& [index, local] : locals) {
        const auto& id = local.partition->topic_id;
        if (id && assignment->topic_id && *id != *assignment->topic_id) {
            note(local.path() +
                 " is of another topic of that name than the one in the metadata; delete the "
                 "topic, and import again to have this one");
        } else if (!assignment->partitions.contains(index)) {
            fresh.emplace(index, local);
        }
    }
    if (fresh.empty()) return {};
    for (PartitionIndex index{0}; index <= fresh.rbegin()->first; index = index + 1) {
        const auto local = fresh.find(index);
        if (local == fresh.end() && assignment->partitions.contains(index)) continue;
        assignment->partitions[index] = {};
        if (local != fresh.end()) assignment->partitions[index] = {in_.identity.broker};
        put(path::partition_state(name, index),
            znodes::write(state(nullptr, local == fresh.end() ? nullptr : &local->second)));
        if (local == fresh.end()) continue;
        ++plan_.partitions;
        plan_.bytes += local->second.partition->bytes;
    }
    put(path::topic(name), znodes::write(*assignment));
    end_topic();
    return {};
}

void Planner::look_at_held(const std::string& name) {
    const std::string where = path::held_topic(name);
    if (!tree_.exists(where)) return;
    const SourceTopic* const known = in_source(name);
    if (known == nullptr && !in_.accept) {
        ++plan_.held;
        return;
    }
    if (known != nullptr) {
        put(znodes::config_path({znodes::ConfigEntity::Type::topic, name}),
            znodes::write_config(known->config));
        ++plan_.configured;
    } else {
        ++plan_.accepted;
    }
    add(coordinator::Delete{where}, where.size());
    end_topic();
}

// What is the cluster's as a whole. The cluster's id comes last.
Result<void, std::string> Planner::add_cluster() {
    if (in_.source != nullptr) {
        for (const auto& [name, config] : in_.source->brokers) {
            const auto where = znodes::config_path({znodes::ConfigEntity::Type::broker, name});
            if (!tree_.exists(where)) create(where, znodes::write_config(config));
        }
        for (const auto& [where, data] : in_.source->nodes) {
            if (!tree_.exists(where)) create(where, data);
        }
        if (in_.source->controller_epoch > 0 && !tree_.exists(path::controller_epoch)) {
            create(std::string(path::controller_epoch),
                   znodes::write_controller_epoch(in_.source->controller_epoch));
        }
    }

    ProducerId highest = in_.max_producer;
    for (const auto& each : in_.directories) highest = std::max(highest, each.survey.max_producer);
    if (in_.source != nullptr)
        highest = std::max(highest, ProducerId(in_.source->next_producer.value() - 1));
    const auto node = tree_.get(path::producer_id_block);
    const auto block =
        node && node->data ? znodes::parse_producer_id_block(*node->data) : std::nullopt;
    if (!block || highest > block->last) {
        if (highest.value() > std::numeric_limits<std::int64_t>::max() - 2 * producer_gap) {
            return Unexpected(
                "producer id " + std::to_string(highest.value()) +
                " is in log.dirs and leaves none above it; it is that of a damaged file");
        }
        const ProducerId first{(highest.value() + producer_gap) / producer_block * producer_block};
        put(std::string(path::producer_id_block),
            znodes::write(
                znodes::ProducerIdBlock{in_.identity.broker, first, first + (producer_block - 1)}));
    }
    if (!tree_.exists(path::cluster_id)) {
        create(std::string(path::cluster_id),
               znodes::write_cluster_id(in_.identity.cluster.empty()
                                            ? storage::uuid_text(in_.draw_uuid())
                                            : in_.identity.cluster));
    }
    return {};
}

Result<ImportPlan, std::string> Planner::run() {
    if (auto fine = check_source(); !fine) return Unexpected(fine.error());
    if (auto found = find_directories(); !found) return Unexpected(found.error());
    for (const auto& each : znodes::persistent_paths()) {
        if (!tree_.exists(each)) create(each, std::nullopt);
    }
    const bool is_whole = tree_.exists(path::cluster_id).has_value();
    std::set<std::string> names;
    for (const auto& [name, locals] : local_) names.insert(name);
    if (in_.source != nullptr && !is_whole) {
        for (const auto& [name, topic] : in_.source->topics) names.insert(name);
    }
    const std::map<PartitionIndex, Local> none;
    for (const auto& name : names) {
        const auto found = local_.find(name);
        const auto& locals = found == local_.end() ? none : found->second;
        const bool known = is_whole && tree_.exists(path::topic(name));
        if (auto done = known ? add_missing(name, locals) : add_topic(name, locals); !done)
            return Unexpected(done.error());
    }
    if (is_whole) {
        const auto held = tree_.children(path::held_topics);
        if (held) {
            for (const auto& name : held->names) look_at_held(name);
        }
    }
    if (auto done = add_cluster(); !done) return Unexpected(done.error());
    if (!ops_.empty()) plan_.transactions.push_back(std::move(ops_));
    return std::move(plan_);
}

}  // namespace

Result<ImportIdentity, std::string> identify(const std::vector<SurveyedDirectory>& directories,
                                             BrokerId wanted) {
    const SurveyedDirectory* first = nullptr;
    for (const SurveyedDirectory& each : directories) {
        const std::string file = each.path + "/" + storage::identity_file;
        const auto& identity = each.survey.identity;
        if (!identity) {
            if (each.survey.partitions.empty()) continue;
            return Unexpected(
                file +
                " is missing, but there are partitions; put it back, or write the lines version=0, "
                "broker.id=N and cluster.id=ID of the broker that wrote them");
        }
        if (!identity->broker)
            return Unexpected(
                file + " names no broker.id; add the one of the broker that wrote the directory");
        if (first == nullptr) {
            first = &each;
            continue;
        }
        const auto& other = *first->survey.identity;
        const std::string other_file = first->path + "/" + storage::identity_file;
        if (identity->cluster != other.cluster) {
            return Unexpected(file + " is of cluster " + identity->cluster + ", " + other_file +
                              " of " + other.cluster + "; take one of them out of log.dirs");
        }
        if (*identity->broker != *other.broker) {
            return Unexpected(file + " is of broker " + std::to_string(identity->broker->value()) +
                              ", " + other_file + " of broker " +
                              std::to_string(other.broker->value()) +
                              "; take one of them out of log.dirs");
        }
    }
    if (first == nullptr)
        return Unexpected<std::string>(
            "log.dirs hold nothing to import; a server starts on them as they are");
    const auto& identity = *first->survey.identity;
    if (wanted.value() >= 0 && wanted != *identity.broker) {
        return Unexpected(first->path + "/" + storage::identity_file + " is of broker " +
                          std::to_string(identity.broker->value()) + ", but broker.id is " +
                          std::to_string(wanted.value()) +
                          "; set broker.id to that or use other log.dirs");
    }
    return ImportIdentity{*identity.broker, identity.cluster};
}

Result<ImportPlan, std::string> plan_import(const ImportInput& input,
                                            const coordinator::Tree& tree) {
    return Planner(input, tree).run();
}

}  // namespace broker

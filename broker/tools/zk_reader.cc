#include "broker/tools/zk_reader.h"

#include "broker/tools/tool.h"

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>
#include <random>
#include <unistd.h>

namespace broker {

using namespace coordinator;
using base::TopicPartition;
using Json = nlohmann::ordered_json;

namespace {

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

std::string own_group() {
    std::random_device random;
    return "console-consumer-" + std::to_string(random() % 100'000);
}

// "G_host-ms-8 hex digits".
std::string member_id(const std::string& group) {
    char host[256] = "localhost";
    static_cast<void>(::gethostname(host, sizeof host - 1));
    std::random_device random;
    char digits[9];
    std::snprintf(digits, sizeof digits, "%08x", random());
    return group + "_" + host + "-" + std::to_string(now_ms()) + "-" + digits;
}

// What a member reads, as its znode says. Of old and foreign ones nothing is expected.
struct Subscription {
    std::set<std::string> topics;           // "static"
    std::optional<std::string> expression;  // "white_list"

    explicit Subscription(const std::string& text) {
        const auto json = nlohmann::json::parse(text, nullptr, false);
        if (!json.is_object()) {
            topics.insert(text);  // pykafka writes the bare name.
            return;
        }
        const auto at = json.find("subscription");
        if (at == json.end() || !at->is_object()) return;
        const auto pattern = json.find("pattern");
        const bool is_list = pattern != json.end() && *pattern == "white_list";
        for (const auto& [name, threads] : at->items()) {
            if (is_list) {
                expression = name;
            } else {
                topics.insert(name);
            }
        }
    }

    bool covers(const std::string& topic) const {
        return topics.contains(topic) || (expression && TopicFilter(*expression).matches(topic));
    }
};

}  // namespace

std::pair<std::size_t, std::size_t> share_of(std::size_t count, std::size_t members,
                                             std::size_t at) {
    const auto each = count / members;
    const auto extra = count % members;
    return {each * at + std::min(at, extra), each + (at < extra ? 1 : 0)};
}

ZkReader::ZkReader(Settings settings)
    : settings_(std::move(settings)),
      is_own_group_(settings_.group.empty()),
      root_(std::string(znodes::path::consumers) + "/" +
            (is_own_group_ ? settings_.group = own_group() : settings_.group)),
      id_(member_id(settings_.group)),
      kafka_(settings_.zookeeper, [this](const WatchEvent&) { changed_ = true; }),
      cluster_(client_settings(kafka_.bootstrap(), {}, "console-consumer")),
      fetcher_(cluster_, settings_.reader.fetch),
      next_commit_(after(settings_.reader.auto_commit_interval)) {
    if (settings_.forgets_offsets) kafka_.remove_below(root_ + "/offsets");
    if (settings_.reader.start == earliest_timestamp && kafka_.exists(root_ + "/offsets")) {
        throw ToolError("Found previous offset information for this group " + settings_.group +
                        ". Please use --delete-consumer-offsets to delete previous offsets "
                        "metadata");
    }
    register_self();
}

void ZkReader::register_self() {
    const auto& reader = settings_.reader;
    Json subscription = Json::object();
    if (reader.include) subscription[*reader.include] = 1;
    for (const auto& topic : reader.topics) subscription[topic] = 1;
    const Json self = {{"version", 1},
                       {"subscription", subscription},
                       {"pattern", reader.include ? "white_list" : "static"},
                       {"timestamp", std::to_string(now_ms())}};
    kafka_.create(root_ + "/ids/" + id_, self.dump(), NodeKind::ephemeral);
    kafka_.create(root_ + "/owners", std::nullopt);
    changed_ = true;
}

std::string ZkReader::owner_path(const TopicPartition& partition) const {
    return root_ + "/owners/" + partition.topic + "/" + std::to_string(partition.partition.value());
}

std::string ZkReader::offset_path(const TopicPartition& partition) const {
    return root_ + "/offsets/" + partition.topic + "/" +
           std::to_string(partition.partition.value());
}

// Those that this member reads; it is told when there are others, or more partitions.
std::vector<std::string> ZkReader::topics_watched() {
    const auto& reader = settings_.reader;
    auto topics = reader.topics;
    if (reader.include) {
        const auto all =
            kafka_.client().ask(request::children(std::string(znodes::path::topics), Watch::yes));
        const TopicFilter filter(*reader.include);
        for (const auto& name : all ? all->names : std::vector<std::string>()) {
            if (filter.matches(name)) topics.push_back(name);
        }
    }
    for (const auto& topic : topics) {
        static_cast<void>(
            kafka_.client().ask(request::exists(znodes::path::topic(topic), Watch::yes)));
    }
    return topics;
}

std::set<TopicPartition> ZkReader::share() {
    const auto topics = topics_watched();
    const auto members = kafka_.client().ask(request::children(root_ + "/ids", Watch::yes));
    if (!members) throw ToolError("the group " + settings_.group + " is gone from ZooKeeper");
    std::vector<std::pair<std::string, Subscription>> all;
    for (const auto& name : members->names) {
        if (const auto text = kafka_.get(root_ + "/ids/" + name)) all.emplace_back(name, *text);
    }
    std::set<TopicPartition> mine;
    for (const auto& topic : topics) {
        const auto assignment = kafka_.topic(topic);
        if (!assignment) continue;  // Not there yet.
        std::vector<std::string> readers;
        for (const auto& [name, subscription] : all) {
            if (subscription.covers(topic)) readers.push_back(name);
        }
        const auto self = std::ranges::find(readers, id_);
        if (self == readers.end()) continue;
        const auto [from, count] = share_of(assignment->partitions.size(), readers.size(),
                                            static_cast<std::size_t>(self - readers.begin()));
        auto at = std::next(assignment->partitions.begin(), static_cast<std::ptrdiff_t>(from));
        for (std::size_t i = 0; i < count; ++i, ++at) mine.insert({topic, at->first});
    }
    return mine;
}

void ZkReader::release() {
    commit();
    fetcher_.unassign_all();
    for (const auto& partition : owned_) kafka_.remove(owner_path(partition));
    owned_.clear();
}

bool ZkReader::claim(const std::set<TopicPartition>& partitions) {
    for (const auto& partition : partitions) {
        const auto path = owner_path(partition);
        if (!kafka_.create(path, id_ + "-0", NodeKind::ephemeral)) {
            // Its owner has not heard of us yet; we are told when it lets go.
            static_cast<void>(kafka_.client().ask(request::exists(path, Watch::yes)));
            if (kafka_.exists(path)) return false;
            changed_ = true;
            return false;
        }
        owned_.insert(partition);
    }
    return true;
}

void ZkReader::read_from(const std::set<TopicPartition>& partitions) {
    std::map<TopicPartition, std::int64_t> unknown;
    std::vector<std::string> topics;
    for (const auto& partition : partitions) {
        const auto text = kafka_.get(offset_path(partition));
        const std::int64_t offset = text ? to_integer(*text).value_or(-1) : -1;
        topics.push_back(partition.topic);
        if (offset >= 0) {
            fetcher_.assign(partition, base::Offset(offset));
        } else {
            unknown[partition] = settings_.reader.start;
        }
    }
    if (unknown.empty()) return;
    need(cluster_.retry([&] { return cluster_.refresh(topics); }));
    for (const auto& [partition, found] : need(list_offsets(cluster_, unknown, false))) {
        if (found.error == protocol::ErrorCode::none) fetcher_.assign(partition, found.offset);
    }
}

void ZkReader::balance() {
    if (kafka_.client().state() == MetadataClient::State::expired) {
        // What it owned is gone already.
        owned_.clear();
        fetcher_.unassign_all();
        kafka_.client().reopen();
        kafka_.wait_connected();
        register_self();
    }
    changed_ = false;
    const auto wanted = share();
    if (wanted == owned_) return;
    release();
    if (claim(wanted)) {
        read_from(owned_);
    } else {
        for (const auto& partition : owned_) kafka_.remove(owner_path(partition));
        owned_.clear();
    }
}

ClientResult<std::size_t> ZkReader::poll(Deadline deadline, const Fetcher::Take& take) {
    // Between two looks at what changed.
    const auto round = std::min(deadline, after(std::chrono::milliseconds(500)));
    if (changed_ || kafka_.client().state() == MetadataClient::State::expired) balance();
    if (owned_.empty()) {
        wait_for(std::chrono::milliseconds(
            milliseconds_left(std::min(round, after(std::chrono::milliseconds(100))))));
        return 0;
    }
    auto polled = fetcher_.poll(round, take);
    if (next_commit_ < std::chrono::steady_clock::now()) commit();
    return polled;
}

void ZkReader::commit() {
    next_commit_ = after(settings_.reader.auto_commit_interval);
    for (const auto& [partition, offset] : fetcher_.positions()) {
        const auto known = committed_.find(partition);
        if (known != committed_.end() && known->second == offset) continue;
        if (!owned_.contains(partition)) continue;
        kafka_.put(offset_path(partition), std::to_string(offset.value()));
        committed_[partition] = offset;
    }
}

void ZkReader::close() {
    release();
    kafka_.remove(root_ + "/ids/" + id_);
    if (is_own_group_) kafka_.remove_below(root_);
}

}  // namespace broker

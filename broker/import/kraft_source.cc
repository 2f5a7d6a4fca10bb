#include "broker/import/kraft_source.h"

#include "broker/import/record_file.h"
#include "protocol/schema/journal/client_quota_record.h"
#include "protocol/schema/journal/config_record.h"
#include "protocol/schema/journal/partition_change_record.h"
#include "protocol/schema/journal/partition_record.h"
#include "protocol/schema/journal/producer_ids_record.h"
#include "protocol/schema/journal/remove_topic_record.h"
#include "protocol/schema/journal/remove_user_scram_credential_record.h"
#include "protocol/schema/journal/topic_record.h"
#include "protocol/schema/journal/user_scram_credential_record.h"
#include "protocol/wire/reader.h"
#include "storage/names.h"

#include <algorithm>
#include <array>
#include <charconv>

namespace broker {

using base::Result;
using base::Unexpected;

namespace {

constexpr std::uint32_t frame_version = 1;
constexpr std::uint32_t begin_transaction = 23;
constexpr std::uint32_t end_transaction = 24;
constexpr std::uint32_t abort_transaction = 25;
constexpr base::BrokerId leader_unchanged{-2};

// ConfigResource.Type
constexpr std::int8_t topic_resource = 2;
constexpr std::int8_t broker_resource = 4;

znodes::ConfigEntity user(const wire::Text& name) {
    return {znodes::ConfigEntity::Type::user, name.str()};
}

// Nothing for a combination that Apache Kafka has no node for.
std::optional<znodes::ConfigEntity> quota_entity(const protocol::ClientQuotaRecord& record) {
    using Type = znodes::ConfigEntity::Type;
    std::map<std::string, std::string> names;
    for (const auto& each : record.entity) {
        names[each.entity_type.str()] =
            each.entity_name ? each.entity_name->str() : std::string(znodes::default_entity);
    }
    const bool has_user = names.contains("user");
    const bool has_client = names.contains("client-id");
    if (names.size() == 2 && has_user && has_client) {
        return znodes::ConfigEntity{Type::user_client, names["user"], names["client-id"]};
    }
    if (names.size() != 1) return std::nullopt;
    const auto& [type, name] = *names.begin();
    if (has_user) return znodes::ConfigEntity{Type::user, name};
    if (has_client) return znodes::ConfigEntity{Type::client, name};
    if (type == "ip") return znodes::ConfigEntity{Type::ip, name};
    return std::nullopt;
}

// As few digits as say the same number: 1048576, 12.5.
std::string quota_text(double value) {
    std::array<char, 64> text;
    const auto [end, fault] = std::to_chars(text.data(), text.data() + text.size(), value);
    std::string said(text.data(), fault == std::errc() ? end : text.data());
    if (said.find('e') == said.npos) return said;
    return std::to_string(static_cast<std::int64_t>(std::clamp(value, -9e15, 9e15)));
}

std::optional<std::string> scram_name(std::int8_t mechanism) {
    if (mechanism == 1) return "SCRAM-SHA-256";
    if (mechanism == 2) return "SCRAM-SHA-512";
    return std::nullopt;
}

// Of RFC 4648, with padding.
std::string base64(const wire::Payload& payload) {
    constexpr std::string_view alphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    std::uint32_t bits = 0;
    unsigned count = 0;
    for (const std::byte byte : payload.bytes()) {
        bits = bits << 8 | std::to_integer<std::uint32_t>(byte);
        for (count += 8; count >= 6; count -= 6) text += alphabet[bits >> (count - 6) & 63];
    }
    if (count > 0) text += alphabet[bits << (6 - count) & 63];
    text.resize((text.size() + 3) / 4 * 4, '=');
    return text;
}

// 20 digits of the end offset, '-', the epoch, ".checkpoint".
std::optional<base::Offset> snapshot_end(std::string_view name) {
    constexpr std::size_t digits = 20;
    if (name.size() <= digits || name[digits] != '-' || !name.ends_with(".checkpoint"))
        return std::nullopt;
    std::int64_t end = 0;
    const auto [last, fault] = std::from_chars(name.data(), name.data() + digits, end);
    if (fault != std::errc() || last != name.data() + digits) return std::nullopt;
    return base::Offset(end);
}

}  // namespace

template <class Record>
Result<Record, std::string> KraftImage::decode(std::uint32_t version, records::Bytes bytes) const {
    if (version > static_cast<std::uint32_t>(Record::version_max)) {
        return Unexpected("a record of type " + std::to_string(Record::record_type) +
                          " has version " + std::to_string(version) +
                          "; this program knows up to " + std::to_string(Record::version_max));
    }
    wire::Reader reader(bytes);
    auto record = Record::read(reader, static_cast<std::int16_t>(version));
    if (!reader.finish()) {
        return Unexpected("a record of type " + std::to_string(Record::record_type) +
                          " does not decode");
    }
    return record;
}

Result<void, std::string> KraftImage::apply(records::Bytes value) {
    wire::Reader reader(value);
    const auto frame = reader.unsigned_varint();
    const auto type = reader.unsigned_varint();
    const auto version = reader.unsigned_varint();
    if (reader.failed()) return Unexpected<std::string>("a record is cut short");
    if (frame != frame_version) {
        return Unexpected("a record has frame version " + std::to_string(frame) +
                          "; this program knows 1");
    }
    if (type == begin_transaction || type == abort_transaction) {
        in_transaction_ = type == begin_transaction;
        held_back_.clear();
        return {};
    }
    if (type == end_transaction) {
        in_transaction_ = false;
        for (const auto& each : std::exchange(held_back_, {})) {
            if (auto done = apply(each); !done) return done;
        }
        return {};
    }
    if (in_transaction_) {
        held_back_.emplace_back(value.begin(), value.end());
        return {};
    }
    return change(type, version, reader.rest());
}

Result<void, std::string> KraftImage::change(std::uint32_t type, std::uint32_t version,
                                             records::Bytes bytes) {
    switch (type) {
        case protocol::TopicRecord::record_type: {
            const auto record = decode<protocol::TopicRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            topics_[record->topic_id].name = record->name.str();
            return {};
        }
        case protocol::PartitionRecord::record_type: {
            const auto record = decode<protocol::PartitionRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            const auto topic = topics_.find(record->topic_id);
            if (topic == topics_.end())
                return Unexpected<std::string>("a partition is of a topic that was never created");
            SourcePartition& partition = topic->second.partitions[record->partition_id];
            partition.replicas = record->replicas;
            partition.isr = record->isr;
            partition.eligible =
                record->eligible_leader_replicas.value_or(std::vector<base::BrokerId>());
            partition.leader_epoch = record->leader_epoch;
            partition.directories = record->directories;
            return {};
        }
        case protocol::PartitionChangeRecord::record_type: {
            const auto record = decode<protocol::PartitionChangeRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            const auto topic = topics_.find(record->topic_id);
            const bool known =
                topic != topics_.end() && topic->second.partitions.contains(record->partition_id);
            if (!known)
                return Unexpected<std::string>("a partition is changed that was never created");
            SourcePartition& partition = topic->second.partitions[record->partition_id];
            if (record->isr) partition.isr = *record->isr;
            if (record->eligible_leader_replicas)
                partition.eligible = *record->eligible_leader_replicas;
            if (record->replicas) partition.replicas = *record->replicas;
            if (record->directories) partition.directories = *record->directories;
            if (record->leader != leader_unchanged)
                partition.leader_epoch = partition.leader_epoch + 1;
            return {};
        }
        case protocol::RemoveTopicRecord::record_type: {
            const auto record = decode<protocol::RemoveTopicRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            const auto topic = topics_.find(record->topic_id);
            if (topic == topics_.end()) return {};
            topic_configs_.erase(topic->second.name);
            topics_.erase(topic);
            return {};
        }
        case protocol::ConfigRecord::record_type: {
            const auto record = decode<protocol::ConfigRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            if (record->resource_type != topic_resource && record->resource_type != broker_resource)
                return {};
            auto& configs =
                record->resource_type == topic_resource ? topic_configs_ : broker_configs_;
            auto& config = configs[record->resource_name.str()];
            if (record->value) {
                config[record->name.str()] = record->value->str();
            } else {
                config.erase(record->name.str());
            }
            return {};
        }
        case protocol::ClientQuotaRecord::record_type: {
            const auto record = decode<protocol::ClientQuotaRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            const auto entity = quota_entity(*record);
            if (!entity) return Unexpected<std::string>("a quota is of something unknown");
            if (record->remove) {
                entities_[*entity].erase(record->key.str());
            } else {
                entities_[*entity][record->key.str()] = quota_text(record->value);
            }
            return {};
        }
        case protocol::UserScramCredentialRecord::record_type: {
            const auto record = decode<protocol::UserScramCredentialRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            const auto mechanism = scram_name(record->mechanism);
            if (!mechanism) return Unexpected<std::string>("a SCRAM mechanism is unknown");
            entities_[user(record->name)][*mechanism] =
                "salt=" + base64(record->salt) + ",stored_key=" + base64(record->stored_key) +
                ",server_key=" + base64(record->server_key) +
                ",iterations=" + std::to_string(record->iterations);
            return {};
        }
        case protocol::RemoveUserScramCredentialRecord::record_type: {
            const auto record = decode<protocol::RemoveUserScramCredentialRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            if (const auto mechanism = scram_name(record->mechanism))
                entities_[user(record->name)].erase(*mechanism);
            return {};
        }
        case protocol::ProducerIdsRecord::record_type: {
            const auto record = decode<protocol::ProducerIdsRecord>(version, bytes);
            if (!record) return Unexpected(record.error());
            next_producer_ = record->next_producer_id;
            return {};
        }
        default:
            return {};
    }
}

Source KraftImage::take(std::string where) && {
    Source source;
    source.where = std::move(where);
    for (auto& [id, topic] : topics_) {
        const auto config = topic_configs_.find(topic.name);
        source.topics[topic.name] = {
            id, std::move(topic.partitions),
            config == topic_configs_.end() ? znodes::Config() : config->second};
    }
    for (auto& [name, config] : broker_configs_) {
        if (config.empty()) continue;
        source.brokers[name.empty() ? std::string(znodes::default_entity) : name] =
            std::move(config);
    }
    for (const auto& [entity, config] : entities_) {
        if (!config.empty())
            source.nodes[znodes::config_path(entity)] = znodes::write_config(config);
    }
    source.next_producer = next_producer_;
    return source;
}

Result<Source, std::string> read_kraft_source(storage::Disk& disk,
                                              const std::filesystem::path& directory) {
    const auto entries = disk.list(directory);
    if (!entries) return Unexpected(entries.error().detail);
    std::string snapshot;
    base::Offset from{0};
    std::vector<base::Offset> segments;
    for (const storage::DirectoryEntry& entry : *entries) {
        if (const auto end = snapshot_end(entry.name); end && (snapshot.empty() || *end >= from)) {
            snapshot = entry.name;
            from = *end;
        }
        const auto name = storage::parse_file_name(entry.name);
        if (name && name->suffix == ".log") segments.push_back(name->offset);
    }
    if (segments.empty()) {
        return Unexpected(
            directory.string() +
            " holds no metadata log; take it from a backup, or move it away to import "
            "without configurations");
    }
    if (segments.front() > from) {
        return Unexpected(directory.string() +
                          " has no snapshot of what its log left behind below offset " +
                          std::to_string(segments.front().value()) + "; take it from a backup");
    }

    KraftImage image;
    std::filesystem::path file;
    const auto apply = [&](const records::Record& record) -> Result<void, std::string> {
        if (!record.value) return {};
        auto done = image.apply(*record.value);
        if (done) return done;
        return Unexpected(file.string() + ", offset " + std::to_string(record.offset.value()) +
                          ": " + done.error());
    };
    if (!snapshot.empty()) {
        file = directory / snapshot;
        if (auto read = for_each_record(disk, file, TornEnd::damaged, apply); !read)
            return Unexpected(read.error());
    }
    for (std::size_t i = 0; i < segments.size(); ++i) {
        const bool is_last = i + 1 == segments.size();
        if (!is_last && segments[i + 1] <= from) continue;
        file = directory / storage::file_name(segments[i], ".log");
        const auto apply_new = [&](const records::Record& record) -> Result<void, std::string> {
            return record.offset < from ? Result<void, std::string>() : apply(record);
        };
        auto read =
            for_each_record(disk, file, is_last ? TornEnd::fine : TornEnd::damaged, apply_new);
        if (!read) return Unexpected(read.error());
    }
    return std::move(image).take(directory.string());
}

}  // namespace broker

#include "broker/tools/journal_text.h"

#include "protocol/schema/journal/consumer_protocol_assignment.h"
#include "protocol/schema/journal/consumer_protocol_subscription.h"
#include "protocol/schema/journal/group_metadata_key.h"
#include "protocol/schema/journal/group_metadata_value.h"
#include "protocol/schema/journal/offset_commit_key.h"
#include "protocol/schema/journal/offset_commit_value.h"
#include "protocol/schema/journal/transaction_log_key.h"
#include "protocol/schema/journal/transaction_log_value.h"
#include "protocol/schema/journal_record.h"
#include "protocol/wire/big_endian.h"

#include <nlohmann/json.hpp>

namespace broker {
namespace {

using Json = nlohmann::ordered_json;

std::string dump(const Json& json) {
    return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string key_text(std::int16_t type, Json data) {
    return dump({{"type", std::to_string(type)}, {"data", std::move(data)}});
}

std::string value_text(std::int16_t version, Json data) {
    return dump({{"version", std::to_string(version)}, {"data", std::move(data)}});
}

Json text_or_null(const std::optional<wire::Text>& text) {
    return text ? Json(text->str()) : Json(nullptr);
}

Json base64(const wire::Payload& payload) {
    if (payload.is_null()) return nullptr;
    constexpr std::string_view letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    std::string text;
    std::uint32_t bits = 0;
    int held = 0;
    for (const auto byte : payload.bytes()) {
        bits = bits << 8 | std::to_integer<std::uint32_t>(byte);
        for (held += 8; held >= 6; held -= 6) text += letters[bits >> (held - 6) & 0x3f];
    }
    if (held > 0) text += letters[bits << (6 - held) & 0x3f];
    while (text.size() % 4 != 0) text += '=';
    return text;
}

// The message behind its version in an embedded payload.
template <class Message>
std::optional<Message> embedded(const wire::Payload& payload) {
    if (payload.size() < 2) return std::nullopt;
    wire::Reader reader(std::span<const std::byte>(payload.bytes()));
    const auto version = std::min(reader.int16(), Message::version_max);
    if (version < 0) return std::nullopt;
    auto message = Message::read(reader, version);
    return reader.failed() ? std::nullopt : std::optional(std::move(message));
}

template <class Topics>
Json topics_json(const Topics& topics) {
    Json list = Json::array();
    for (const auto& topic : topics) {
        Json partitions = Json::array();
        for (const auto partition : topic.partitions) partitions.push_back(partition.value());
        list.push_back({{"topic", topic.topic.str()}, {"partitions", partitions}});
    }
    return list;
}

Json subscription_json(const wire::Payload& payload) {
    const auto subscription = embedded<protocol::ConsumerProtocolSubscription>(payload);
    if (!subscription) return base64(payload);
    Json topics = Json::array();
    for (const auto& topic : subscription->topics) topics.push_back(topic.str());
    // What the member's version does not have is not shown.
    wire::Reader start(std::span<const std::byte>(payload.bytes()));
    const auto version = start.int16();
    Json shown = {{"topics", topics}, {"userData", base64(subscription->user_data)}};
    if (version >= 1) shown["ownedPartitions"] = topics_json(subscription->owned_partitions);
    if (version >= 2) shown["generationId"] = subscription->generation_id;
    if (version >= 3) shown["rackId"] = text_or_null(subscription->rack_id);
    return shown;
}

Json assignment_json(const wire::Payload& payload) {
    const auto assignment = embedded<protocol::ConsumerProtocolAssignment>(payload);
    if (!assignment) return base64(payload);
    return {{"assignedPartitions", topics_json(assignment->assigned_partitions)},
            {"userData", base64(assignment->user_data)}};
}

std::string group_text(const protocol::GroupMetadataValue& group, std::int16_t version) {
    const bool is_consumer = group.protocol_type == "consumer";
    Json members = Json::array();
    for (const auto& member : group.members) {
        Json each{{"memberId", member.member_id.str()}};
        if (version >= 3) each["groupInstanceId"] = text_or_null(member.group_instance_id);
        each["clientId"] = member.client_id.str();
        each["clientHost"] = member.client_host.str();
        if (version >= 1) each["rebalanceTimeout"] = member.rebalance_timeout;
        each["sessionTimeout"] = member.session_timeout;
        each["subscription"] =
            is_consumer ? subscription_json(member.subscription) : base64(member.subscription);
        each["assignment"] =
            is_consumer ? assignment_json(member.assignment) : base64(member.assignment);
        members.push_back(std::move(each));
    }
    Json data{{"protocolType", group.protocol_type.str()},
              {"generation", group.generation},
              {"protocol", text_or_null(group.protocol)},
              {"leader", text_or_null(group.leader)}};
    if (version >= 2) data["currentStateTimestamp"] = group.current_state_timestamp;
    data["members"] = std::move(members);
    return value_text(version, std::move(data));
}

std::string offset_text(const protocol::OffsetCommitValue& value, std::int16_t version) {
    Json data{{"offset", value.offset.value()}};
    if (version >= 3) data["leaderEpoch"] = value.leader_epoch.value();
    data["metadata"] = value.metadata.str();
    data["commitTimestamp"] = value.commit_timestamp;
    if (version == 1) data["expireTimestamp"] = value.expire_timestamp;
    return value_text(version, std::move(data));
}

constexpr auto deleted = "<DELETE>";

std::string unknown_value(records::Bytes value) {
    return "Unknown record value of " + std::to_string(value.size()) + " bytes";
}

std::int16_t version_of(records::Bytes value) {
    return value.size() < 2 ? std::int16_t{-1} : wire::load<std::int16_t>(value, 0);
}

// The text of a value, which `print` makes from what it decodes to.
template <class Value, class Print>
std::string payload_text(const std::optional<records::Bytes>& value, Print print) {
    if (!value) return deleted;
    const auto decoded = protocol::decode_value<Value>(*value);
    return decoded ? print(*decoded, version_of(*value)) : unknown_value(*value);
}

}  // namespace

JournalText offsets_text(const records::Record& record) {
    if (!record.key) return {"<NONE>", "<NONE>"};
    const auto type = protocol::record_type(*record.key);
    if (type == 0 || type == 1) {
        wire::Reader reader(*record.key);
        reader.int16();
        const auto key = protocol::OffsetCommitKey::read(reader, 0);
        if (reader.finish()) {
            return {key_text(type, {{"group", key.group.str()},
                                    {"topic", key.topic.str()},
                                    {"partition", key.partition.value()}}),
                    payload_text<protocol::OffsetCommitValue>(record.value, offset_text)};
        }
    }
    if (const auto key = protocol::decode_key<protocol::GroupMetadataKey>(*record.key);
        key && type == 2) {
        return {key_text(type, {{"group", key->group.str()}}),
                payload_text<protocol::GroupMetadataValue>(record.value, group_text)};
    }
    return {"Unknown record type " + std::to_string(type) + " at offset " +
                std::to_string(record.offset.value()) + ", skipping...",
            record.value ? unknown_value(*record.value) : deleted};
}

JournalText transaction_text(const records::Record& record) {
    if (!record.key) return {"<NONE>", "<NONE>"};
    const auto key = protocol::decode_key<protocol::TransactionLogKey>(*record.key);
    if (!key) return {"Unknown record key", record.value ? unknown_value(*record.value) : deleted};
    const auto print = [](const protocol::TransactionLogValue& value, std::int16_t version) {
        Json data{{"producerId", value.producer_id.value()},
                  {"producerEpoch", value.producer_epoch},
                  {"transactionTimeoutMs", value.transaction_timeout_ms},
                  {"transactionStatus", value.transaction_status}};
        Json partitions = nullptr;
        if (value.transaction_partitions) {
            partitions = Json::array();
            for (const auto& topic : *value.transaction_partitions) {
                Json ids = Json::array();
                for (const auto id : topic.partition_ids) ids.push_back(id.value());
                partitions.push_back({{"topic", topic.topic.str()}, {"partitionIds", ids}});
            }
        }
        data["transactionPartitions"] = std::move(partitions);
        data["transactionLastUpdateTimestampMs"] = value.transaction_last_update_timestamp_ms;
        data["transactionStartTimestampMs"] = value.transaction_start_timestamp_ms;
        return value_text(version, std::move(data));
    };
    return {key_text(0, {{"transactionalId", key->transactional_id.str()}}),
            payload_text<protocol::TransactionLogValue>(record.value, print)};
}

}  // namespace broker

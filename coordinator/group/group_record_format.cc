#include "coordinator/group/group_record_format.h"

#include "protocol/schema/journal/group_metadata_key.h"
#include "protocol/schema/journal/group_metadata_value.h"
#include "protocol/schema/journal/offset_commit_key.h"
#include "protocol/schema/journal/offset_commit_value.h"
#include "protocol/schema/journal_record.h"

#include <utility>

namespace coordinator {

namespace {

constexpr std::int16_t offset_value_version = 3;
constexpr std::int16_t offset_value_version_with_expiry = 1;
constexpr std::int16_t group_value_version = 3;

using protocol::GroupMetadataValue;
using protocol::OffsetCommitValue;
using wire::Payload;
using wire::Text;

Payload payload(const Blob& blob) { return Payload::copied(blob.bytes()); }

std::optional<Text> text(const std::optional<std::string>& from) {
    if (!from) return std::nullopt;
    return Text::borrowed(*from);
}

std::optional<std::string> string(const std::optional<Text>& from) {
    if (!from) return std::nullopt;
    return from->str();
}

EncodedRecord encode_offset(const OffsetRecord& record) {
    protocol::OffsetCommitKey key;
    key.group = Text::borrowed(record.group_id);
    key.topic = Text::borrowed(record.partition.topic);
    key.partition = record.partition.partition;
    EncodedRecord encoded{protocol::encode_key(key), std::nullopt};
    if (!record.committed) return encoded;

    const auto& committed = *record.committed;
    OffsetCommitValue value;
    value.offset = committed.offset;
    value.leader_epoch = committed.leader_epoch;
    value.metadata = Text::borrowed(committed.metadata);
    value.commit_timestamp = committed.commit_ms;
    value.expire_timestamp = committed.expire_ms.value_or(-1);
    encoded.value = protocol::encode_value(
        value, committed.expire_ms ? offset_value_version_with_expiry : offset_value_version);
    return encoded;
}

EncodedRecord encode_group(const GroupRecord& record) {
    protocol::GroupMetadataKey key;
    key.group = Text::borrowed(record.group_id);
    EncodedRecord encoded{protocol::encode_key(key), std::nullopt};
    if (!record.snapshot) return encoded;

    const auto& snapshot = *record.snapshot;
    GroupMetadataValue value;
    value.protocol_type = Text::borrowed(snapshot.protocol_type);
    value.generation = snapshot.generation;
    value.protocol = text(snapshot.protocol);
    value.leader = text(snapshot.leader);
    value.current_state_timestamp = snapshot.state_ms.value_or(-1);
    for (const auto& member : snapshot.members) {
        auto& each = value.members.emplace_back();
        each.member_id = Text::borrowed(member.member_id);
        each.group_instance_id = text(member.instance_id);
        each.client_id = Text::borrowed(member.client_id);
        each.client_host = Text::borrowed(member.client_host);
        each.rebalance_timeout = member.rebalance_timeout_ms;
        each.session_timeout = member.session_timeout_ms;
        each.subscription = payload(member.subscription);
        each.assignment = payload(member.assignment);
    }
    encoded.value = protocol::encode_value(value, group_value_version);
    return encoded;
}

base::Result<Record, RecordFault> decode_offset(std::span<const std::byte> key,
                                                std::optional<std::span<const std::byte>> value) {
    const auto decoded_key = protocol::decode_key<protocol::OffsetCommitKey>(key);
    if (!decoded_key) return base::Unexpected(RecordFault::damaged);
    OffsetRecord record;
    record.group_id = decoded_key->group.str();
    record.partition = {decoded_key->topic.str(), decoded_key->partition};
    if (!value) return record;

    const auto decoded = protocol::decode_value<OffsetCommitValue>(*value);
    if (!decoded) return base::Unexpected(RecordFault::damaged);
    auto& committed = record.committed.emplace();
    committed.offset = decoded->offset;
    committed.leader_epoch = decoded->leader_epoch;
    committed.metadata = decoded->metadata.str();
    committed.commit_ms = decoded->commit_timestamp;
    if (decoded->expire_timestamp != -1) committed.expire_ms = decoded->expire_timestamp;
    return record;
}

base::Result<Record, RecordFault> decode_group(std::span<const std::byte> key,
                                               std::optional<std::span<const std::byte>> value) {
    const auto decoded_key = protocol::decode_key<protocol::GroupMetadataKey>(key);
    if (!decoded_key) return base::Unexpected(RecordFault::damaged);
    GroupRecord record;
    record.group_id = decoded_key->group.str();
    if (!value) return record;

    const auto decoded = protocol::decode_value<GroupMetadataValue>(*value);
    if (!decoded) return base::Unexpected(RecordFault::damaged);
    auto& snapshot = record.snapshot.emplace();
    snapshot.protocol_type = decoded->protocol_type.str();
    snapshot.generation = decoded->generation;
    snapshot.protocol = string(decoded->protocol);
    snapshot.leader = string(decoded->leader);
    if (decoded->current_state_timestamp != -1) snapshot.state_ms = decoded->current_state_timestamp;
    for (const auto& each : decoded->members) {
        auto& member = snapshot.members.emplace_back();
        member.member_id = each.member_id.str();
        member.instance_id = string(each.group_instance_id);
        member.client_id = each.client_id.str();
        member.client_host = each.client_host.str();
        // Version 0 had one time-out for both.
        member.session_timeout_ms = each.session_timeout;
        member.rebalance_timeout_ms =
            each.rebalance_timeout == -1 ? each.session_timeout : each.rebalance_timeout;
        member.subscription = Blob::copied(each.subscription.bytes());
        member.assignment = Blob::copied(each.assignment.bytes());
    }
    return record;
}

}  // namespace

EncodedRecord encode(const Record& record) {
    if (const auto* offset = std::get_if<OffsetRecord>(&record)) return encode_offset(*offset);
    return encode_group(std::get<GroupRecord>(record));
}

base::Result<Record, RecordFault> decode(std::span<const std::byte> key,
                                         std::optional<std::span<const std::byte>> value) {
    switch (protocol::record_type(key)) {
        case 0:  // Of the oldest brokers, with the same fields.
        case protocol::OffsetCommitKey::record_type: return decode_offset(key, value);
        case protocol::GroupMetadataKey::record_type: return decode_group(key, value);
        case -1: return base::Unexpected(RecordFault::damaged);
        default: return base::Unexpected(RecordFault::other_type);
    }
}

}  // namespace coordinator

#include "broker/api/down_convert.h"

#include "protocol/records/convert.h"

#include <utility>

namespace broker {

using base::Unexpected;
using protocol::ErrorCode;

base::Result<wire::Payload, ErrorCode> down_convert(const storage::ReadResult& data,
                                                    const TopicConfig& topic,
                                                    base::Offset fetch_offset,
                                                    std::int16_t version) {
    if (!topic.message_downconversion_enable) return Unexpected(ErrorCode::unsupported_version);
    if (topic.compression() == CompressionType::zstd)
        return Unexpected(ErrorCode::unsupported_compression_type);
    std::vector<std::byte> stored(data.slice->size());
    if (!data.slice->read(0, stored) || !data.slice->still_holds())
        return Unexpected(ErrorCode::not_leader_or_follower);
    thread_local records::ConvertScratch scratch;
    std::vector<std::byte> converted;
    const std::int8_t magic = version <= 1 ? 0 : 1;
    const auto done = records::to_messages(stored, magic, fetch_offset, {}, scratch, converted);
    if (!done) {
        return Unexpected(done.error() == records::ConvertFault::not_possible
                              ? ErrorCode::unsupported_compression_type
                              : ErrorCode::corrupt_message);
    }
    if (converted.empty()) records::partial_entry(stored.size(), converted);
    return wire::Payload(std::move(converted));
}

}  // namespace broker

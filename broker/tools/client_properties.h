// ProducerSettings and the like from a client's properties, as Kafka names them.
#pragma once

#include "broker/client/fetcher.h"
#include "broker/client/producer.h"
#include "broker/tools/tool.h"

namespace broker {

// acks, batch.size, linger.ms, compression.type, buffer.memory, max.block.ms, retries,
// delivery.timeout.ms, request.timeout.ms, enable.idempotence, and the levels of codecs.
// What it does not know is left alone. Faults: ToolError.
void configure(const ClientProperties& properties, ProducerSettings& settings);

// fetch.min.bytes, fetch.max.bytes, fetch.max.wait.ms, max.partition.fetch.bytes,
// isolation.level, client.rack, auto.offset.reset. Faults: ToolError.
void configure(const ClientProperties& properties, FetchSettings& settings);

records::Codec parse_codec(const std::string& name);

}  // namespace broker

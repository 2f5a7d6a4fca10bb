// Answers: what each request of ZooKeeper's protocol asks the service, and what it answers.
//
//     payload --> prepare() --> Answer --> in its turn: Answer(turn, reply) --> Verdict
//
// prepare() decodes and is called where the bytes are; the Answer is called on the service
// thread and borrows nothing.
//
// Limits: what a request holds was held against its frame. A client has at most
// watches_per_client_max watches and multi_read_bytes_max in one reply; who asks for more is cut
// off.
//
// Source: Apache ZooKeeper's FinalRequestProcessor and PrepRequestProcessor (3.8.4).
#pragma once

#include "coordinator/metadata/server/statistics.h"
#include "coordinator/metadata/turn.h"
#include "protocol/wire/reader.h"
#include "protocol/wire/writer.h"
#include "protocol/zookeeper/messages.h"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace coordinator {

constexpr std::size_t watches_per_client_max = 250'000;
constexpr std::size_t multi_read_bytes_max = std::size_t{64} << 20;

// What goes to the client: whole frames before the reply, and the reply's body, which is left
// out when there is an error.
struct ReplyBytes {
    std::vector<std::byte> before;
    std::vector<std::byte> body;
};

struct Verdict {
    std::int32_t err = 0;
    bool ends = false;                      // Close the connection behind the reply.
    std::string drops_for = {};             // Close it at once, without one; why.
    std::optional<std::int64_t> zxid = {};  // Of the reply's header; nothing: the tree's.
};

using Answer = std::function<Verdict(Turn&, ReplyBytes&)>;

// The rest of a request behind its header.
Answer prepare(zookeeper::OpCode type, wire::Reader& reader, const std::string& host);

// Which figures it goes into.
Counted counted(zookeeper::OpCode type);

// Its name in four letters, as `cons` tells; "" when it has none.
const char* short_name(zookeeper::OpCode type);

// A frame that tells of an event.
void write_event(std::vector<std::byte>& out, EventType type, const std::string& path);

}  // namespace coordinator

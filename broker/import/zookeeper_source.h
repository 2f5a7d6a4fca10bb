// ZooKeeper source: topics, configurations and producer ids from Apache Kafka's own ZooKeeper.
//
// Reads only, in one session that is closed at the end. Several hundred requests are on their
// way at a time, so that a cluster of many partitions takes few round trips.
//
// Threads: blocks. Limits: an answer has at most answer_bytes_max; everything has to be there
// within the deadline.
//
// On the wire: ZooKeeper's client protocol (ConnectRequest, getChildren, getData, closeSession).
#pragma once

#include "broker/client/address.h"
#include "broker/client/socket.h"
#include "broker/import/source.h"
#include "protocol/base/result.h"

#include <string>
#include <string_view>

namespace broker {

struct ZookeeperAddress {
    std::vector<Address> servers;  // Tried in this order.
    std::string chroot;            // "" or "/kafka".
};

// "host:port[,host:port]...[/chroot]", as in zookeeper.connect. A port may be left out.
[[nodiscard]] base::Result<ZookeeperAddress, std::string> parse_zookeeper(std::string_view text);

// Errors: one line that names the server and what to do.
[[nodiscard]] base::Result<Source, std::string> read_zookeeper_source(const ZookeeperAddress& at,
                                                                      Deadline deadline);

}  // namespace broker

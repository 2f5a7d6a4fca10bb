// Services: the parts of the broker that handlers work with, in one place.
//
// The composition root (broker/server) owns them; they outlive every request.
#pragma once

#include "broker/cluster/cluster.h"
#include "broker/security/authorizer.h"
#include "broker/security/quotas.h"

#include <boost/asio/thread_pool.hpp>

namespace broker {

class FetchSessions;
class GroupCoordinator;
class ProducerIds;

struct Services {
    Cluster& cluster;
    Authorizer& authorizer;
    Quotas& quotas;
    FetchSessions& fetch_sessions;
    GroupCoordinator& groups;
    ProducerIds& producer_ids;
    boost::asio::thread_pool& disk;  // For what can take long on a disk.
    boost::asio::thread_pool& cpu;   // For what can take long without one.
};

}  // namespace broker

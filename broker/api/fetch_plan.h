// FetchPlan: what a Fetch is to read: the partitions of its session, or those that it names.
//
// Threads: the request's. A session in it is held until the plan goes.
//
// Rules: facts/kafka.md §3.8.
#pragma once

#include "broker/api/context.h"
#include "broker/api/fetch_sessions.h"

#include <cstdint>
#include <vector>

namespace broker {

// From this version on a Fetch names topics by their ids.
constexpr std::int16_t fetch_version_by_id = 13;

// What to read: the partitions of a session, or those of the request.
struct FetchPlan {
    FetchSessions::Hold session;
    std::vector<FetchTopic> topics;
    std::vector<FetchPartition> partitions;
    bool makes_session = false;
    ImagePointer image;  // Names of topics that were found by id lie in it.

    template <class Look>
    void for_each(Look look) {
        if (session) {
            for (auto& partition : session->partitions()) look(partition);
        } else {
            for (auto& partition : partitions) look(partition);
        }
    }
    std::size_t size() const { return session ? session->size() : partitions.size(); }
};

// Plan what the request names.
void take_partitions(const RequestContext& context, const protocol::FetchRequest& request,
                     FetchPlan& plan);

// Bring the session, which the plan holds, up to what its client asks for now. Errors:
// fetch_session_id_not_found where there is no room for what is new.
[[nodiscard]] protocol::ErrorCode update_session(const RequestContext& context,
                                                 const protocol::FetchRequest& request,
                                                 FetchPlan& plan);

}  // namespace broker

// DeleteGroups: groups without members go, with all their offsets.
//
// The groups lie in different partitions: all deletions are begun before one is waited for.

#include "broker/api/groups.h"
#include "broker/api/handlers.h"

#include <set>

namespace broker {

using coordinator::DeleteReply;
using protocol::DeleteGroupsRequest;
using protocol::DeleteGroupsResponse;
using protocol::ErrorCode;

namespace {

// A deletion that was begun, and which result it is.
struct Begun {
    std::size_t result;
    GroupAnswer answer;
};

boost::asio::awaitable<DeleteGroupsResponse> answer_later(DeleteGroupsResponse response, std::vector<Begun> begun) {
    for (auto& each : begun) {
        const DeleteReply reply = co_await each.answer.wait<DeleteReply>();
        response.results[each.result].error_code = reply.error;
    }
    co_return response;
}

}  // namespace

Answer<DeleteGroupsResponse> handle(RequestContext& context, DeleteGroupsRequest request) {
    DeleteGroupsResponse response;
    response.throttle_time_ms = context.throttle(0);
    std::vector<Begun> begun;
    std::set<std::string_view> seen;
    for (const auto& group_id : request.groups_names) {
        if (!seen.insert(group_id).second) continue;
        auto& result = response.results.emplace_back();
        result.group_id = wire::Text(group_id.str());
        if (!may_use_group(context, Operation::remove, group_id)) {
            result.error_code = ErrorCode::group_authorization_failed;
            continue;
        }
        auto asked = context.services.groups.delete_group(context.executor, group_id.str());
        if (const auto* reply = asked.ready<DeleteReply>()) {
            result.error_code = reply->error;
        } else {
            begun.push_back({response.results.size() - 1, std::move(asked)});
        }
    }
    if (begun.empty()) return response;
    return answer_later(std::move(response), std::move(begun));
}

}  // namespace broker

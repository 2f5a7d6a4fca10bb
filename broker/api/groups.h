// groups: what the handlers of the group APIs have in common.
#pragma once

#include "broker/api/answer.h"
#include "broker/api/context.h"
#include "broker/groups/group_coordinator.h"
#include "protocol/wire/payload.h"
#include "protocol/wire/text.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace broker {

inline bool may_use_group(const RequestContext& context, Operation operation, std::string_view group_id) {
    return context.authorise(operation, ResourceType::group, group_id);
}

inline std::optional<std::string> owned(const std::optional<wire::Text>& text) {
    return text ? std::optional(text->str()) : std::nullopt;
}

inline std::optional<wire::Text> text(const std::optional<std::string>& from) {
    return from ? std::optional(wire::Text(*from)) : std::nullopt;
}

inline coordinator::Blob blob(const wire::Payload& bytes) { return coordinator::Blob::copied(bytes.bytes()); }

inline wire::Payload payload(const coordinator::Blob& blob) { return wire::Payload::copied(blob.bytes()); }

inline coordinator::MemberIdentity identity(const wire::Text& member_id,
                                            const std::optional<wire::Text>& instance_id) {
    return {member_id.str(), owned(instance_id)};
}

// Answer with `make(reply)` now, if the coordinator has replied, or when it has.
template <class Reply, class Response, class Make>
boost::asio::awaitable<Response> answer_later(GroupAnswer asked, Make make) {
    const Reply reply = co_await asked.template wait<Reply>();
    co_return make(reply);
}

template <class Reply, class Response, class Make>
Answer<Response> answer_with(GroupAnswer asked, Make make) {
    if (const auto* reply = asked.template ready<Reply>()) return Answer<Response>(make(*reply));
    return Answer<Response>(answer_later<Reply, Response, Make>(std::move(asked), std::move(make)));
}

}  // namespace broker

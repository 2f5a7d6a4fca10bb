// ClientFault: why a client of ours did not get what it asked a broker for.
#pragma once

#include "protocol/base/result.h"
#include "protocol/schema/error_code.h"

#include <string>
#include <utility>

namespace broker::inline client {

struct ClientFault {
    enum class Kind {
        unreachable,    // No connection, or it was lost before the answer came.
        timed_out,      // The deadline passed.
        broken_answer,  // What came is no answer to what was asked.
        unsupported,    // Broker and client share no version of the API.
        refused,        // The broker answered with `code`.
        bad_input,      // What the caller gave makes no sense, `detail` says what.
    };

    Kind kind{};
    protocol::ErrorCode code = protocol::ErrorCode::none;  // Of `refused` only.
    std::string detail;                                    // A sentence for people.
};

// The fault of an answer: the broker's own sentence if it sent one, else that of the code.
inline ClientFault refused(protocol::ErrorCode code, std::string detail = {}) {
    if (detail.empty()) detail = protocol::error_sentence(code);
    return {ClientFault::Kind::refused, code, std::move(detail)};
}

// May the same request succeed a little later, perhaps at another broker?
inline bool may_heal(const ClientFault& fault) noexcept {
    return fault.kind == ClientFault::Kind::unreachable ||
           (fault.kind == ClientFault::Kind::refused && protocol::is_retriable(fault.code));
}

template <class T>
using ClientResult = base::Result<T, ClientFault>;

}  // namespace broker

// SaslHandshake: which SASL mechanism a client means to use.
//
// No listener speaks SASL yet, so it is answered as on a listener without it: the client is
// authenticated already, and no mechanism is offered.

#include "broker/api/handlers.h"

namespace broker {

using protocol::ErrorCode;
using protocol::SaslHandshakeRequest;
using protocol::SaslHandshakeResponse;

Answer<SaslHandshakeResponse> handle(RequestContext&, SaslHandshakeRequest) {
    SaslHandshakeResponse response;
    response.error_code = ErrorCode::illegal_sasl_state;
    return response;
}

}  // namespace broker

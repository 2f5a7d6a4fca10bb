// SaslAuthenticate: a step of the exchange that a SASL mechanism wants.
//
// No listener speaks SASL yet, so it is answered as on a listener without it: there is nothing
// left to prove. What the client sent is not looked at.

#include "broker/api/handlers.h"

namespace broker {

using protocol::ErrorCode;
using protocol::SaslAuthenticateRequest;
using protocol::SaslAuthenticateResponse;

Answer<SaslAuthenticateResponse> handle(RequestContext&, SaslAuthenticateRequest) {
    SaslAuthenticateResponse response;
    response.error_code = ErrorCode::illegal_sasl_state;
    response.error_message = wire::Text("this listener does not ask for SASL");
    return response;
}

}  // namespace broker

// Answer: what a handler gives back: the response, or the promise of one.
//
//     return response;                          ready: nothing waited
//     return wait_and_answer(context, …);       an awaitable: a coroutine starts only now; of a
//                                               response, or of an Ending
//     return Answer<ProduceResponse>::none();   the client wants no answer (acks=0)
//     return Answer<ProduceResponse>::close();  only closing the connection is honest
#pragma once

#include <boost/asio/awaitable.hpp>

#include <utility>
#include <variant>

namespace broker {

struct NoAnswer {};
struct CloseConnection {};

// How a request ends whose handler knows only later whether it is answered at all.
template <class Response>
using Ending = std::variant<Response, NoAnswer, CloseConnection>;

template <class Response>
class Answer {
public:
    using Later = boost::asio::awaitable<Response>;
    using EndsLater = boost::asio::awaitable<Ending<Response>>;

    Answer(Response response) : held_(std::move(response)) {}
    Answer(Later later) : held_(std::move(later)) {}
    Answer(EndsLater later) : held_(std::move(later)) {}

    static Answer none() { return Answer(NoAnswer()); }
    static Answer close() { return Answer(CloseConnection()); }

    std::variant<Response, Later, EndsLater, NoAnswer, CloseConnection>& held() noexcept { return held_; }

private:
    explicit Answer(NoAnswer none) : held_(none) {}
    explicit Answer(CloseConnection close) : held_(close) {}

    std::variant<Response, Later, EndsLater, NoAnswer, CloseConnection> held_;
};

}  // namespace broker

#include "coordinator/metadata/server/admin_server.h"

#include "coordinator/metadata/server/admin_commands.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>

#include <chrono>
#include <optional>
#include <set>
#include <string_view>
#include <utility>

namespace coordinator {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using asio::ip::tcp;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);
constexpr std::chrono::seconds idle_max{30};
constexpr std::chrono::milliseconds rest_without_descriptors{100};
constexpr std::uint32_t head_bytes_max = 8192;
constexpr std::size_t connections_max = 64;

// NAME of URL/NAME; "" of URL itself; nothing for any other path.
std::optional<std::string> command_of(std::string_view target, std::string_view url) {
    target = target.substr(0, target.find('?'));
    if (!target.starts_with(url)) return std::nullopt;
    target.remove_prefix(url.size());
    if (target.empty() || target == "/") return "";
    if (target.front() != '/') return std::nullopt;
    return std::string(target.substr(1));
}

}  // namespace

struct AdminServer::Shared {
    Shared(asio::io_context& at, const AdminSettings& told, Source from)
        : context(at), acceptor(at), settings(told), source(std::move(from)) {}

    asio::io_context& context;
    tcp::acceptor acceptor;
    const AdminSettings settings;
    const Source source;
    std::set<beast::tcp_stream*> open;
};

base::Result<std::unique_ptr<AdminServer>, std::string> AdminServer::start(
    asio::io_context& context, const AdminSettings& settings, Source source) {
    auto shared = std::make_shared<Shared>(context, settings, std::move(source));
    boost::system::error_code error;
    tcp::resolver resolver(context);
    const auto found = resolver.resolve(settings.host, std::to_string(settings.port),
                                        tcp::resolver::passive, error);
    auto& acceptor = shared->acceptor;
    if (!error) acceptor.open(found->endpoint().protocol(), error);
    if (!error) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (!error) acceptor.bind(found->endpoint(), error);
    if (!error) acceptor.listen(asio::socket_base::max_listen_connections, error);
    if (error) {
        return base::Unexpected("the admin server cannot listen on " + settings.host + ":" +
                                std::to_string(settings.port) + " (" + error.message() +
                                "); set admin.serverPort to another port, or "
                                "admin.enableServer=false");
    }
    const auto port = acceptor.local_endpoint().port();
    asio::co_spawn(context, accept(shared), asio::detached);
    return std::unique_ptr<AdminServer>(new AdminServer(std::move(shared), port));
}

void AdminServer::stop() {
    boost::system::error_code ignored;
    shared_->acceptor.close(ignored);
    for (auto* stream : shared_->open) stream->socket().close(ignored);
}

asio::awaitable<void> AdminServer::accept(std::shared_ptr<Shared> shared) {
    asio::steady_timer pause(shared->context);
    while (shared->acceptor.is_open()) {
        auto [error, socket] = co_await shared->acceptor.async_accept(as_value);
        if (!shared->acceptor.is_open()) break;
        if (error) {
            pause.expires_after(rest_without_descriptors);
            co_await pause.async_wait(as_value);
        } else if (shared->open.size() < connections_max) {
            asio::co_spawn(shared->context, serve(shared, std::move(socket)), asio::detached);
        }
    }
}

asio::awaitable<std::string> AdminServer::answer(std::shared_ptr<Shared> shared, std::string name) {
    if (!admin_commands::is_command(name)) co_return admin_commands::unknown(name);
    shared->source.act(admin_commands::act_of(name));
    asio::steady_timer told(shared->context, asio::steady_timer::time_point::max());
    std::string text;
    // The timer is touched by its own thread only, and this frame waits for it.
    auto tell = [&, at = shared](const Observation* seen) {
        text = seen != nullptr ? admin_commands::answer(name, *seen) : admin_commands::failed(name);
        asio::post(at->context,
                   [&told] { told.expires_at(asio::steady_timer::time_point::min()); });
    };
    shared->source.observe(admin_commands::depth_of(name), std::move(tell));
    co_await told.async_wait(as_value);
    co_return text;
}

asio::awaitable<void> AdminServer::serve(std::shared_ptr<Shared> shared, tcp::socket socket) {
    beast::tcp_stream stream(std::move(socket));
    shared->open.insert(&stream);
    beast::flat_buffer buffer;
    for (bool goes_on = true; goes_on;) {
        http::request_parser<http::empty_body> parser;
        parser.header_limit(head_bytes_max);
        stream.expires_after(idle_max);
        const auto [read_error, read_bytes] =
            co_await http::async_read(stream, buffer, parser, as_value);
        if (read_error) break;
        const auto& request = parser.get();
        http::response<http::string_body> response{http::status::ok, request.version()};
        response.keep_alive(request.keep_alive());
        const auto name =
            command_of(std::string_view(request.target().data(), request.target().size()),
                       shared->settings.url);
        if (request.method() != http::verb::get) {
            response.result(http::status::method_not_allowed);
            response.set(http::field::allow, "GET");
        } else if (!name) {
            response.result(http::status::not_found);
        } else if (name->empty()) {
            response.set(http::field::content_type, "text/html;charset=utf-8");
            response.body() = admin_commands::index(shared->settings.url);
        } else {
            response.set(http::field::content_type, "application/json");
            response.body() = co_await answer(shared, *name);
        }
        response.prepare_payload();
        goes_on = response.keep_alive();
        stream.expires_after(idle_max);
        const auto [write_error, written] = co_await http::async_write(stream, response, as_value);
        if (write_error) break;
    }
    shared->open.erase(&stream);
    boost::system::error_code ignored;
    stream.socket().shutdown(tcp::socket::shutdown_both, ignored);
}

}  // namespace coordinator

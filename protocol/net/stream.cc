#include "protocol/net/stream.h"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <sys/sendfile.h>
#include <sys/socket.h>

namespace net {

using base::Result;
using base::Unexpected;

namespace {

constexpr auto as_value = asio::as_tuple(asio::use_awaitable);

NetFault fault_of(int error) noexcept {
    return error == EAGAIN || error == EWOULDBLOCK ? NetFault::would_block : NetFault::reset;
}

// An IPv4 client of an IPv6 socket is shown as what it is.
std::string name_of(const asio::ip::address& address) {
    if (address.is_v6() && address.to_v6().is_v4_mapped()) {
        return asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()).to_string();
    }
    return address.to_string();
}

}  // namespace

Stream::Stream(asio::ip::tcp::socket socket) : socket_(std::move(socket)) {
    boost::system::error_code error;
    socket_.non_blocking(true, error);
    socket_.set_option(asio::ip::tcp::no_delay(true), error);
    socket_.set_option(asio::socket_base::keep_alive(true), error);
    const auto remote = socket_.remote_endpoint(error);
    if (!error) {
        remote_host_ = name_of(remote.address());
        remote_port_ = remote.port();
    }
    const auto local = socket_.local_endpoint(error);
    if (!error) local_host_ = name_of(local.address());
}

Result<std::size_t, NetFault> Stream::read(std::span<std::byte> into) noexcept {
    for (;;) {
        const auto count = ::recv(socket_.native_handle(), into.data(), into.size(), 0);
        if (count > 0) return static_cast<std::size_t>(count);
        if (count == 0) return Unexpected(NetFault::closed);
        if (errno != EINTR) return Unexpected(fault_of(errno));
    }
}

Result<std::size_t, NetFault> Stream::write(std::span<const iovec> pieces, bool more) noexcept {
    msghdr message{};
    message.msg_iov = const_cast<iovec*>(pieces.data());
    message.msg_iovlen = pieces.size();
    for (;;) {
        const auto count =
            ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
        if (count >= 0) return static_cast<std::size_t>(count);
        if (errno != EINTR) return Unexpected(fault_of(errno));
    }
}

Result<std::size_t, NetFault> Stream::send_file(int descriptor, std::uint64_t position,
                                                std::size_t count) noexcept {
    for (;;) {
        auto at = static_cast<off_t>(position);
        const auto sent = ::sendfile(socket_.native_handle(), descriptor, &at, count);
        if (sent > 0) return static_cast<std::size_t>(sent);
        if (sent == 0) return Unexpected(NetFault::slice_gone);
        if (errno == EIO) return Unexpected(NetFault::slice_gone);
        if (errno != EINTR) return Unexpected(fault_of(errno));
    }
}

asio::awaitable<bool> Stream::readable() {
    const auto [error] = co_await socket_.async_wait(asio::socket_base::wait_read, as_value);
    co_return !error;
}

asio::awaitable<bool> Stream::writable() {
    const auto [error] = co_await socket_.async_wait(asio::socket_base::wait_write, as_value);
    co_return !error;
}

void Stream::close() noexcept {
    boost::system::error_code ignored;
    socket_.close(ignored);
}

}  // namespace net

// Stream: one connected TCP socket, read and written without ever waiting, and two awaits
// for when there is something to read or room to write.
//
// Every call tries at once and says would_block when the kernel has nothing or no room; only
// then does a connection await. Encrypted streams will have the same face.
//
// Threads: everything runs on the socket's io_context, which one thread runs.
#pragma once

#include "protocol/base/result.h"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_allocator.hpp>
#include <boost/asio/ip/tcp.hpp>

#include <cstddef>
#include <cstdint>
#include <memory_resource>
#include <span>
#include <string>
#include <sys/uio.h>
#include <utility>

namespace net {

namespace asio = boost::asio;

enum class NetFault {
    would_block,      // Nothing to read, or no room to write, right now.
    closed,           // The peer said goodbye.
    reset,            // The connection broke, or we closed it.
    slice_gone,       // Bytes of an answer are not in their file any more.
};

class Stream {
public:
    explicit Stream(asio::ip::tcp::socket socket);

    // What has come, at most into.size() bytes, at least one.
    [[nodiscard]] base::Result<std::size_t, NetFault> read(std::span<std::byte> into) noexcept;

    // Hand the kernel as much of the pieces as it takes, at least one byte. `more`: other
    // bytes of the same answer follow at once.
    [[nodiscard]] base::Result<std::size_t, NetFault> write(std::span<const iovec> pieces,
                                                            bool more) noexcept;

    // Hand the kernel bytes of a file, at least one. A file that ends before `position` is
    // slice_gone.
    [[nodiscard]] base::Result<std::size_t, NetFault> send_file(int descriptor,
                                                                std::uint64_t position,
                                                                std::size_t count) noexcept;

    // Whether send_file() works here; otherwise slices are read and written.
    bool sends_files() const noexcept { return true; }

    // Wait until read() or write() is worth another try. False when the socket was closed.
    [[nodiscard]] asio::awaitable<bool> readable();
    [[nodiscard]] asio::awaitable<bool> writable();

    // As readable(), without a coroutine, which takes a kilobyte: for who has thousands of
    // streams that say nothing. Calls `then` with what readable() gives.
    template <class Then>
    void when_readable(Then then) {
        // Asio would keep it in the memory of the last operation that ended, an accept, which is
        // twice as large.
        socket_.async_wait(
            asio::socket_base::wait_read,
            asio::bind_allocator(std::pmr::polymorphic_allocator<>(),
                                 [then = std::move(then)](const boost::system::error_code& error) {
                                     then(!error);
                                 }));
    }

    // End both directions; what waits is woken.
    void close() noexcept;
    bool is_open() const noexcept { return socket_.is_open(); }

    asio::any_io_executor executor() { return socket_.get_executor(); }

    // Numeric addresses: "127.0.0.1", "::1". Empty when the peer was gone at once.
    const std::string& remote_host() const noexcept { return remote_host_; }
    std::uint16_t remote_port() const noexcept { return remote_port_; }
    const std::string& local_host() const noexcept { return local_host_; }

private:
    asio::ip::tcp::socket socket_;
    std::string remote_host_;
    std::string local_host_;
    std::uint16_t remote_port_ = 0;
};

}  // namespace net

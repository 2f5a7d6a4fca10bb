// zk_load: requests of ZooKeeper's protocol at a fixed depth, from one thread.
//
//     zk_load --port 2181 --op create|set|get|mix|watch|fill --depth 200 --seconds 5 --pid PID
//
// `depth` requests are in flight at any time, over `connections` connections, a closed loop.
// mix is 90 % get, 10 % set, each of a node of its own. watch has `connections` clients watch
// one node that another client sets again and again; the time is from a set to the last event.
// fill creates `nodes` nodes and says how long that took.
//
// One line: ops_s=… p50_us=… p99_us=… p99.9_us=… cpu_us_per_op=… rss_KiB=… errors=…
#include "common.h"

#include <deque>
#include <memory>
#include <poll.h>

namespace {

using Bytes = std::string;

void put_text(Bytes& to, const Bytes& text) {
    bench::put_i32(to, static_cast<std::int64_t>(text.size()));
    to += text;
}

[[noreturn]] void die(const char* what) {
    std::perror(what);
    std::exit(1);
}

// One connection; requests are gathered and sent together.
class Client {
public:
    explicit Client(long port) : socket_(bench::connect_to("127.0.0.1:" + std::to_string(port))) {
        Bytes request;
        bench::put_i32(request, 0);
        bench::put_i64(request, 0);
        bench::put_i32(request, 30'000);
        bench::put_i64(request, 0);
        put_text(request, Bytes(16, '\0'));
        request.push_back('\0');
        frame(request);
        flush();
        while (!take([](const char*, std::size_t) {})) receive();
    }

    int socket() const { return socket_; }

    void ask(int xid, int type, const Bytes& body) {
        Bytes request;
        bench::put_i32(request, xid);
        bench::put_i32(request, type);
        frame(request + body);
    }

    void flush() {
        while (!out_.empty()) {
            const auto sent = ::send(socket_, out_.data(), out_.size(), MSG_NOSIGNAL);
            if (sent < 0) die("send");
            out_.erase(0, static_cast<std::size_t>(sent));
        }
    }

    void receive() {
        char buffer[65536];
        const auto got = ::recv(socket_, buffer, sizeof buffer, 0);
        if (got <= 0) die("recv");
        in_.append(buffer, static_cast<std::size_t>(got));
    }

    // The next whole frame that is there.
    template <class Look>
    bool take(Look look) {
        if (in_.size() - at_ < 4) return forget();
        const auto size = static_cast<std::size_t>(bench::get_u32(in_.data() + at_));
        if (in_.size() - at_ - 4 < size) return forget();
        look(in_.data() + at_ + 4, size);
        at_ += 4 + size;
        return true;
    }

private:
    bool forget() {
        in_.erase(0, at_);
        at_ = 0;
        return false;
    }

    void frame(const Bytes& payload) { put_text(out_, payload); }

    const int socket_;
    Bytes in_;
    Bytes out_;
    std::size_t at_ = 0;
};

Bytes path_body(const Bytes& path, bool watch) {
    Bytes body;
    put_text(body, path);
    body.push_back(watch ? '\1' : '\0');
    return body;
}

Bytes create_body(const Bytes& path, const Bytes& data) {
    Bytes body;
    put_text(body, path);
    put_text(body, data);
    bench::put_i32(body, 1);
    bench::put_i32(body, 31);
    put_text(body, "world");
    put_text(body, "anyone");
    bench::put_i32(body, 0);
    return body;
}

Bytes set_body(const Bytes& path, const Bytes& data) {
    Bytes body;
    put_text(body, path);
    put_text(body, data);
    bench::put_i32(body, -1);
    return body;
}

// One request that is answered before anything else is asked. Returns the error.
std::int64_t call(Client& client, int type, const Bytes& body) {
    client.ask(1, type, body);
    client.flush();
    std::int64_t error = 0;
    while (!client.take([&](const char* reply, std::size_t) { error = bench::get_u32(reply + 12); })) {
        client.receive();
    }
    return error;
}

constexpr int create = 1, get_data = 4, set_data = 5;
constexpr long keys = 1000;

struct Load {
    std::string op;
    Bytes data;
    Bytes root;
    long made = 0;

    void ask(Client& client) {
        const Bytes key = root + "/k" + std::to_string(made % keys);
        const int xid = static_cast<int>(made++ % 1'000'000'000) + 1;
        if (op == "create" || op == "fill") {
            // Folders of a thousand, as people have them.
            const Bytes path = root + "/d" + std::to_string(made / keys % keys) + "/n" + std::to_string(made);
            client.ask(xid, create, create_body(path, data));
        } else if (op == "set" || (op == "mix" && made % 10 == 0)) {
            client.ask(xid, set_data, set_body(key, data));
        } else {
            client.ask(xid, get_data, path_body(key, false));
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    const bench::Flags flags(argc, argv,
                             {{"port", "2181"}, {"op", "get"}, {"depth", "200"}, {"connections", "1"},
                              {"seconds", "5"}, {"size", "100"}, {"pid", "0"}, {"nodes", "0"}},
                             "usage: zk_load --port N --op create|set|get|mix|watch|fill\n");
    const auto port = flags.number("port");
    Load load{flags.text("op"), Bytes(static_cast<std::size_t>(flags.number("size")), 'x'),
              "/bench" + std::to_string(::getpid()), 0};
    std::vector<std::unique_ptr<Client>> clients;
    for (long i = 0; i < flags.number("connections"); ++i) clients.push_back(std::make_unique<Client>(port));
    Client& first = *clients.front();
    call(first, create, create_body(load.root, ""));
    const bool makes = load.op == "create" || load.op == "fill";
    for (long i = 0; i < keys && load.op != "watch"; ++i) {
        first.ask(1, create, create_body(load.root + (makes ? "/d" : "/k") + std::to_string(i), load.data));
    }
    first.flush();
    for (long i = 0; i < keys && load.op != "watch"; ++i) {
        while (!first.take([](const char*, std::size_t) {})) first.receive();
    }

    const long pid = flags.number("pid");
    const double cpu = bench::process_cpu(pid);
    const double begun = bench::now();
    const double until = begun + flags.real("seconds");
    const long nodes = flags.number("nodes");
    std::vector<double> samples;
    long errors = 0;
    if (load.op == "watch") {
        Client setter(port);
        while (bench::now() < until) {
            for (auto& each : clients) {
                if (call(*each, get_data, path_body(load.root, true)) != 0) ++errors;
            }
            const double set = bench::now();
            if (call(setter, set_data, set_body(load.root, load.data)) != 0) ++errors;
            for (auto& each : clients) {
                while (!each->take([](const char*, std::size_t) {})) each->receive();
            }
            samples.push_back(1e6 * (bench::now() - set));
        }
    } else {
        std::vector<std::deque<double>> asked(clients.size());
        const auto depth = static_cast<std::size_t>(flags.number("depth"));
        const auto has_more = [&] { return nodes > 0 ? load.made < nodes : bench::now() < until; };
        for (std::size_t i = 0; i < depth; ++i) {
            load.ask(*clients[i % clients.size()]);
            asked[i % clients.size()].push_back(bench::now());
        }
        for (auto& each : clients) each->flush();
        std::vector<pollfd> sockets;
        for (auto& each : clients) sockets.push_back({each->socket(), POLLIN, 0});
        for (std::size_t open = depth; open > 0;) {
            ::poll(sockets.data(), sockets.size(), -1);
            const bool more = has_more();
            for (std::size_t i = 0; i < clients.size(); ++i) {
                if ((sockets[i].revents & POLLIN) == 0) continue;
                clients[i]->receive();
                const double answered = bench::now();
                while (clients[i]->take([&](const char* reply, std::size_t) {
                    if (bench::get_u32(reply + 12) != 0) ++errors;
                })) {
                    samples.push_back(1e6 * (answered - asked[i].front()));
                    asked[i].pop_front();
                    --open;
                    if (!more) continue;
                    load.ask(*clients[i]);
                    asked[i].push_back(answered);
                    ++open;
                }
                clients[i]->flush();
            }
        }
    }
    const double took = bench::now() - begun;
    const auto count = static_cast<double>(samples.size());
    std::printf("ops_s=%.0f %s cpu_us_per_op=%.2f rss_KiB=%ld errors=%ld seconds=%.2f\n", count / took,
                bench::Percentiles(samples).line().c_str(), 1e6 * (bench::process_cpu(pid) - cpu) / count,
                bench::process_rss_kib(pid), errors, took);
    return errors == 0 ? 0 : 1;
}

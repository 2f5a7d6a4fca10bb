// BrokerFixture: a broker without sockets: a cluster of one in a temporary directory, and
// requests put to handle() as a connection puts them.
//
//     const auto found = in.call(request, 3);          answered, now or after a wait
//     auto join = in.start(request, 9);                runs; join.get() waits for its answer
#pragma once

#include "broker/api/answer.h"
#include "broker/api/context.h"
#include "broker/api/fetch_sessions.h"
#include "broker/api/handlers.h"
#include "broker/api/services.h"
#include "broker/cluster/cluster.h"
#include "broker/cluster/producer_ids.h"
#include "broker/config/load.h"
#include "broker/groups/group_coordinator.h"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_future.hpp>

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <future>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

namespace test {

class BrokerFixture {
public:
    // Without overrides no record is too old for this day, however long the test takes.
    explicit BrokerFixture(std::vector<std::string> overrides = {"log.retention.ms=-1"}) : overrides_(std::move(overrides)) {
        std::string made = (std::filesystem::temp_directory_path() / "milena-test-XXXXXX").string();
        REQUIRE(mkdtemp(made.data()));
        directory_ = made;
        start_broker();
    }

    ~BrokerFixture() {
        stop_broker();
        std::filesystem::remove_all(directory_);
    }

    // The process ends cleanly and starts again on the same directory; with other overrides, if
    // they are given.
    void restart(std::optional<std::vector<std::string>> overrides = {}) {
        stop_broker();
        if (overrides) overrides_ = std::move(*overrides);
        start_broker();
    }

    template <class Request>
    auto start(Request request, std::int16_t version) {
        using Response = typename decltype(response_type(broker::handle(std::declval<broker::RequestContext&>(), std::declval<Request>())))::type;
        auto promise = std::make_shared<std::promise<Response>>();
        auto future = promise->get_future();
        // Handlers run on the connection's thread, and so does what they wait for.
        boost::asio::post(*io_, [this, promise, version, request = std::move(request)]() mutable {
            auto context = std::make_shared<broker::RequestContext>(broker::RequestContext{*services_, session_, io_->get_executor()});
            context->api_version = version;
            context->client_id = "test";
            context->now_ms = wall_ms();
            // As a connection's frame does, it holds the records until they are written.
            context->frame = std::make_shared<const Request>(request);
            auto answer = broker::handle(*context, std::move(request));
            if (auto* ready = std::get_if<Response>(&answer.held())) return promise->set_value(std::move(*ready));
            if (auto* ends = std::get_if<boost::asio::awaitable<broker::Ending<Response>>>(&answer.held())) {
                boost::asio::co_spawn(*io_, std::move(*ends), [promise, context](std::exception_ptr failure, broker::Ending<Response> ending) {
                    if (failure) return promise->set_exception(failure);
                    if (auto* response = std::get_if<Response>(&ending)) return promise->set_value(std::move(*response));
                    promise->set_exception(std::make_exception_ptr(std::runtime_error("no answer")));
                });
                return;
            }
            auto later = std::get<boost::asio::awaitable<Response>>(std::move(answer.held()));
            boost::asio::co_spawn(*io_, std::move(later), [promise, context](std::exception_ptr failure, Response response) {
                if (failure) return promise->set_exception(failure);
                promise->set_value(std::move(response));
            });
        });
        return future;
    }

    template <class Request>
    auto call(Request request, std::int16_t version) {
        return got(start(std::move(request), version));
    }

    // What was started, within a time that only a fault uses up.
    template <class Response>
    static Response got(std::future<Response> future) {
        REQUIRE_MESSAGE(future.wait_for(std::chrono::seconds(300)) == std::future_status::ready, "it is answered");
        return future.get();
    }

    // What a coroutine comes to on the connections' thread, which outlives whoever calls it back.
    template <class T>
    T await(boost::asio::awaitable<T> coroutine) {
        return boost::asio::co_spawn(*io_, std::move(coroutine), boost::asio::use_future).get();
    }

    // Everything that was asked of the controller until now is done.
    void settle_controller() {
        std::promise<void> done;
        boost::asio::post(cluster_->controller(), [&] { done.set_value(); });
        done.get_future().wait();
    }

    void create_topic(const std::string& name, std::int32_t partitions = 1) {
        std::promise<broker::CreatedTopic> made;
        boost::asio::post(cluster_->controller(), [&] {
            broker::NewTopic topic;
            topic.name = name;
            topic.partitions = partitions;
            topic.replication_factor = 1;
            made.set_value(cluster_->create_topics({topic}, false).at(0));
        });
        const auto outcome = made.get_future().get().outcome;
        REQUIRE_MESSAGE(outcome.error == protocol::ErrorCode::none, outcome.message);
    }

    broker::Cluster& cluster() { return *cluster_; }
    broker::Services& services() { return *services_; }
    const std::filesystem::path& directory() const { return directory_; }

    // How far the brokers' wall clock is ahead.
    inline static std::atomic<std::int64_t> wall_ahead_ms = 0;
    // Where their monotonic clock stands; below 0: nowhere, it goes.
    inline static std::atomic<std::int64_t> stands_at_ms = -1;

    std::size_t fetch_session_bytes = broker::FetchSessions::Settings().bytes_max;  // From the next restart on.

private:
    template <class Response>
    struct Type {
        using type = Response;
    };
    template <class Response>
    static Type<Response> response_type(broker::Answer<Response>);

    static std::int64_t wall_ms() {
        return wall_ahead_ms + std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::system_clock::now().time_since_epoch()).count();
    }
    static std::int64_t monotonic_ms() {
        if (const auto at = stands_at_ms.load(); at >= 0) return at;
        return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    static void random(std::span<std::byte> into) {
        static std::mutex mutex;
        static std::mt19937 engine(20261121);
        const std::lock_guard lock(mutex);
        for (auto& byte : into) byte = static_cast<std::byte>(engine());
    }

    void start_broker() {
        broker::ConfigInputs inputs;
        inputs.overrides = {"broker.id=1", "log.dirs=" + directory_.string(), "listeners=PLAINTEXT://127.0.0.1:9092",
                            "offsets.topic.num.partitions=4", "offsets.topic.replication.factor=1"};
        inputs.overrides.insert(inputs.overrides.end(), overrides_.begin(), overrides_.end());
        const auto loaded = broker::load_config(inputs);
        for (const auto& message : loaded.messages) INFO(broker::to_string(message));
        REQUIRE(loaded.config);

        session_.listener = "PLAINTEXT";
        session_.client_host = "127.0.0.1";
        session_.local_host = "127.0.0.1";
        session_.local_port = 9092;
        io_ = std::make_unique<boost::asio::io_context>(1);
        guard_.emplace(io_->get_executor());
        disk_ = std::make_unique<boost::asio::thread_pool>(2);
        cpu_ = std::make_unique<boost::asio::thread_pool>(1);
        auto cluster = broker::Cluster::start({loaded.config, wall_ms, monotonic_ms, random, [](const std::string& why) { FAIL(why); }}, *disk_);
        REQUIRE_MESSAGE(cluster, (cluster ? std::string() : cluster.error()));
        cluster_ = std::move(*cluster);
        producer_ids_ = std::make_unique<broker::ProducerIds>(*cluster_);
        fetch_sessions_ = std::make_unique<broker::FetchSessions>(broker::FetchSessions::Settings{
            loaded.config->max_incremental_fetch_session_cache_slots, monotonic_ms, random, fetch_session_bytes});
        groups_ = std::make_unique<broker::GroupCoordinator>(*cluster_, *disk_, broker::GroupCoordinator::Settings{wall_ms, monotonic_ms, random});
        services_.reset(new broker::Services{*cluster_, authorizer_, quotas_, *fetch_sessions_, *groups_, *producer_ids_, *disk_, *cpu_});
        const auto registered = cluster_->register_broker({{"PLAINTEXT", "127.0.0.1", 9092}});
        REQUIRE_MESSAGE(registered, (registered ? std::string() : registered.error()));
        groups_->start();
        thread_ = std::thread([this] { io_->run(); });
    }

    void stop_broker() {
        groups_->stop();
        guard_.reset();
        io_->stop();
        thread_.join();
        cpu_->join();
        cluster_->stop();
        disk_->join();
        io_.reset();  // What still waits on it refers to what follows.
        services_.reset();
        groups_.reset();
        fetch_sessions_.reset();
        producer_ids_.reset();
        cluster_.reset();
        disk_.reset();
    }

    std::vector<std::string> overrides_;
    std::filesystem::path directory_;
    broker::Session session_;
    broker::Authorizer authorizer_;
    broker::Quotas quotas_;
    std::unique_ptr<broker::FetchSessions> fetch_sessions_;
    std::unique_ptr<boost::asio::io_context> io_;
    std::optional<boost::asio::executor_work_guard<boost::asio::io_context::executor_type>> guard_;
    std::unique_ptr<boost::asio::thread_pool> disk_;
    std::unique_ptr<boost::asio::thread_pool> cpu_;
    std::unique_ptr<broker::Cluster> cluster_;
    std::unique_ptr<broker::ProducerIds> producer_ids_;
    std::unique_ptr<broker::GroupCoordinator> groups_;
    std::unique_ptr<broker::Services> services_;
    std::thread thread_;
};

}  // namespace test

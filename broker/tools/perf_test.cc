// milena producer-perf-test, consumer-perf-test: how fast records go in and out.

#include "broker/tools/client_properties.h"
#include "broker/tools/commands.h"
#include "broker/tools/interrupt.h"
#include "broker/tools/progress.h"
#include "broker/tools/reader.h"
#include "broker/tools/times.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <iostream>
#include <mutex>
#include <random>

namespace broker {
namespace {

constexpr double mebibyte = 1024.0 * 1024.0;
constexpr std::int64_t report_ms = 5'000;

std::int64_t steady_us() {
    using namespace std::chrono;
    return duration_cast<microseconds>(steady_clock::now().time_since_epoch()).count();
}

template <class... Values>
std::string format(const char* form, Values... values) {
    std::array<char, 512> text{};
    std::snprintf(text.data(), text.size(), form, values...);
    return text.data();
}

// Latencies of records, in ms: a window that is printed now and then, and all of them.
// Threads: add() on the producer's, print_window() and the rest on the tool's.
class Latencies {
public:
    explicit Latencies(std::int64_t expected) {
        all_.reserve(static_cast<std::size_t>(std::min<std::int64_t>(expected, 5'000'000)));
    }

    void add(std::span<const std::int64_t> started_us, std::size_t bytes) {
        const auto now = steady_us();
        const std::lock_guard lock(mutex_);
        for (const auto started : started_us) {
            const auto latency = static_cast<double>(now - started) / 1000.0;
            window_sum_ += latency;
            window_max_ = std::max(window_max_, latency);
            sum_ += latency;
            max_ = std::max(max_, latency);
            // Above so many a record in `stride_` stands for the others.
            if (count_++ % stride_ == 0) all_.push_back(static_cast<float>(latency));
            if (all_.size() == all_max) thin_out();
        }
        window_count_ += static_cast<std::int64_t>(started_us.size());
        bytes_ += bytes;
        window_bytes_ += bytes;
    }

    // A line for the last `milliseconds`, like Kafka's.
    std::string window(std::int64_t milliseconds) {
        const std::lock_guard lock(mutex_);
        const double seconds =
            static_cast<double>(std::max<std::int64_t>(milliseconds, 1)) / 1000.0;
        const auto line = format(
            "%ld records sent, %.1f records/sec (%.2f MB/sec), %.1f ms avg latency, %.1f ms max "
            "latency.\n",
            window_count_, static_cast<double>(window_count_) / seconds,
            static_cast<double>(window_bytes_) / seconds / mebibyte,
            window_count_ ? window_sum_ / static_cast<double>(window_count_) : 0.0, window_max_);
        window_count_ = 0;
        window_bytes_ = 0;
        window_sum_ = window_max_ = 0;
        return line;
    }

    std::string total(std::int64_t elapsed_us) {
        const std::lock_guard lock(mutex_);
        std::ranges::sort(all_);
        const auto at = [&](double part) {
            if (all_.empty()) return 0L;
            const auto index = static_cast<std::size_t>(part * static_cast<double>(all_.size()));
            return static_cast<long>(all_[std::min(index, all_.size() - 1)]);
        };
        const double seconds = static_cast<double>(std::max<std::int64_t>(elapsed_us, 1)) / 1e6;
        return format(
            "%ld records sent, %f records/sec (%.2f MB/sec), %.2f ms avg latency, %.2f ms max "
            "latency, "
            "%ld ms 50th, %ld ms 95th, %ld ms 99th, %ld ms 99.9th.\n",
            count_, static_cast<double>(count_) / seconds,
            static_cast<double>(bytes_) / seconds / mebibyte,
            count_ ? sum_ / static_cast<double>(count_) : 0.0, max_, at(0.5), at(0.95), at(0.99),
            at(0.999));
    }

private:
    static constexpr std::size_t all_max = 5'000'000;

    void thin_out() {
        std::size_t kept = 0;
        for (std::size_t each = 0; each < all_.size(); each += 2) all_[kept++] = all_[each];
        all_.resize(kept);
        stride_ *= 2;
    }

    std::mutex mutex_;
    std::vector<float> all_;
    std::int64_t stride_ = 1;
    std::int64_t count_ = 0;
    std::int64_t window_count_ = 0;
    std::size_t bytes_ = 0;
    std::size_t window_bytes_ = 0;
    double sum_ = 0;
    double max_ = 0;
    double window_sum_ = 0;
    double window_max_ = 0;
};

std::vector<std::string> payloads_of(const Options& options) {
    if (const auto path = options.get("payload-file")) {
        auto delimiter = options.get_or("payload-delimiter", "\n");
        if (delimiter == "\\n") delimiter = "\n";
        std::vector<std::string> payloads;
        const auto text = read_file(*path);
        for (std::size_t at = 0; at < text.size();) {
            const auto end = std::min(text.find(delimiter, at), text.size());
            if (end > at) payloads.push_back(text.substr(at, end - at));
            at = end + delimiter.size();
        }
        if (payloads.empty()) throw ToolError("File is empty or has no payloads: " + *path);
        return payloads;
    }
    return {};
}

int produce(const Options& options) {
    const auto topic = options.required("topic");
    const auto record_count = options.integer("num-records");
    if (!record_count || *record_count < 1)
        throw UsageError("argument --num-records is required and positive");
    const auto throughput = options.integer_or("throughput", -1);
    const bool is_monotonic = options.has("payload-monotonic");
    const auto record_bytes = options.integer("record-size");
    const auto payloads = payloads_of(options);
    if (record_bytes.has_value() + !payloads.empty() + is_monotonic != 1) {
        throw UsageError(
            "exactly one of the arguments --record-size --payload-file --payload-monotonic is "
            "required");
    }
    if (record_bytes && *record_bytes < 1)
        throw UsageError("--record-size should be greater than zero");
    if (options.integer_or("transaction-duration-ms", 0) > 0 || options.has("transactional-id")) {
        throw ToolError("transactions are not available in this tool yet");
    }
    ClientProperties properties;
    if (const auto path = options.get("producer.config")) properties = read_properties(*path);
    for (auto& [key, value] : parse_pairs(options.all("producer-props"))) properties[key] = value;

    ProducerSettings settings;
    settings.timed = true;
    configure(properties, settings);
    Latencies latencies(*record_count);
    settings.on_batch = [&](const BatchOutcome& outcome) {
        if (outcome.fault) {
            std::cerr << qualified(*outcome.fault) + "\n";
        } else {
            latencies.add(outcome.started_us, outcome.bytes);
        }
    };
    Producer producer(
        client_settings(options.get_or("bootstrap-server", ""), properties, "perf-producer-client"),
        settings);

    std::mt19937 random(0);
    std::string payload(static_cast<std::size_t>(record_bytes.value_or(0)), ' ');
    for (auto& letter : payload) letter = static_cast<char>('A' + random() % 26);
    catch_interrupts();
    const auto begin = steady_us();
    auto window_begin = begin;
    for (std::int64_t sent = 0; sent < *record_count && !interrupt(); ++sent) {
        if (!payloads.empty()) {
            payload = payloads[random() % payloads.size()];
        } else if (is_monotonic) {
            payload = std::to_string(sent);
        }
        need(producer.send(topic,
                           {.timestamp = wall_clock_ms(), .value = records::bytes_of(payload)}));
        const auto now = steady_us();
        if (now - window_begin >= report_ms * 1000) {
            std::cout << latencies.window((now - window_begin) / 1000) << std::flush;
            window_begin = now;
        }
        if (throughput > 0) {
            const auto due = begin + (sent + 1) * 1'000'000 / throughput;
            if (due > now + 1000) wait_for(std::chrono::milliseconds((due - now) / 1000));
        }
    }
    producer.close();
    std::cout << latencies.total(steady_us() - begin);
    return interrupt() ? 128 + interrupt() : 0;
}

struct Consumed {
    std::int64_t records = 0;
    std::uint64_t bytes = 0;
};

int consume(const Options& options) {
    const auto most = options.integer("messages");
    if (!most) throw UsageError("Missing required option(s) [messages]");
    ClientProperties properties;
    for (const char* name : {"consumer.config", "command-config"}) {
        if (const auto path = options.get(name)) properties.merge(read_properties(*path));
    }
    for (auto& [key, value] : parse_pairs(options.all("command-property"))) properties[key] = value;
    ReaderSettings settings;
    settings.fetch.reset = options.has("from-latest") ? latest_timestamp : earliest_timestamp;
    configure(properties, settings.fetch);
    settings.fetch.partition_max_bytes =
        static_cast<std::int32_t>(options.integer_or("fetch-size", 1'048'576));
    settings.start = settings.fetch.reset.value_or(latest_timestamp);
    if (const auto topic = options.get("topic")) settings.topics = {*topic};
    settings.include = options.get("include");
    if (settings.topics.empty() == !settings.include)
        throw UsageError("Exactly one of --include/--topic is required.");
    std::random_device entropy;
    settings.group =
        GroupSettings{.group_id = options.get_or(
                          "group", "perf-consumer-" + std::to_string(entropy() % 100'000))};
    TopicReader reader(
        client_settings(options.required("bootstrap-server"), properties, "perf-consumer-client"),
        settings);

    const bool is_detailed = options.has("show-detailed-stats");
    const auto interval = options.integer_or("reporting-interval", 5'000);
    const auto timeout = std::chrono::milliseconds(options.integer_or("timeout", 10'000));
    if (!options.has("hide-header")) {
        std::cout << (is_detailed ? "time, threadId, " : "start.time, end.time, ")
                  << "data.consumed.in.MB, MB.sec, data.consumed.in.nMsg, nMsg.sec, "
                     "rebalance.time.ms, fetch.time.ms, "
                     "fetch.MB.sec, fetch.nMsg.sec\n";
    }
    Consumed total;
    Consumed window;
    const auto begin_ms = wall_clock_ms();
    auto window_begin = begin_ms;
    std::int64_t joined_ms = 0;
    std::int64_t shown_joining = 0;
    const auto numbers = [&](const Consumed& shown, const Consumed& since, std::int64_t elapsed_ms,
                             std::int64_t joining_ms) {
        const double megabytes = static_cast<double>(shown.bytes) / mebibyte;
        const double new_megabytes = static_cast<double>(since.bytes) / mebibyte;
        const double seconds = static_cast<double>(std::max<std::int64_t>(elapsed_ms, 1)) / 1000.0;
        const auto fetch_ms = std::max<std::int64_t>(elapsed_ms - joining_ms, 0);
        const double fetch_seconds =
            static_cast<double>(std::max<std::int64_t>(fetch_ms, 1)) / 1000.0;
        return format(
            "%.4f, %.4f, %ld, %.4f, %ld, %ld, %.4f, %.4f\n", megabytes, new_megabytes / seconds,
            shown.records, static_cast<double>(since.records) / seconds, joining_ms, fetch_ms,
            new_megabytes / fetch_seconds, static_cast<double>(since.records) / fetch_seconds);
    };
    Progress progress("records", *most);
    catch_interrupts();
    const auto take = [&](const FetchedRecord& fetched) {
        const auto& record = fetched.record;
        const auto bytes =
            (record.key ? record.key->size() : 0) + (record.value ? record.value->size() : 0);
        total.bytes += bytes;
        window.bytes += bytes;
        ++total.records;
        ++window.records;
        return total.records < *most;
    };
    auto deadline = after(timeout);
    while (total.records < *most && !interrupt()) {
        if (need(reader.poll(deadline, take)) > 0) deadline = after(timeout);
        joined_ms = reader.joining_time().count();
        progress.at(total.records);
        if (milliseconds_left(deadline) == 0) {
            std::cout
                << "WARNING: Exiting before consuming the expected number of messages: timeout ("
                << timeout.count()
                << " ms) exceeded. You can use the --timeout option to increase the timeout.\n";
            break;
        }
        const auto now = wall_clock_ms();
        if (is_detailed && now - window_begin >= interval) {
            std::cout << perf_time(now) << ", 0, "
                      << numbers(total, window, now - window_begin, joined_ms - shown_joining)
                      << std::flush;
            shown_joining = joined_ms;
            window = {};
            window_begin = now;
        }
    }
    const auto end_ms = wall_clock_ms();
    if (!is_detailed) {
        std::cout << perf_time(begin_ms) << ", " << perf_time(end_ms) << ", "
                  << numbers(total, total, end_ms - begin_ms, joined_ms);
    }
    need(reader.close());
    return interrupt() ? 128 + interrupt() : 0;
}

}  // namespace

int run_producer_perf_test(const Words& words) {
    Options options("This tool is used to verify the producer performance.");
    options.value("topic", "name", "Produce to this topic.");
    options.value("num-records,messages", "n", "How many records.");
    options.value("record-size", "bytes",
                  "Size of each; or --payload-file, or --payload-monotonic.");
    options.value("payload-file", "file", "Take the values from this file.");
    options.value("payload-delimiter", "text", "Between the values in the file (default \\n).");
    options.flag("payload-monotonic", "The values are 0, 1, 2 ...");
    options.value("throughput", "n", "So many records a second; -1: as fast as it goes.");
    options.many_values("producer-props,command-property", "key=value",
                        "Properties of the producer.");
    options.value("producer.config,command-config", "file", "Properties from a file.");
    options.value("bootstrap-server,broker-list", "host:port,...",
                  "The brokers to connect to first.");
    options.flag("print-metrics", "Accepted: there are no client metrics here.");
    options.value("transactional-id", "id", "Not available yet.");
    options.value("transaction-duration-ms", "ms", "Not available yet.");
    return run_tool(options, words, [&] {
        options.required("topic");
        return produce(options);
    });
}

int run_consumer_perf_test(const Words& words) {
    Options options("This tool is used to verify the consumer performance.");
    add_cluster_options(options, "broker-list");
    options.value("topic", "name", "Read this topic.");
    options.value("include", "expression", "Topics by regular expression.");
    options.value("messages,num-records", "n", "How many records.");
    options.value("group", "id", "The consumer group (default perf-consumer- and a number).");
    options.value("fetch-size", "bytes", "Of one partition in one answer (default 1048576).");
    options.flag("from-latest", "Begin at the end where the group has no offset.");
    options.value("socket-buffer-size,threads,num-fetch-threads", "n", "Accepted.");
    options.value("consumer.config", "file", "Properties of the consumer from a file.");
    options.value("command-property", "key=value", "A property of the consumer; may be repeated.");
    options.value("reporting-interval", "ms", "With --show-detailed-stats (default 5000).");
    options.flag("show-detailed-stats", "A line for each interval.");
    options.flag("hide-header", "Without the first line.");
    options.flag("print-metrics", "Accepted: there are no client metrics here.");
    options.value("timeout", "ms", "Give up when nothing came for so long (default 10000).");
    options.value("date-format", "format", "Accepted.");
    return run_tool(options, words, [&] {
        options.required("bootstrap-server");
        return consume(options);
    });
}

}  // namespace broker

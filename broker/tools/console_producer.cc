// milena console-producer: kafka-console-producer.sh. Lines of standard input become records.

#include "broker/tools/client_properties.h"
#include "broker/tools/commands.h"
#include "broker/tools/line_parser.h"
#include "broker/tools/progress.h"

#include <cerrno>
#include <cstring>
#include <iostream>
#include <unistd.h>

namespace broker {
namespace {

constexpr auto tool_class = "org.apache.kafka.clients.producer.internals.ErrorLoggingCallback";
constexpr std::size_t read_bytes = std::size_t{1} << 20;

void declare(Options& options) {
    add_cluster_options(options, "broker-list");
    options.value("topic", "name", "The topic that the lines go to.");
    options.flag("sync", "Wait for each record before the next is sent.");
    options.maybe_value("compression-codec", "codec",
                        "none, gzip, snappy, lz4 or zstd; gzip if no name follows.");
    options.value("batch-size", "bytes", "Size of a batch that is not waited for (default 16384).");
    options.value("max-partition-memory-bytes", "bytes", "The same; goes before --batch-size.");
    options.value("message-send-max-retries", "n", "Attempts after the first one (default 3).");
    options.value("retry-backoff-ms", "ms", "Pause before another attempt (default 100).");
    options.value("timeout", "ms",
                  "How long a record may wait for others of its batch (default 1000).");
    options.value("request-required-acks", "acks", "0, 1 or -1 (all, the default).");
    options.value("request-timeout-ms", "ms", "How long a broker may take (default 1500).");
    options.value("max-memory-bytes", "bytes", "Memory for records that wait (default 33554432).");
    options.value("max-block-ms", "ms",
                  "How long to wait for memory or for the topic (default 60000).");
    options.value("socket-buffer-size", "bytes", "Accepted: the system decides.");
    options.value("metadata-expiry-ms", "ms", "Accepted: leaders are asked for when one is lost.");
    options.value("line-reader,property-file-reader", "class",
                  "Accepted if it is Kafka's LineMessageReader.");
    options.value("property,reader-property", "key=value",
                  "parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, "
                  "headers.key.separator, ignore.error, null.marker; may be repeated.");
    options.value("reader-config", "file", "The same from a file.");
    options.value("producer-property,command-property", "key=value",
                  "A property of the producer; may be repeated.");
    options.value("producer.config", "file", "Properties of the producer from a file.");
    options.value(
        "queue-size,queue-enqueuetimeout-ms,key-serializer,value-serializer,value-encoder,key-"
        "encoder",
        "x", "Accepted, of old scripts.");
    options.flag("new-producer", "Accepted, of old scripts.");
}

ClientProperties producer_properties(const Options& options) {
    ClientProperties properties;
    for (const char* file : {"producer.config", "command-config"}) {
        if (const auto path = options.get(file)) properties.merge(read_properties(*path));
    }
    const auto given = [&](const char* option, const char* key, const char* otherwise) {
        if (const auto value = options.get(option)) {
            properties[key] = *value;
        } else if (otherwise) {
            properties.try_emplace(key, otherwise);
        }
    };
    given("batch-size", "batch.size", nullptr);
    given("max-partition-memory-bytes", "batch.size", nullptr);
    given("message-send-max-retries", "retries", "3");
    given("retry-backoff-ms", "retry.backoff.ms", "100");
    given("timeout", "linger.ms", "1000");
    given("request-required-acks", "acks", "-1");
    given("request-timeout-ms", "request.timeout.ms", "1500");
    given("max-memory-bytes", "buffer.memory", nullptr);
    given("max-block-ms", "max.block.ms", nullptr);
    if (const auto codec = options.get("compression-codec")) {
        properties["compression.type"] = codec->empty() ? "gzip" : *codec;
    }
    for (auto& [key, value] : parse_pairs(options.all("producer-property")))
        properties[key] = value;
    return properties;
}

// Lines of standard input, without copying each: views into a buffer that is read ahead.
class Lines {
public:
    Lines() : buffer_(read_bytes) {}

    // The next line without its end, valid until the next call; nothing at the end.
    std::optional<std::string_view> next() {
        while (true) {
            const auto* const begin = buffer_.data() + taken_;
            if (const auto* end = static_cast<const char*>(
                    std::memchr(begin + searched_, '\n', filled_ - taken_ - searched_))) {
                auto line = std::string_view(begin, static_cast<std::size_t>(end - begin));
                taken_ += line.size() + 1;
                searched_ = 0;
                if (line.ends_with('\r')) line.remove_suffix(1);
                return line;
            }
            searched_ = filled_ - taken_;
            if (!fill()) break;
        }
        if (taken_ == filled_) return std::nullopt;
        const std::string_view line(buffer_.data() + taken_, filled_ - taken_);
        taken_ = filled_;
        searched_ = 0;
        return line;
    }

    // Is there a line that can be had without waiting for input?
    bool has_line() const {
        return std::memchr(buffer_.data() + taken_, '\n', filled_ - taken_) != nullptr;
    }

private:
    bool fill() {
        if (taken_ > 0) {
            std::memmove(buffer_.data(), buffer_.data() + taken_, filled_ - taken_);
            filled_ -= taken_;
            taken_ = 0;
        }
        if (filled_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
        while (true) {
            const auto got =
                ::read(STDIN_FILENO, buffer_.data() + filled_, buffer_.size() - filled_);
            if (got > 0) filled_ += static_cast<std::size_t>(got);
            if (got >= 0) return got > 0;
            if (errno != EINTR)
                throw ToolError("cannot read standard input: " + std::string(std::strerror(errno)));
        }
    }

    std::vector<char> buffer_;
    std::size_t taken_ = 0;     // Where the next line begins.
    std::size_t searched_ = 0;  // From there on, what holds no line end.
    std::size_t filled_ = 0;
};

std::int64_t now_ms() {
    using namespace std::chrono;
    return duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
}

int produce(const Options& options) {
    const auto topic = options.required("topic");
    const auto properties = producer_properties(options);
    ClientProperties reader = parse_pairs(options.all("property"));
    if (const auto path = options.get("reader-config")) reader.merge(read_properties(*path));
    auto parser = LineParser::make(reader);
    if (!parser) throw ToolError(parser.error());

    ProducerSettings settings;
    configure(properties, settings);
    settings.on_batch = [](const BatchOutcome& outcome) {
        if (!outcome.fault) return;
        print_error("Error when sending " + std::to_string(outcome.records) +
                        " record(s) to topic " + std::string(outcome.topic) + "-" +
                        std::to_string(outcome.partition.value()) +
                        " with error: " + qualified(*outcome.fault),
                    tool_class);
    };
    Producer producer(
        client_settings(options.required("bootstrap-server"), properties, "console-producer"),
        std::move(settings));
    const bool is_sync = options.has("sync");
    const bool is_terminal = ::isatty(STDIN_FILENO) == 1;
    Progress progress("records");
    Lines lines;
    std::int64_t number = 0;
    auto timestamp = now_ms();
    if (is_terminal) std::cout << ">" << std::flush;
    while (const auto line = lines.next()) {
        ++number;
        auto record = parser->parse(*line, number);
        if (!record) {
            producer.close();
            throw ToolError(record.error(), "org.apache.kafka.common.KafkaException");
        }
        // Records of one read of the input share a look at the clock.
        if (is_terminal || number % 64 == 0 || !lines.has_line()) timestamp = now_ms();
        record->timestamp = timestamp;
        need(producer.send(topic, *record));
        if (is_sync) producer.flush();
        if (is_terminal) std::cout << ">" << std::flush;
        progress.at(number);
    }
    producer.close();
    return 0;
}

}  // namespace

int run_console_producer(const Words& words) {
    Options options("This tool helps to read data from standard input and publish it to Kafka.");
    declare(options);
    return run_tool(options, words, [&] {
        options.required("topic");
        options.required("bootstrap-server");
        return produce(options);
    });
}

}  // namespace broker

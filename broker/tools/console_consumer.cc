// milena console-consumer: kafka-console-consumer.sh. Records of topics to standard output.

#include "broker/tools/client_properties.h"
#include "broker/tools/commands.h"
#include "broker/tools/interrupt.h"
#include "broker/tools/progress.h"
#include "broker/tools/reader.h"
#include "broker/tools/record_printer.h"
#include "broker/tools/zk_reader.h"

#include <cerrno>
#include <iostream>
#include <unistd.h>

namespace broker {
namespace {

constexpr auto tool_class = "org.apache.kafka.tools.consumer.ConsoleConsumer";

void declare(Options& options) {
    add_cluster_options(options);
    options.value("topic", "name", "The topic to read.");
    options.value("include,whitelist", "expression", "Topics by regular expression.");
    options.value("partition", "n",
                  "Only this partition; from the end unless --offset says otherwise.");
    options.value("offset", "offset",
                  "A number, earliest or latest (the default); with --partition.");
    options.flag("from-beginning",
                 "Where the group has no offset: from the first record, not the next one.");
    options.value("max-messages", "n", "Stop after so many; without it go on for ever.");
    options.value("timeout-ms", "ms", "Stop when no record came for so long.");
    options.value("group", "id", "Read as a member of this consumer group.");
    options.value("isolation-level", "level", "read_committed or read_uncommitted (the default).");
    options.value("property,formatter-property", "key=value",
                  "print.timestamp, print.key, print.offset, print.partition, print.headers, "
                  "print.value, key.separator, "
                  "line.separator, headers.separator, null.literal, key.deserializer, "
                  "value.deserializer; may be repeated.");
    options.value("formatter-config", "file", "The same from a file.");
    options.value("key-deserializer", "class",
                  "Kafka's String, ByteArray, Short, Integer, Long or Double deserializer.");
    options.value("value-deserializer", "class", "Likewise for values.");
    options.value(
        "formatter", "class",
        "Kafka's DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter.");
    options.value("consumer-property,command-property", "key=value",
                  "A property of the consumer; may be repeated.");
    options.value("consumer.config", "file", "Properties of the consumer from a file.");
    options.flag("skip-message-on-error", "Accepted: printing a record cannot fail.");
    options.flag("enable-systest-events", "Accepted.");
    options.flag("new-consumer", "Accepted, of old scripts.");
    options.value(
        "zookeeper", "host:port",
        "Read as the consumer of Kafka 0.8 to 1.x does: a group and its offsets in ZooKeeper.");
    options.flag("delete-consumer-offsets", "With --zookeeper: forget the group's offsets first.");
}

ClientProperties consumer_properties(const Options& options) {
    ClientProperties properties;
    for (const char* file : {"consumer.config", "command-config"}) {
        if (const auto path = options.get(file)) properties.merge(read_properties(*path));
    }
    for (auto& [key, value] : parse_pairs(options.all("consumer-property")))
        properties[key] = value;
    if (const auto level = options.get("isolation-level")) properties["isolation.level"] = *level;
    return properties;
}

std::string group_of(const Options& options, const ClientProperties& properties) {
    const auto named = properties.find("group.id");
    const auto option = options.get("group");
    if (option && named != properties.end() && named->second != *option) {
        throw UsageError(
            "The group ids provided in different places (directly using '--group', via "
            "'--consumer-property', "
            "or via '--consumer.config') do not match.");
    }
    if (option) return *option;
    return named == properties.end() ? "" : named->second;
}

std::chrono::milliseconds milliseconds_of(const ClientProperties& properties, const char* key,
                                          std::chrono::milliseconds otherwise) {
    const auto found = properties.find(key);
    if (found == properties.end()) return otherwise;
    const auto number = to_integer(found->second);
    if (!number || *number < 0)
        throw ToolError("Invalid value " + found->second + " for configuration " + key);
    return std::chrono::milliseconds(*number);
}

ReaderSettings reader_settings(const Options& options, const ClientProperties& properties) {
    ReaderSettings settings;
    if (options.has("topic") == options.has("include")) {
        throw UsageError("Exactly one of --include/--topic is required. ");
    }
    if (const auto topic = options.get("topic")) settings.topics = {*topic};
    settings.include = options.get("include");
    const auto partition = options.integer("partition");
    const auto offset = options.get("offset");
    if (partition && !options.has("topic"))
        throw UsageError("The topic is required when partition is specified.");
    if (offset && !partition)
        throw UsageError("The partition is required when offset is specified.");
    if (offset && options.has("from-beginning")) {
        throw UsageError("Options from-beginning and offset cannot be specified together.");
    }
    if (partition) settings.partition = base::PartitionIndex(static_cast<std::int32_t>(*partition));

    configure(properties, settings.fetch);
    const auto reset = properties.find("auto.offset.reset");
    if (options.has("from-beginning")) {
        if (reset != properties.end() && reset->second != "earliest" &&
            reset->second != "smallest") {
            throw UsageError(
                "Can't simultaneously specify --from-beginning and 'auto.offset.reset=" +
                reset->second + "'");
        }
        settings.fetch.reset = earliest_timestamp;
    }
    settings.start = settings.fetch.reset.value_or(latest_timestamp);
    if (offset) {
        if (*offset == "earliest") {
            settings.start = earliest_timestamp;
        } else if (*offset == "latest") {
            settings.start = latest_timestamp;
        } else if (const auto number = to_integer(*offset); number && *number >= 0) {
            settings.offset = base::Offset(*number);
        } else {
            throw UsageError(
                "The provided offset value '" + *offset +
                "' is incorrect. Valid values are 'earliest', 'latest', or a non-negative long.");
        }
    }
    const auto group = group_of(options, properties);
    if (!group.empty() && partition) {
        throw UsageError("Options group and partition cannot be specified together.");
    }
    if (!group.empty()) {
        GroupSettings member{.group_id = group};
        if (const auto id = properties.find("group.instance.id"); id != properties.end())
            member.instance_id = id->second;
        member.session_timeout =
            milliseconds_of(properties, "session.timeout.ms", member.session_timeout);
        member.rebalance_timeout =
            milliseconds_of(properties, "max.poll.interval.ms", member.rebalance_timeout);
        member.heartbeat_interval =
            milliseconds_of(properties, "heartbeat.interval.ms", member.heartbeat_interval);
        settings.group = std::move(member);
        const auto commit = properties.find("enable.auto.commit");
        settings.auto_commit = commit == properties.end() || commit->second != "false";
        settings.auto_commit_interval =
            milliseconds_of(properties, "auto.commit.interval.ms", settings.auto_commit_interval);
    }
    settings.metadata_max_age =
        milliseconds_of(properties, "metadata.max.age.ms", settings.metadata_max_age);
    return settings;
}

// False when nobody reads what we print.
bool write_out(std::string& text) {
    std::string_view rest = text;
    while (!rest.empty()) {
        const auto written = ::write(STDOUT_FILENO, rest.data(), rest.size());
        if (written >= 0) {
            rest.remove_prefix(static_cast<std::size_t>(written));
        } else if (errno != EINTR) {
            return false;
        }
    }
    text.clear();
    return true;
}

// Where records come from: the consumer of today, or that of ZooKeeper.
struct Source {
    std::function<ClientResult<std::size_t>(Deadline, const Fetcher::Take&)> poll;
    std::function<ClientResult<void>()> close;
};

Source source_of(const Options& options, const ClientProperties& properties) {
    auto settings = reader_settings(options, properties);
    if (const auto zookeeper = options.get("zookeeper")) {
        if (settings.partition) throw UsageError("--partition does not go with --zookeeper");
        ZkReader::Settings old{.zookeeper = *zookeeper,
                               .group = group_of(options, properties),
                               .forgets_offsets = options.has("delete-consumer-offsets"),
                               .reader = std::move(settings)};
        const auto reader = std::make_shared<ZkReader>(std::move(old));
        return {[reader](Deadline deadline, const Fetcher::Take& take) {
                    return reader->poll(deadline, take);
                },
                [reader]() -> ClientResult<void> {
                    reader->close();
                    return {};
                }};
    }
    const auto reader = std::make_shared<TopicReader>(
        client_settings(options.required("bootstrap-server"), properties, "console-consumer"),
        std::move(settings));
    return {[reader](Deadline deadline, const Fetcher::Take& take) {
                return reader->poll(deadline, take);
            },
            [reader] { return reader->close(); }};
}

int consume(const Options& options) {
    constexpr std::size_t output_bytes = std::size_t{1} << 20;
    const auto properties = consumer_properties(options);
    ClientProperties shown = parse_pairs(options.all("property"));
    if (const auto path = options.get("formatter-config")) shown.merge(read_properties(*path));
    for (const char* name : {"key", "value"}) {
        if (const auto form = options.get(std::string(name) + "-deserializer"))
            shown[std::string(name) + ".deserializer"] = *form;
    }
    const auto formatter = options.get_or("formatter", "DefaultMessageFormatter");
    const bool is_silent = formatter.ends_with("NoOpMessageFormatter");
    if (!is_silent && !formatter.ends_with("DefaultMessageFormatter") &&
        !formatter.ends_with("LoggingMessageFormatter")) {
        throw ToolError("formatter " + formatter + " is a Java class that is not known here");
    }
    const auto printer = RecordPrinter::make(shown);
    if (!printer) throw ToolError(printer.error());

    const Source reader = source_of(options, properties);
    const auto most = options.integer_or("max-messages", -1);
    const auto timeout = options.integer_or("timeout-ms", -1);
    const auto patience = std::chrono::milliseconds(timeout < 0 ? 3'600'000 : timeout);
    std::int64_t count = 0;
    bool is_read = true;
    std::string out;
    std::optional<ClientFault> fault;
    {
        Progress progress("records", std::max<std::int64_t>(most, 0));
        catch_interrupts();
        const auto take = [&](const FetchedRecord& record) {
            if (!is_silent) printer->print(record, out);
            ++count;
            if (out.size() >= output_bytes) is_read = write_out(out);
            return is_read && (most < 0 || count < most);
        };
        auto deadline = after(patience);
        while (is_read && !interrupt() && (most < 0 || count < most)) {
            const auto polled = reader.poll(deadline, take);
            if (!polled) {
                fault = polled.error();
                break;
            }
            is_read = is_read && write_out(out);
            progress.at(count);
            if (*polled > 0) {
                deadline = after(patience);
            } else if (timeout >= 0 && milliseconds_left(deadline) == 0) {
                print_error("Error processing message, terminating consumer process: ", tool_class);
                std::cerr << "org.apache.kafka.common.errors.TimeoutException\n";
                break;
            }
        }
        is_read = write_out(out) && is_read;
    }
    const auto closed = reader.close();
    if (!is_read) std::cerr << "Unable to write to standard out, closing consumer.\n";
    std::cerr << "Processed a total of " << count << " messages\n";
    if (fault) {
        print_error("Error processing message, terminating consumer process: ", tool_class);
        std::cerr << qualified(*fault) << "\n";
        return 1;
    }
    need(closed);
    return interrupt() ? 128 + interrupt() : 0;
}

}  // namespace

int run_console_consumer(const Words& words) {
    Options options(
        "This tool helps to read data from Kafka topics and outputs it to standard output.");
    declare(options);
    return run_tool(options, words, [&] {
        if (!options.has("zookeeper")) options.required("bootstrap-server");
        return consume(options);
    });
}

}  // namespace broker

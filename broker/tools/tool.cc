#include "broker/tools/tool.h"

#include "broker/config/load.h"
#include "broker/config/properties.h"
#include "broker/tools/version.h"

#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <iostream>
#include <re2/re2.h>
#include <unistd.h>

namespace broker {

using protocol::ErrorCode;

std::string version_text() {
    return std::string(milena_version) + " (" + milena_commit + ")";
}

int run_tool(Options& options, const std::vector<std::string>& words,
             const std::function<int()>& body) {
    try {
        options.parse(words);
        if (options.wants_help()) {
            std::cout << options.help();
            return 0;
        }
        if (options.wants_version()) {
            std::cout << version_text() << "\n";
            return 0;
        }
        const int code = body();
        std::cout.flush();
        if (!std::cout) return 1;
        return code;
    } catch (const UsageError& error) {
        std::cout.flush();
        std::cerr << error.what() << "\n" << options.help();
    } catch (const ToolError& error) {
        std::cout.flush();
        std::cerr << (error.kind().empty() ? "" : error.kind() + ": ") << error.what() << "\n";
    }
    return 1;
}

// RESOURCE_NOT_FOUND is ResourceNotFoundException; only the few that read otherwise are listed.
std::string exception_name(ErrorCode code) {
    static const std::map<ErrorCode, std::string> irregular = {
        {ErrorCode::topic_already_exists, "TopicExistsException"},
        {ErrorCode::unknown_server_error, "UnknownServerException"},
        {ErrorCode::request_timed_out, "TimeoutException"},
        {ErrorCode::message_too_large, "RecordTooLargeException"},
        {ErrorCode::record_list_too_large, "RecordBatchTooLargeException"},
        {ErrorCode::invalid_config, "InvalidConfigurationException"},
        {ErrorCode::invalid_topic_exception, "InvalidTopicException"},
        {ErrorCode::invalid_required_acks, "InvalidRequiredAcksException"},
        {ErrorCode::non_empty_group, "GroupNotEmptyException"},
        {ErrorCode::out_of_order_sequence_number, "OutOfOrderSequenceException"},
        {ErrorCode::duplicate_sequence_number, "DuplicateSequenceException"},
        {ErrorCode::group_subscribed_to_topic, "GroupSubscribedToTopicException"},
        {ErrorCode::kafka_storage_error, "KafkaStorageException"},
        {ErrorCode::coordinator_load_in_progress, "CoordinatorLoadInProgressException"},
        {ErrorCode::corrupt_message, "CorruptRecordException"},
        {ErrorCode::network_exception, "NetworkException"},
    };
    if (const auto found = irregular.find(code); found != irregular.end()) return found->second;
    std::string name;
    bool upper = true;
    for (const char letter : protocol::error_name(code)) {
        if (letter == '_') {
            upper = true;
        } else {
            name += upper ? letter
                          : static_cast<char>(letter >= 'A' && letter <= 'Z' ? letter - 'A' + 'a'
                                                                             : letter);
            upper = false;
        }
    }
    return name + "Exception";
}

std::string qualified(const ClientFault& fault) {
    switch (fault.kind) {
        case ClientFault::Kind::refused:
        case ClientFault::Kind::unsupported:
            return "org.apache.kafka.common.errors." + exception_name(fault.code) + ": " +
                   fault.detail;
        case ClientFault::Kind::timed_out:
        case ClientFault::Kind::unreachable:
            return "org.apache.kafka.common.errors.TimeoutException: " + fault.detail;
        case ClientFault::Kind::broken_answer:
        case ClientFault::Kind::bad_input:
            break;
    }
    return fault.detail;
}

void throw_fault(const ClientFault& fault) {
    std::string kind;
    if (fault.kind == ClientFault::Kind::refused || fault.kind == ClientFault::Kind::unsupported) {
        kind = exception_name(fault.code);
    } else if (fault.kind != ClientFault::Kind::broken_answer &&
               fault.kind != ClientFault::Kind::bad_input) {
        kind = "TimeoutException";
    }
    throw ToolError(fault.detail, kind.empty() ? kind : "org.apache.kafka.common.errors." + kind);
}

std::string read_file(const std::string& path) {
    auto text = read_config_file(path);
    if (!text) throw ToolError(text.error());
    return std::move(*text);
}

ClientProperties read_properties(const std::string& path) {
    const auto parsed = parse_properties(read_file(path));
    if (!parsed)
        throw ToolError(path + ":" + std::to_string(parsed.error().line) + ": " +
                        parsed.error().detail);
    ClientProperties properties;
    for (const auto& each : *parsed) properties[each.key] = each.value;
    return properties;
}

ClientProperties parse_pairs(const std::vector<std::string>& pairs) {
    ClientProperties properties;
    for (const auto& pair : pairs) {
        const auto equals = pair.find('=');
        if (equals == 0) throw UsageError("Invalid command line properties: " + pair);
        properties[pair.substr(0, equals)] =
            equals == std::string::npos ? "" : pair.substr(equals + 1);
    }
    return properties;
}

ClientSettings client_settings(const std::string& bootstrap, const ClientProperties& properties,
                               const std::string& client_id) {
    const auto text = [&](const char* key) {
        const auto found = properties.find(key);
        return found == properties.end() ? std::string() : found->second;
    };
    const auto security = text("security.protocol");
    if (!security.empty() && security != "PLAINTEXT") {
        throw ToolError("security.protocol=" + security +
                        " is not available in these tools yet; PLAINTEXT is");
    }
    ClientSettings settings;
    auto addresses = parse_addresses(bootstrap.empty() ? text("bootstrap.servers") : bootstrap);
    if (!addresses) throw ToolError(addresses.error());
    settings.bootstrap = std::move(*addresses);
    settings.client_id = text("client.id").empty() ? client_id : text("client.id");
    const auto milliseconds = [&](const char* key, std::chrono::milliseconds& into) {
        const auto value = text(key);
        if (value.empty()) return;
        const auto number = to_integer(value);
        if (!number || *number < 0)
            throw ToolError("Invalid value " + value + " for configuration " + key);
        into = std::chrono::milliseconds(*number);
    };
    milliseconds("request.timeout.ms", settings.request_timeout);
    milliseconds("default.api.timeout.ms", settings.api_timeout);
    milliseconds("retry.backoff.ms", settings.retry_backoff);
    milliseconds("socket.connection.setup.timeout.ms", settings.connect_timeout);
    settings.warn = [](const std::string& sentence) {
        print_warning(
            "Connection could not be established. Node may not be available. Trying again: " +
                sentence,
            "org.apache.kafka.clients.NetworkClient");
    };
    return settings;
}

void add_cluster_options(Options& options, std::string_view old_bootstrap_name) {
    const auto names = old_bootstrap_name.empty()
                           ? std::string("bootstrap-server")
                           : "bootstrap-server," + std::string(old_bootstrap_name);
    options.value(names, "host:port,...", "The brokers to connect to first.");
    options.value("command-config", "file",
                  "Properties of the client: request.timeout.ms, client.id ...");
}

ClientSettings settings_of(const Options& options, const std::string& client_id) {
    const auto file = options.get("command-config");
    return client_settings(options.required("bootstrap-server"),
                           file ? read_properties(*file) : ClientProperties{}, client_id);
}

namespace {

void print_log_line(std::string_view level, std::string_view text, std::string_view where) {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    std::tm local{};
    ::localtime_r(&now.tv_sec, &local);
    std::array<char, 32> stamp{};
    std::strftime(stamp.data(), stamp.size(), "%Y-%m-%d %H:%M:%S", &local);
    std::fprintf(stderr, "[%s,%03ld] %.*s %.*s (%.*s)\n", stamp.data(), now.tv_nsec / 1'000'000,
                 static_cast<int>(level.size()), level.data(), static_cast<int>(text.size()),
                 text.data(), static_cast<int>(where.size()), where.data());
}

}  // namespace

void print_warning(std::string_view text, std::string_view where) {
    print_log_line("WARN", text, where);
}

void print_error(std::string_view text, std::string_view where) {
    print_log_line("ERROR", text, where);
}

std::vector<std::string> split(std::string_view text, char at) {
    std::vector<std::string> parts;
    while (true) {
        const auto end = text.find(at);
        parts.emplace_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

std::string join(const std::vector<std::string>& words, std::string_view with) {
    std::string joined;
    for (const auto& word : words) {
        if (&word != &words.front()) joined += with;
        joined += word;
    }
    return joined;
}

std::string trim(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r\n");
    if (first == std::string_view::npos) return {};
    return std::string(text.substr(first, text.find_last_not_of(" \t\r\n") - first + 1));
}

std::optional<std::int64_t> to_integer(std::string_view text) {
    std::int64_t number = 0;
    const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (text.empty() || fault != std::errc() || end != text.data() + text.size())
        return std::nullopt;
    return number;
}

std::string to_string(const base::Uuid& id) {
    constexpr std::string_view letters =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    std::uint32_t bits = 0;
    int held = 0;
    for (const auto byte : id) {
        bits = bits << 8 | std::to_integer<std::uint32_t>(byte);
        for (held += 8; held >= 6; held -= 6) text += letters[bits >> (held - 6) & 0x3f];
    }
    text += letters[bits << (6 - held) & 0x3f];
    return text;
}

struct TopicFilter::State {
    explicit State(const std::string& expression) : pattern(expression, RE2::Quiet) {}
    RE2 pattern;
};

TopicFilter::TopicFilter(std::string_view expression) {
    std::string plain;
    for (const char letter : expression) {
        if (letter == '\'' || letter == '"' || letter == ' ') continue;
        plain += letter == ',' ? '|' : letter;
    }
    state_ = std::make_unique<State>(plain);
    if (!state_->pattern.ok())
        throw ToolError(plain + " is an invalid regex: " + state_->pattern.error());
}

TopicFilter::~TopicFilter() = default;
TopicFilter::TopicFilter(TopicFilter&&) noexcept = default;

bool TopicFilter::matches(std::string_view topic) const {
    return RE2::FullMatch(re2::StringPiece(topic.data(), topic.size()), state_->pattern);
}

std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::size_t>& least_widths) {
    auto widths = least_widths;
    for (const auto& row : rows) {
        for (std::size_t at = 0; at < row.size() && at < widths.size(); ++at) {
            widths[at] = std::max(widths[at], row[at].size());
        }
    }
    std::string text;
    for (const auto& row : rows) {
        for (std::size_t at = 0; at < row.size(); ++at) {
            text += row[at];
            if (at + 1 == row.size()) break;
            if (at < widths.size()) text.append(widths[at] - row[at].size(), ' ');
            text += ' ';
        }
        text += '\n';
    }
    return text;
}

}  // namespace broker

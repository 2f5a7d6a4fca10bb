// What the tools share: how a tool runs and reports, its connection to a cluster, and the
// small things that they print.
#pragma once

#include "broker/client/cluster.h"
#include "broker/tools/options.h"

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace broker {

// "0.1.0 (commit)", as `--version` of every tool prints it.
std::string version_text();

// Parse, answer --help and --version, run `body`, and turn what it throws into a sentence on
// standard error and exit code 1. `name` is the Kafka tool's class, for log-like lines.
int run_tool(Options& options, const std::vector<std::string>& words,
             const std::function<int()>& body);

[[noreturn]] void throw_fault(const ClientFault& fault);

// The value, or a ToolError with the fault's sentence.
template <class T>
T need(ClientResult<T> result) {
    if (!result) throw_fault(result.error());
    if constexpr (!std::is_void_v<T>) return std::move(*result);
}

// Kafka's name of an error, as its Java classes have it: "TopicExistsException".
std::string exception_name(protocol::ErrorCode code);

// `org.apache.kafka.common.errors.TopicExistsException: sentence`.
std::string qualified(const ClientFault& fault);

// key=value pairs of a file in Java's format. Faults: ToolError.
using ClientProperties = std::map<std::string, std::string>;
ClientProperties read_properties(const std::string& path);

// "a=b" each. Faults: UsageError.
ClientProperties parse_pairs(const std::vector<std::string>& pairs);

// Addresses, client id and time-outs of a client; what needs a security protocol other than
// PLAINTEXT is refused. Faults: ToolError.
ClientSettings client_settings(const std::string& bootstrap, const ClientProperties& properties,
                               const std::string& client_id);

// The options that every tool that talks to a cluster has.
void add_cluster_options(Options& options, std::string_view old_bootstrap_name = {});
// `--bootstrap-server` and `--command-config`. Faults: UsageError, ToolError.
ClientSettings settings_of(const Options& options, const std::string& client_id);

// Log lines on standard error, in the form of Kafka's tools.
void print_warning(std::string_view text, std::string_view where);
void print_error(std::string_view text, std::string_view where);

std::vector<std::string> split(std::string_view text, char at);
std::string join(const std::vector<std::string>& words, std::string_view with);
std::string trim(std::string_view text);
// A whole number, or nothing.
std::optional<std::int64_t> to_integer(std::string_view text);

// Kafka's form of an id: 22 characters of URL-safe base64.
std::string to_string(const base::Uuid& id);

std::string read_file(const std::string& path);

// Names that match a list of regular expressions `a.*|b`; commas count as `|`, as in Kafka.
class TopicFilter {
public:
    explicit TopicFilter(std::string_view expression);
    ~TopicFilter();
    TopicFilter(TopicFilter&&) noexcept;
    bool matches(std::string_view topic) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

inline bool is_internal_topic(std::string_view name) {
    return name == "__consumer_offsets" || name == "__transaction_state" ||
           name == "__share_group_state";
}

// Rows in columns: each as wide as its widest cell, one space between. The first row is the head.
std::string table(const std::vector<std::vector<std::string>>& rows,
                  const std::vector<std::size_t>& least_widths);

}  // namespace broker

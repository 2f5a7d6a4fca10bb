// milena dump-log: kafka-dump-log.sh. What the files of a partition hold, without a broker.
//
// Limits: a log is read piece by piece, at most one batch and a megabyte in memory.

#include "broker/tools/commands.h"
#include "broker/tools/journal_text.h"
#include "broker/tools/progress.h"
#include "broker/tools/tool.h"
#include "protocol/records/message_set.h"
#include "protocol/wire/big_endian.h"
#include "storage/index.h"
#include "storage/producer_snapshot.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <iostream>
#include <sys/stat.h>
#include <unistd.h>

namespace broker {
namespace {

using records::Bytes;

constexpr std::size_t inflated_max = std::size_t{1} << 30;

// A file that is read at positions.
class Source {
public:
    explicit Source(const std::string& path)
        : descriptor_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        struct stat facts{};
        if (descriptor_ < 0 || ::fstat(descriptor_, &facts) != 0) {
            throw ToolError("cannot open " + path + ": " + std::strerror(errno));
        }
        size_ = static_cast<std::uint64_t>(facts.st_size);
    }
    ~Source() { ::close(descriptor_); }
    Source(const Source&) = delete;
    Source& operator=(const Source&) = delete;

    std::uint64_t size() const noexcept { return size_; }

    // Up to `count` bytes from `at` on; fewer at the end. Valid until the next call.
    Bytes read(std::uint64_t at, std::size_t count) {
        const auto left = at < size_ ? size_ - at : 0;
        count = static_cast<std::size_t>(std::min<std::uint64_t>(count, left));
        const bool is_there = at >= begin_ && at + count <= begin_ + buffer_.size();
        if (!is_there) {
            buffer_.resize(static_cast<std::size_t>(
                std::min<std::uint64_t>(std::max(count, read_ahead), left)));
            begin_ = at;
            std::size_t filled = 0;
            while (filled < buffer_.size()) {
                const auto got = ::pread(descriptor_, buffer_.data() + filled,
                                         buffer_.size() - filled, static_cast<off_t>(at + filled));
                if (got < 0 && errno == EINTR) continue;
                if (got <= 0) break;
                filled += static_cast<std::size_t>(got);
            }
            buffer_.resize(filled);
        }
        const auto from = static_cast<std::size_t>(at - begin_);
        return Bytes(buffer_).subspan(from, std::min(count, buffer_.size() - from));
    }

    Bytes whole() { return read(0, static_cast<std::size_t>(size_)); }

private:
    static constexpr std::size_t read_ahead = std::size_t{1} << 20;

    int descriptor_;
    std::uint64_t size_ = 0;
    std::uint64_t begin_ = 0;
    std::vector<std::byte> buffer_;
};

struct Settings {
    bool deep = false;
    bool contents = false;
    bool skip_metadata = false;
    bool verify_only = false;
    bool sanity_only = false;
    std::int64_t bytes_max = 0;
    enum class Decoder { none, offsets, transactions } decoder = Decoder::none;
};

// What does not fit together, told at the end like Kafka's tool does.
struct Complaints {
    std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>> not_consecutive;
    std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>> index_mismatches;
    std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>> not_in_log;
    std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>> shallow_times;
    std::map<std::string, std::vector<std::pair<std::int64_t, std::int64_t>>> times_out_of_order;
};

const char* text(bool value) {
    return value ? "true" : "false";
}

const char* type_name(records::TimestampType type) {
    return type == records::TimestampType::log_append_time ? "LogAppendTime" : "CreateTime";
}

void print_text(std::string_view name, const std::optional<Bytes>& bytes) {
    if (bytes) std::cout << " " << name << ": " << records::text_of(*bytes);
}

void print_contents(const records::Record& record, const Settings& settings) {
    if (!settings.contents) return;
    if (settings.decoder == Settings::Decoder::none) {
        print_text("key", record.key);
        print_text("payload", record.value);
        return;
    }
    const auto decoded = settings.decoder == Settings::Decoder::offsets ? offsets_text(record)
                                                                        : transaction_text(record);
    std::cout << " key: " << decoded.key << " payload: " << decoded.payload;
}

void print_record_head(const records::Record& record, records::TimestampType type) {
    const auto size = [](const std::optional<Bytes>& bytes) {
        return bytes ? static_cast<std::int64_t>(bytes->size()) : -1;
    };
    std::cout << "| offset: " << record.offset.value() << " " << type_name(type) << ": "
              << record.timestamp << " keySize: " << size(record.key)
              << " valueSize: " << size(record.value);
}

class LogDump {
public:
    LogDump(const std::string& path, const Settings& settings, Complaints& complaints)
        : path_(path), source_(path), settings_(settings), complaints_(complaints) {}

    void run() {
        const auto base = std::filesystem::path(path_).stem().string();
        std::cout << "Log starting offset: " << to_integer(base).value_or(0) << "\n";
        const auto end = settings_.bytes_max > 0
                             ? std::min<std::uint64_t>(
                                   source_.size(), static_cast<std::uint64_t>(settings_.bytes_max))
                             : source_.size();
        Progress progress("bytes", static_cast<std::int64_t>(end));
        std::uint64_t position = 0;
        while (position < end) {
            const auto head = source_.read(position, records::entry_header_bytes);
            const auto entry = records::peek_entry(head);
            if (!entry || entry->size > end - position) break;
            const auto bytes = source_.read(position, entry->size);
            if (bytes.size() < entry->size) break;
            if (entry->magic < records::batch_format::magic) {
                dump_old(bytes, *entry, position);
            } else if (!dump_batch(bytes, position)) {
                break;
            }
            position += entry->size;
            progress.at(static_cast<std::int64_t>(position));
        }
        if (position < end && settings_.bytes_max == 0) {
            std::cout << "Found " << end - position << " invalid bytes at the end of "
                      << std::filesystem::path(path_).filename().string() << "\n";
        }
    }

private:
    bool dump_batch(Bytes bytes, std::uint64_t position) {
        const auto batch = records::Batch::view(bytes);
        if (!batch) return false;
        const bool is_valid = records::Batch::read(bytes).has_value();
        const auto type = batch->timestamp_type();
        std::cout << "baseOffset: " << batch->base_offset().value()
                  << " lastOffset: " << batch->last_offset().value()
                  << " count: " << batch->record_count()
                  << " baseSequence: " << batch->base_sequence()
                  << " lastSequence: " << batch->last_sequence()
                  << " producerId: " << batch->producer_id().value()
                  << " producerEpoch: " << batch->producer_epoch()
                  << " partitionLeaderEpoch: " << batch->leader_epoch().value()
                  << " isTransactional: " << text(batch->is_transactional())
                  << " isControl: " << text(batch->is_control()) << " deleteHorizonMs: ";
        if (batch->has_delete_horizon()) {
            std::cout << "OptionalLong[" << batch->base_timestamp() << "]";
        } else {
            std::cout << "OptionalLong.empty";
        }
        std::cout << " position: " << position << " " << type_name(type) << ": "
                  << batch->max_timestamp() << " size: " << batch->size()
                  << " magic: 2 compresscodec: " << records::name_of(batch->codec())
                  << " crc: " << batch->crc() << " isvalid: " << text(is_valid) << "\n";
        if (!settings_.deep) return true;
        auto walk = records::RecordWalk::open(*batch, inflater_, inflated_max);
        if (!walk) {
            std::cout << "| the records cannot be read: " << describe(walk.error()) << "\n";
            return true;
        }
        auto sequence = batch->base_sequence();
        while (const auto* record = walk->next()) {
            follow(record->offset);
            if (!settings_.skip_metadata) {
                print_record_head(*record, type);
                std::cout << " sequence: " << sequence << " headerKeys: [";
                bool is_first = true;
                for (const auto& header : record->headers) {
                    std::cout << (is_first ? "" : ",") << header.key;
                    is_first = false;
                }
                std::cout << "]";
            } else {
                std::cout << "|";
            }
            if (sequence >= 0) sequence = records::sequence_after(sequence, 1);
            if (batch->is_control()) {
                print_control(*batch);
            } else {
                print_contents(*record, settings_);
            }
            std::cout << "\n";
        }
        if (walk->fault())
            std::cout << "| the records cannot be read: " << describe(*walk->fault()) << "\n";
        return true;
    }

    static void print_control(const records::Batch& batch) {
        const auto control = records::read_control(batch);
        if (!control) return;
        if (control->is(records::ControlType::commit) || control->is(records::ControlType::abort)) {
            std::cout << " endTxnMarker: "
                      << (control->is(records::ControlType::commit) ? "COMMIT" : "ABORT")
                      << " coordinatorEpoch: " << control->coordinator_epoch;
        } else {
            std::cout << " controlType: " << control->type;
        }
    }

    void dump_old(Bytes bytes, const records::Entry& entry, std::uint64_t position) {
        const auto message = records::Message::read(bytes);
        const auto type = message ? message->timestamp_type() : records::TimestampType::create_time;
        std::cout << "offset: " << entry.last_offset.value() << " position: " << position << " "
                  << type_name(type) << ": " << entry.max_timestamp << " size: " << entry.size
                  << " magic: " << int{entry.magic}
                  << " compresscodec: " << records::name_of(entry.codec)
                  << " crc: " << wire::load<std::uint32_t>(bytes, records::message_format::crc_at)
                  << " isvalid: " << text(message.has_value()) << "\n";
        if (!settings_.deep || !message) return;
        auto walk = records::MessageWalk::open(*message, inflater_, inflated_max);
        if (!walk) {
            std::cout << "| the messages cannot be read: " << describe(walk.error()) << "\n";
            return;
        }
        while (const auto* record = walk->next()) {
            follow(record->offset);
            print_record_head(*record, type);
            std::cout << " isValid: true";
            print_contents(*record, settings_);
            std::cout << "\n";
        }
    }

    void follow(base::Offset offset) {
        if (last_ >= 0 && offset.value() != last_ + 1)
            complaints_.not_consecutive[path_].emplace_back(last_, offset.value());
        last_ = offset.value();
    }

    std::string path_;
    Source source_;
    const Settings& settings_;
    Complaints& complaints_;
    records::Inflater inflater_;
    std::int64_t last_ = -1;
};

std::int64_t base_of(const std::string& path) {
    return to_integer(std::filesystem::path(path).stem().string()).value_or(0);
}

std::string log_of(const std::string& path) {
    return std::filesystem::path(path).replace_extension(".log").string();
}

// Kafka's sanity check of an index file: whole entries, and the last one not below the first.
void check_sanity(const std::string& path, Bytes bytes, std::size_t entry_bytes) {
    if (bytes.size() % entry_bytes != 0) {
        throw ToolError(
            "Index file " + path + " is corrupt, found " + std::to_string(bytes.size()) +
            " bytes which is neither positive nor a multiple of " + std::to_string(entry_bytes));
    }
    std::cout << path << " passed sanity check.\n";
}

void dump_offset_index(const std::string& path, const Settings& settings, Complaints& complaints) {
    Source source(path);
    const auto base = base_of(path);
    if (settings.sanity_only) return check_sanity(path, source.whole(), storage::OffsetEntry::size);
    Source log(log_of(path));
    const auto bytes = source.whole();
    for (std::size_t at = 0; at + storage::OffsetEntry::size <= bytes.size();
         at += storage::OffsetEntry::size) {
        const auto offset = base + wire::load<std::uint32_t>(bytes, at);
        const auto position = wire::load<std::uint32_t>(bytes, at + 4);
        if (offset == base && at > 0) break;  // The zeros that a file is made with.
        const auto entry = records::peek_entry(log.read(position, records::entry_header_bytes));
        const auto found = entry ? entry->last_offset.value() : -1;
        if (found != offset) complaints.index_mismatches[path].emplace_back(offset, found);
        if (!settings.verify_only)
            std::cout << "offset: " << offset << " position: " << position << "\n";
    }
}

// The timestamp and the offset of the entry of the log that ends at `offset` or behind it.
std::optional<records::Entry> find_entry(Source& log, std::int64_t offset, std::uint64_t& from) {
    while (from < log.size()) {
        const auto entry = records::peek_entry(log.read(from, records::entry_header_bytes));
        if (!entry) return std::nullopt;
        if (entry->last_offset.value() >= offset) return *entry;
        from += entry->size;
    }
    return std::nullopt;
}

void dump_time_index(const std::string& path, const Settings& settings, Complaints& complaints) {
    Source source(path);
    const auto base = base_of(path);
    if (settings.sanity_only) return check_sanity(path, source.whole(), storage::TimeEntry::size);
    Source log(log_of(path));
    const auto bytes = source.whole();
    std::uint64_t from = 0;  // Offsets rise, so the search goes on where it was.
    std::int64_t last_timestamp = -1;
    for (std::size_t at = 0; at + storage::TimeEntry::size <= bytes.size();
         at += storage::TimeEntry::size) {
        const auto timestamp = wire::load<std::int64_t>(bytes, at);
        const auto offset = base + wire::load<std::uint32_t>(bytes, at + 8);
        if (offset == base && at > 0) break;
        const auto entry = find_entry(log, offset, from);
        const bool holds =
            entry && (!entry->first_offset || entry->first_offset->value() <= offset);
        if (!holds) {
            complaints.not_in_log[path].emplace_back(offset,
                                                     entry ? entry->last_offset.value() : -1);
        } else if (entry->max_timestamp != timestamp) {
            complaints.shallow_times[path].emplace_back(timestamp, entry->max_timestamp);
        }
        if (timestamp <= last_timestamp && at > 0)
            complaints.times_out_of_order[path].emplace_back(timestamp, last_timestamp);
        last_timestamp = timestamp;
        if (!settings.verify_only)
            std::cout << "timestamp: " << timestamp << " offset: " << offset << "\n";
    }
}

void dump_snapshot(const std::string& path) {
    Source source(path);
    const auto facts = storage::decode_snapshot(source.whole());
    if (!facts)
        throw ToolError(path + ": not a valid producer snapshot",
                        "org.apache.kafka.storage.internals.log.CorruptSnapshotException");
    for (const auto& each : *facts) {
        std::cout << "producerId: " << each.producer.value() << " producerEpoch: " << each.epoch
                  << " coordinatorEpoch: " << each.coordinator_epoch << " currentTxnFirstOffset: ";
        if (each.transaction_start) {
            std::cout << "OptionalLong[" << each.transaction_start->value() << "]";
        } else {
            std::cout << "OptionalLong.empty";
        }
        std::cout << " lastTimestamp: " << each.last_timestamp << " ";
        if (each.last_offset.value() >= 0) {
            const auto first = each.last_sequence >= each.offset_delta
                                   ? each.last_sequence - each.offset_delta
                                   : std::numeric_limits<std::int32_t>::max() -
                                         (each.offset_delta - each.last_sequence) + 1;
            std::cout << "firstSequence: " << first << " lastSequence: " << each.last_sequence
                      << " lastOffset: " << each.last_offset.value()
                      << " offsetDelta: " << each.offset_delta
                      << " timestamp: " << each.last_timestamp;
        }
        std::cout << "\n";
    }
}

void dump_aborted(const std::string& path) {
    Source source(path);
    const auto entries = storage::decode_aborted(source.whole());
    if (!entries) throw ToolError(path + ": not a valid transaction index");
    for (const auto& each : *entries) {
        std::cout << "version: 0 producerId: " << each.producer.value()
                  << " firstOffset: " << each.first.value() << " lastOffset: " << each.last.value()
                  << " lastStableOffset: " << each.last_stable_offset.value() << "\n";
    }
}

void print_complaints(const Complaints& complaints) {
    std::cout.flush();
    for (const auto& [path, pairs] : complaints.index_mismatches) {
        std::cerr << "Mismatches in :" << path << "\n";
        for (const auto& [index, log] : pairs)
            std::cerr << "  Index offset: " << index << ", log offset: " << log << "\n";
    }
    for (const auto& [path, pairs] : complaints.shallow_times) {
        std::cerr << "Found timestamp mismatch in :" << path << "\n";
        for (const auto& [index, log] : pairs)
            std::cerr << "  Index timestamp: " << index << ", log timestamp: " << log << "\n";
    }
    for (const auto& [path, pairs] : complaints.times_out_of_order) {
        std::cerr << "Found out of order timestamp in :" << path << "\n";
        for (const auto& [now, before] : pairs)
            std::cerr << "  Index timestamp: " << now
                      << ", Previously indexed timestamp: " << before << "\n";
    }
    for (const auto& [path, pairs] : complaints.not_in_log) {
        std::cerr << "The following indexed offsets are not found in the log.\n";
        for (const auto& [index, log] : pairs)
            std::cerr << "Indexed offset: " << index << ", found log offset: " << log << "\n";
    }
    for (const auto& [path, pairs] : complaints.not_consecutive) {
        std::cerr << "Non-consecutive offsets in " << path << "\n";
        for (const auto& [before, now] : pairs)
            std::cerr << "  " << before << " is followed by " << now << "\n";
    }
}

int dump(const Options& options) {
    Settings settings;
    settings.verify_only = options.has("verify-index-only");
    settings.sanity_only = options.has("index-sanity-check");
    if (options.has("offsets-decoder")) settings.decoder = Settings::Decoder::offsets;
    if (options.has("transaction-log-decoder")) settings.decoder = Settings::Decoder::transactions;
    settings.contents = options.has("print-data-log") ||
                        settings.decoder != Settings::Decoder::none ||
                        options.has("value-decoder-class");
    settings.deep = settings.contents || options.has("deep-iteration");
    settings.skip_metadata = options.has("skip-record-metadata");
    settings.bytes_max = options.integer_or("max-bytes", 0);
    Complaints complaints;
    for (const auto& path : split(options.required("files"), ',')) {
        std::cout << "Dumping " << path << "\n";
        const auto kind = std::filesystem::path(path).extension().string();
        if (kind == ".log") {
            LogDump(path, settings, complaints).run();
        } else if (kind == ".index") {
            dump_offset_index(path, settings, complaints);
        } else if (kind == ".timeindex") {
            dump_time_index(path, settings, complaints);
        } else if (kind == ".snapshot") {
            dump_snapshot(path);
        } else if (kind == ".txnindex") {
            dump_aborted(path);
        } else {
            std::cout.flush();
            std::cerr << "Ignoring unknown file " << path << "\n";
        }
    }
    print_complaints(complaints);
    return 0;
}

}  // namespace

int run_dump_log(const Words& words) {
    Options options(
        "This tool helps to parse a log file and dump its contents to the console, useful for "
        "debugging a "
        "seemingly corrupt log segment.");
    options.value("files", "f1,f2", "The files: .log, .index, .timeindex, .snapshot, .txnindex.");
    options.flag("print-data-log", "Also the records' keys and values.");
    options.flag("deep-iteration", "Also the records, one line each.");
    options.flag("verify-index-only", "Indexes: only hold them against the log.");
    options.flag("index-sanity-check", "Indexes: only look whether they make sense.");
    options.value("max-message-size", "bytes", "Accepted: any batch is read.");
    options.value("max-bytes", "bytes", "Read only so many bytes of a log.");
    options.flag("skip-record-metadata", "Of records only keys and values.");
    options.flag("offsets-decoder", "Records of __consumer_offsets, decoded.");
    options.flag("transaction-log-decoder", "Records of __transaction_state, decoded.");
    options.maybe_value("key-decoder-class,value-decoder-class", "class",
                        "Accepted: keys and values are shown as text.");
    return run_tool(options, words, [&] { return dump(options); });
}

}  // namespace broker

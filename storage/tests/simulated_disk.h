// SimulatedDisk: a disk that can be unplugged.
//
// It keeps, for every file and every directory, what is durable and what is only written:
//
//     write, truncate           change what readers see
//     File::sync                makes a file's bytes and size durable
//     make, rename, remove      change the names that readers see
//     sync_directory            makes the names in one directory durable
//     sync_everything           both, for all
//
// Faults, all drawn from one seed or counted from one call:
//
//     kill_at(n)        the n-th call that changes something, and all after it, do nothing
//                       and fail: the process was killed there. kill() is kill_at(now).
//     fail_at(n, kind)  the n-th such call fails with io or no_space, once; a write may have
//                       written a part
//     fail_reads()      no file can be read any more: io
//     lose_power()      what was not synced is gone, but for a random part of it: blocks of
//                       512 bytes of the files, names of the directories
//     flip, cut         damage to a file
//
// A file that is open when its name goes stays readable, as on a real disk. Threads: one at
// a time.
#pragma once

#include "storage/disk.h"
#include "storage/no_wait.h"

#include <algorithm>
#include <functional>
#include <limits>
#include <map>
#include <random>
#include <set>

namespace test {

class SimulatedDisk final : public storage::Disk {
public:
    using Path = std::filesystem::path;
    template <class T>
    using Result = base::Result<T, storage::Fault>;

    explicit SimulatedDisk(std::uint64_t seed = 1) : random_(seed) {
        live_[""] = durable_[""] = Node{nullptr};
        live_["/"] = durable_["/"] = Node{nullptr};
    }

    // ---- Faults
    static constexpr std::uint64_t never = std::numeric_limits<std::uint64_t>::max();
    void kill_at(std::uint64_t change) { kill_at_ = change; }
    void kill() { kill_at_ = changes_; }
    void revive() { kill_at_ = never; }
    bool is_dead() const noexcept { return changes_ >= kill_at_; }
    void fail_at(std::uint64_t change, storage::FaultKind kind) {
        fail_at_ = change;
        fail_kind_ = kind;
    }
    void fail_reads() { fails_reads_ = true; }
    // `call` is made while the next file is synced.
    void during_sync(std::function<void()> call) { during_sync_ = std::move(call); }
    std::uint64_t changes() const noexcept { return changes_; }
    std::uint64_t syncs() const noexcept { return syncs_; }  // Of files and of directories.
    // No file is in memory any more until somebody waits for some of it.
    void go_cold() {
        is_cold_ = true;
        warm_.clear();
    }

    // What a machine finds when it is switched on again.
    void lose_power() {
        std::map<std::string, Node> names = durable_;
        // Some of the names that were not synced made it all the same. A rename is one change: the
        // new name comes with the loss of the old one, or neither does.
        for (const auto& [name, node] : live_) {
            const auto was = durable_.find(name);
            if (was != durable_.end() && was->second.data == node.data) continue;
            if (!coin() || !names.contains(parent_of(name))) continue;
            names[name] = node;
            if (!node.data) continue;
            std::erase_if(names, [&](const auto& one) {
                return one.second.data == node.data && one.first != name && !live_has(one.first, node);
            });
        }
        for (const auto& [name, node] : durable_) {
            if (!live_.contains(name) && !is_renamed(node) && coin()) names.erase(name);
        }
        std::erase_if(names, [&](const auto& one) { return !has_parents(names, one.first); });
        std::set<Data*> seen;
        for (auto& [name, node] : names) {
            if (node.data && seen.insert(node.data.get()).second) tear(*node.data);
        }
        live_ = durable_ = std::move(names);
        revive();
    }

    // ---- Damage and looks, for tests
    std::vector<std::byte>& bytes_of(const Path& name) { return live_.at(name.string()).data->now; }
    void damaged(const Path& name) {
        Data& data = *live_.at(name.string()).data;
        data.durable = data.now;
    }
    std::uint64_t room_of(const Path& name) const {
        const auto& data = *live_.at(name.string()).data;
        return std::max<std::uint64_t>(data.reserved, data.now.size());
    }
    bool has(const Path& name) const { return live_.contains(name.string()); }
    std::vector<std::string> names() const {
        std::vector<std::string> all;
        for (const auto& [name, node] : live_) all.push_back(name);
        return all;
    }
    std::map<std::string, std::vector<std::byte>> content() const {
        std::map<std::string, std::vector<std::byte>> all;
        for (const auto& [name, node] : live_) {
            if (node.data) all[name] = node.data->now;
        }
        return all;
    }
    // Everything as durable as it can be, and no fault to come.
    void settle() {
        kill_at_ = fail_at_ = never;
        for (auto& [name, node] : live_) {
            if (node.data) node.data->durable = node.data->now;
        }
        durable_ = live_;
    }
    // The same names and bytes, all of them durable, on a disk of its own.
    SimulatedDisk copy() const {
        SimulatedDisk made;
        for (const auto& [name, node] : live_) {
            auto data = node.data ? std::make_shared<Data>(*node.data) : nullptr;
            if (data) data->durable = data->now;
            made.live_[name] = made.durable_[name] = Node{data};
        }
        return made;
    }

    // The names and bytes of another disk, with this one's luck.
    void take_over(SimulatedDisk other) {
        live_ = std::move(other.live_);
        durable_ = std::move(other.durable_);
    }

    // ---- Disk
    Result<std::shared_ptr<storage::File>> open(const Path& name, storage::OpenMode mode) override {
        auto found = live_.find(name.string());
        if (found == live_.end()) {
            if (mode != storage::OpenMode::create) return missing(name);
            if (auto done = change("open", name); !done) return base::Unexpected(done.error());
            if (!live_.contains(parent_of(name.string()))) return missing(name);
            found = live_.emplace(name.string(), Node{std::make_shared<Data>()}).first;
        }
        return std::make_shared<OpenFile>(*this, found->second.data, name.string());
    }
    Result<void> rename(const Path& from, const Path& to) override {
        const auto found = live_.find(from.string());
        if (found == live_.end()) return missing(from);
        if (auto done = change("rename", from); !done) return done;
        // A directory takes along what is in it.
        std::vector<std::pair<std::string, Node>> moved;
        const std::string inside = from.string() + "/";
        for (const auto& [name, node] : live_) {
            if (name == from.string() || name.starts_with(inside)) moved.emplace_back(name, node);
        }
        for (const auto& [name, node] : moved) live_.erase(name);
        for (const auto& [name, node] : moved) {
            live_[to.string() + name.substr(from.string().size())] = node;
        }
        return {};
    }
    Result<void> remove_file(const Path& name) override {
        if (!live_.contains(name.string())) return missing(name);
        if (auto done = change("unlink", name); !done) return done;
        live_.erase(name.string());
        return {};
    }
    Result<void> make_directory(const Path& name) override {
        if (live_.contains(name.string())) return {};
        if (auto done = change("mkdir", name); !done) return done;
        live_[name.string()] = Node{nullptr};
        return {};
    }
    Result<void> remove_directory(const Path& name) override {
        if (!live_.contains(name.string())) return missing(name);
        if (auto done = change("rmdir", name); !done) return done;
        live_.erase(name.string());
        return {};
    }
    Result<std::vector<storage::DirectoryEntry>> list(const Path& name) override {
        if (!live_.contains(name.string())) return missing(name);
        std::vector<storage::DirectoryEntry> entries;
        for (const auto& [child, node] : live_) {
            if (child.empty() || child == "/" || parent_of(child) != name.string()) continue;
            entries.push_back({Path(child).filename().string(), node.data == nullptr});
        }
        return entries;
    }
    Result<storage::FileFacts> facts(const Path& name) override {
        const auto found = live_.find(name.string());
        if (found == live_.end()) return missing(name);
        const auto& data = found->second.data;
        return storage::FileFacts{data ? data->now.size() : 0, data ? data->modified_ms : 0};
    }
    Result<void> sync_directory(const Path& name) override {
        if (auto done = change("fsync", name); !done) return done;
        sync_names(name.string());
        return {};
    }
    Result<void> sync_everything(const Path& name) override {
        if (auto done = change("syncfs", name); !done) return done;
        for (auto& [child, node] : live_) {
            if (node.data) node.data->durable = node.data->now;
        }
        durable_ = live_;
        return {};
    }
    Result<std::unique_ptr<storage::FileLock>> lock(const Path& name) override {
        const auto file = open(name, storage::OpenMode::create);
        if (!file) return base::Unexpected(file.error());
        return std::make_unique<storage::FileLock>();
    }

private:
    struct Data {
        std::vector<std::byte> now;
        std::vector<std::byte> durable;
        std::int64_t modified_ms = 0;
        std::uint64_t reserved = 0;
    };
    struct Node {
        std::shared_ptr<Data> data;  // Null: a directory.
    };

    class OpenFile final : public storage::File {
    public:
        using storage::File::write;

        OpenFile(SimulatedDisk& disk, std::shared_ptr<Data> data, std::string name)
            : disk_(disk), data_(std::move(data)), name_(std::move(name)) {}

        Result<std::size_t> read(std::uint64_t position, std::span<std::byte> into) const override {
            if (storage::NoWait::is_on() && !is_warm()) {
                return base::Unexpected(storage::Fault(storage::FaultKind::would_block, name_));
            }
            if (disk_.fails_reads_) {
                return base::Unexpected(
                    storage::Fault(storage::FaultKind::io, "pread " + name_ + ": injected"));
            }
            disk_.warm_.insert(data_.get());
            const auto& bytes = data_->now;
            if (position >= bytes.size()) return std::size_t{0};
            const auto count = std::min<std::uint64_t>(into.size(), bytes.size() - position);
            std::copy_n(bytes.begin() + std::ptrdiff_t(position), count, into.begin());
            return std::size_t(count);
        }
        Result<void> write(std::uint64_t position,
                           std::span<const std::span<const std::byte>> pieces) override {
            std::vector<std::byte> all;
            for (const auto& piece : pieces) all.insert(all.end(), piece.begin(), piece.end());
            if (all.empty()) return {};
            const auto allowed = disk_.change("pwritev", name_);
            // A write that is cut off by a fault or the end of the process leaves a part.
            const auto count = allowed ? all.size() : disk_.random_() % (all.size() + 1);
            if (count > 0 && (allowed || !disk_.was_dead_)) {
                auto& bytes = data_->now;
                if (bytes.size() < position + count) bytes.resize(position + count);
                std::copy_n(all.begin(), count, bytes.begin() + std::ptrdiff_t(position));
            }
            return allowed;
        }
        Result<void> sync() override {
            if (auto done = disk_.change("fdatasync", name_); !done) return done;
            data_->durable = data_->now;
            if (const auto call = std::exchange(disk_.during_sync_, nullptr)) call();
            return {};
        }
        Result<void> truncate(std::uint64_t bytes) override {
            if (auto done = disk_.change("ftruncate", name_); !done) return done;
            data_->now.resize(bytes);
            data_->reserved = bytes;
            return {};
        }
        Result<void> reserve(std::uint64_t bytes) override {
            if (auto done = disk_.change("fallocate", name_); !done) return done;
            data_->reserved = bytes;
            return {};
        }
        Result<std::uint64_t> size() const override { return data_->now.size(); }
        Result<void> set_modified(std::int64_t ms) override {
            if (auto done = disk_.change("futimens", name_); !done) return done;
            data_->modified_ms = ms;
            return {};
        }
        bool is_in_memory(std::uint64_t, std::uint64_t) const override { return is_warm(); }
        void load(std::uint64_t, std::uint64_t, std::uint64_t) const override {
            disk_.warm_.insert(data_.get());
        }
        int descriptor() const noexcept override { return -1; }

    private:
        bool is_warm() const { return !disk_.is_cold_ || disk_.warm_.contains(data_.get()); }

        SimulatedDisk& disk_;
        std::shared_ptr<Data> data_;
        std::string name_;
    };

    static std::string parent_of(const std::string& name) {
        return Path(name).parent_path().string();
    }
    static bool has_parents(const std::map<std::string, Node>& names, const std::string& name) {
        for (auto at = name; !at.empty() && at != "/";) {
            at = parent_of(at);
            if (!names.contains(at)) return false;
        }
        return true;
    }
    bool coin() { return random_() % 2 == 0; }
    bool live_has(const std::string& name, const Node& node) const {
        const auto found = live_.find(name);
        return found != live_.end() && found->second.data == node.data;
    }
    bool is_renamed(const Node& node) const {
        return node.data && std::ranges::any_of(live_, [&](const auto& one) {
            return one.second.data == node.data;
        });
    }

    static base::Unexpected<storage::Fault> missing(const Path& name) {
        return base::Unexpected(
            storage::Fault(storage::FaultKind::not_found, name.string() + " is not there"));
    }

    // Counts the calls that change something, and says whether this one may.
    Result<void> change(const char* call, const Path& name) {
        was_dead_ = is_dead();
        const auto number = changes_++;
        if (std::string_view(call).contains("sync")) ++syncs_;
        if (number >= kill_at_) {
            was_dead_ = number > kill_at_;
            return base::Unexpected(storage::Fault(storage::FaultKind::io, "the process is dead"));
        }
        if (number == fail_at_) {
            return base::Unexpected(
                storage::Fault(fail_kind_, std::string(call) + " " + name.string() + ": injected"));
        }
        return {};
    }

    void sync_names(const std::string& directory) {
        std::erase_if(durable_, [&](const auto& one) {
            return parent_of(one.first) == directory && one.first != directory &&
                   !live_.contains(one.first);
        });
        for (const auto& [name, node] : live_) {
            if (parent_of(name) == directory) durable_[name] = node;
        }
        // The names inside a directory that was renamed follow it.
        std::erase_if(durable_, [&](const auto& one) { return !has_parents(durable_, one.first); });
        for (const auto& [name, node] : live_) {
            if (!durable_.contains(name) && node.data && was_durable(node.data))
                durable_[name] = node;
        }
    }
    bool was_durable(const std::shared_ptr<Data>& data) const { return !data->durable.empty(); }

    // Of what was written after the last sync, a random part of the blocks is there.
    void tear(Data& data) {
        constexpr std::size_t block = 512;
        if (data.now == data.durable) return;
        std::vector<std::byte> left = data.durable;
        if (coin()) left.resize(data.now.size());  // The size made it, or did not.
        for (std::size_t at = 0; at < left.size() && at < data.now.size(); at += block) {
            if (!coin()) continue;
            const auto count = std::min({block, left.size() - at, data.now.size() - at});
            std::copy_n(data.now.begin() + std::ptrdiff_t(at), count,
                        left.begin() + std::ptrdiff_t(at));
        }
        data.now = data.durable = std::move(left);
    }

    std::map<std::string, Node> live_;
    std::map<std::string, Node> durable_;
    std::mt19937_64 random_;
    std::uint64_t changes_ = 0;
    std::uint64_t syncs_ = 0;
    bool is_cold_ = false;
    std::set<const Data*> warm_;
    std::uint64_t kill_at_ = never;
    std::uint64_t fail_at_ = never;
    storage::FaultKind fail_kind_ = storage::FaultKind::io;
    bool was_dead_ = false;
    bool fails_reads_ = false;
    std::function<void()> during_sync_;
};

}  // namespace test

// SimDisk: a disk in memory that can lose its power, refuse calls and be looked into.
//
// Fault model. Durable is what File::sync and Disk::sync_directory made so. When the power
// goes, of everything else a random part survives:
//   - of the bytes written to a file, any blocks of 512 or 4,096 bytes, in any order, one of
//     them torn at any byte; the file may have any length between; a cut may not have happened
//   - of the names made, renamed and removed in a directory, any
// Files live on in the processes that have them open, as on a real disk.
//
// Threads: every call locks.
#pragma once

#include "storage/disk.h"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace sim {

using Bytes = std::vector<std::byte>;

class SimDisk final : public storage::Disk {
public:
    using Fault = storage::Fault;
    using Kind = storage::FaultKind;
    template <class T>
    using Result = base::Result<T, Fault>;

    using Refuse = std::function<std::optional<Kind>(const std::string& call)>;

    // `refuse` is asked before each call that changes something; what it returns is the call's
    // fault. A write that fails may have written any part, as `random` wills.
    void refuse_by(Refuse refuse) {
        const std::lock_guard lock(mutex_);
        refuse_ = std::move(refuse);
    }

    std::mt19937_64 random{1};

    // ---- Disk ----
    Result<std::shared_ptr<storage::File>> open(const std::filesystem::path& path,
                                                storage::OpenMode mode) override;
    Result<void> rename(const std::filesystem::path& from,
                        const std::filesystem::path& to) override {
        const std::lock_guard lock(mutex_);
        if (auto fault = refused("rename")) return base::Unexpected(*fault);
        const auto at = names_.find(from.string());
        if (at == names_.end()) return not_found(from);
        names_[to.string()] = at->second;
        names_.erase(at);
        return {};
    }
    Result<void> remove_file(const std::filesystem::path& path) override {
        const std::lock_guard lock(mutex_);
        if (auto fault = refused("remove")) return base::Unexpected(*fault);
        if (names_.erase(path.string()) == 0) return not_found(path);
        return {};
    }
    Result<void> make_directory(const std::filesystem::path&) override { return {}; }
    Result<void> remove_directory(const std::filesystem::path&) override { return {}; }
    Result<std::vector<storage::DirectoryEntry>> list(const std::filesystem::path& path) override {
        const std::lock_guard lock(mutex_);
        std::vector<storage::DirectoryEntry> entries;
        for (const auto& [name, inode] : names_) {
            const std::filesystem::path file(name);
            if (file.parent_path() == path) entries.push_back({file.filename().string(), false});
        }
        return entries;
    }
    Result<storage::FileFacts> facts(const std::filesystem::path& path) override {
        const std::lock_guard lock(mutex_);
        const auto at = names_.find(path.string());
        if (at == names_.end()) return base::Unexpected(Fault(Kind::not_found, path.string()));
        return storage::FileFacts{at->second->now.size(), 0};
    }
    Result<void> sync_directory(const std::filesystem::path&) override {
        const std::lock_guard lock(mutex_);
        if (auto fault = refused("sync_directory")) return base::Unexpected(*fault);
        durable_names_ = names_;
        return {};
    }
    Result<void> sync_everything(const std::filesystem::path&) override { return {}; }
    Result<std::unique_ptr<storage::FileLock>> lock(const std::filesystem::path& path) override {
        const std::lock_guard lock(mutex_);
        auto& held = locks_[path.string()];
        if (!held.expired()) return base::Unexpected(Fault(Kind::locked, path.string()));
        auto token = std::make_shared<int>();
        held = token;
        return std::make_unique<Lock>(std::move(token));
    }

    // ---- what tests do ----

    // Everything that is not durable is lost, or not, as `random` wills.
    void lose_power() {
        const std::lock_guard lock(mutex_);
        std::map<std::string, std::shared_ptr<Inode>> left;
        auto all = durable_names_;
        all.insert(names_.begin(), names_.end());
        for (const auto& [name, inode] : all) {
            const auto before = found(durable_names_, name);
            const auto after = found(names_, name);
            const auto chosen = before == after || draw(2) == 0 ? before : after;
            if (chosen) left.emplace(name, chosen);
        }
        names_.clear();
        for (const auto& [name, inode] : left) {
            names_.emplace(name, std::make_shared<Inode>(survivor(*inode)));
        }
        durable_names_ = names_;
        locks_.clear();
    }

    // The process dies, the machine does not.
    void kill_process() {
        const std::lock_guard lock(mutex_);
        locks_.clear();
    }

    std::vector<std::string> files() const {
        const std::lock_guard lock(mutex_);
        std::vector<std::string> names;
        for (const auto& [name, inode] : names_) names.push_back(name);
        return names;
    }

    Bytes content(const std::string& path) const {
        const std::lock_guard lock(mutex_);
        return names_.at(path)->now;
    }

    // As if it had always been so.
    void put(const std::string& path, Bytes bytes) {
        const std::lock_guard lock(mutex_);
        names_[path] = std::make_shared<Inode>(Inode{bytes, bytes, {}});
        durable_names_ = names_;
    }

    void remove(const std::string& path) {
        const std::lock_guard lock(mutex_);
        names_.erase(path);
        durable_names_ = names_;
    }

private:
    struct Change {
        std::uint64_t at = 0;  // For a cut: the new length.
        Bytes bytes;
        bool is_cut = false;
    };

    struct Inode {
        Bytes now;
        Bytes durable;
        std::vector<Change> since;
    };

    struct Lock final : storage::FileLock {
        explicit Lock(std::shared_ptr<int> held) : token(std::move(held)) {}
        std::shared_ptr<int> token;
    };

    class OpenFile final : public storage::File {
    public:
        OpenFile(SimDisk& disk, std::shared_ptr<Inode> inode)
            : disk_(disk), inode_(std::move(inode)) {}

        Result<std::size_t> read(std::uint64_t position, std::span<std::byte> into) const override {
            const std::lock_guard lock(disk_.mutex_);
            const Bytes& now = inode_->now;
            if (position >= now.size()) return std::size_t{0};
            const auto count = std::min<std::size_t>(into.size(), now.size() - position);
            std::copy_n(now.begin() + static_cast<std::ptrdiff_t>(position), count, into.begin());
            return count;
        }

        Result<void> write(std::uint64_t position,
                           std::span<const std::span<const std::byte>> pieces) override {
            const std::lock_guard lock(disk_.mutex_);
            Bytes bytes;
            for (const auto piece : pieces) bytes.insert(bytes.end(), piece.begin(), piece.end());
            const auto fault = disk_.refused("write");
            if (fault) bytes.resize(disk_.draw(bytes.size() + 1));
            put(inode_->now, position, bytes);
            inode_->since.push_back({position, std::move(bytes)});
            if (fault) return base::Unexpected(*fault);
            return {};
        }

        Result<void> sync() override {
            const std::lock_guard lock(disk_.mutex_);
            if (auto fault = disk_.refused("sync")) return base::Unexpected(*fault);
            inode_->durable = inode_->now;
            inode_->since.clear();
            return {};
        }

        Result<void> truncate(std::uint64_t bytes) override {
            const std::lock_guard lock(disk_.mutex_);
            if (auto fault = disk_.refused("truncate")) return base::Unexpected(*fault);
            inode_->now.resize(bytes);
            inode_->since.push_back({bytes, {}, true});
            return {};
        }

        Result<void> reserve(std::uint64_t) override {
            const std::lock_guard lock(disk_.mutex_);
            if (auto fault = disk_.refused("reserve")) return base::Unexpected(*fault);
            return {};
        }

        Result<std::uint64_t> size() const override {
            const std::lock_guard lock(disk_.mutex_);
            return inode_->now.size();
        }

        int descriptor() const noexcept override { return -1; }

    private:
        SimDisk& disk_;
        const std::shared_ptr<Inode> inode_;
    };

    std::uint64_t draw(std::uint64_t bound) { return random() % bound; }

    std::optional<Fault> refused(const std::string& call) {
        if (!refuse_) return std::nullopt;
        const auto kind = refuse_(call);
        if (!kind) return std::nullopt;
        return Fault(*kind, call + " was refused");
    }

    static base::Unexpected<Fault> not_found(const std::filesystem::path& path) {
        return base::Unexpected(Fault(Kind::not_found, path.string()));
    }

    static std::shared_ptr<Inode> found(const std::map<std::string, std::shared_ptr<Inode>>& names,
                                        const std::string& name) {
        const auto at = names.find(name);
        return at == names.end() ? nullptr : at->second;
    }

    static void put(Bytes& content, std::uint64_t at, std::span<const std::byte> bytes) {
        if (content.size() < at + bytes.size()) content.resize(at + bytes.size());
        std::ranges::copy(bytes, content.begin() + static_cast<std::ptrdiff_t>(at));
    }

    // What the disk has of a file after the power was gone.
    Inode survivor(const Inode& inode) {
        Bytes bytes = inode.durable;
        const bool all_in_order = draw(4) == 0;
        std::vector<Change> pieces;
        for (const Change& change : inode.since) {
            if (change.is_cut || all_in_order) {
                pieces.push_back(change);
                continue;
            }
            const std::size_t block = draw(2) == 0 ? 512 : 4096;
            for (std::size_t from = 0; from < change.bytes.size();) {
                // Blocks are the file's, not the write's.
                const auto at = change.at + from;
                const auto to = std::min(change.bytes.size(), from + block - at % block);
                pieces.push_back(
                    {at, Bytes(change.bytes.begin() + static_cast<std::ptrdiff_t>(from),
                               change.bytes.begin() + static_cast<std::ptrdiff_t>(to))});
                from = to;
            }
        }
        if (all_in_order) {
            pieces.resize(draw(pieces.size() + 1));
        } else {
            std::ranges::shuffle(pieces, random);
            std::erase_if(pieces, [&](const Change&) { return draw(2) == 0; });
        }
        if (!pieces.empty() && !pieces.back().is_cut && draw(2) == 0) {
            pieces.back().bytes.resize(draw(pieces.back().bytes.size() + 1));
        }
        for (const Change& piece : pieces) {
            if (piece.is_cut) {
                bytes.resize(piece.at);
            } else {
                put(bytes, piece.at, piece.bytes);
            }
        }
        return {bytes, bytes, {}};
    }

    mutable std::mutex mutex_;
    Refuse refuse_;
    std::map<std::string, std::shared_ptr<Inode>> names_;
    std::map<std::string, std::shared_ptr<Inode>> durable_names_;
    std::map<std::string, std::weak_ptr<int>> locks_;
};

inline SimDisk::Result<std::shared_ptr<storage::File>> SimDisk::open(
    const std::filesystem::path& path, storage::OpenMode mode) {
    const std::lock_guard lock(mutex_);
    auto at = names_.find(path.string());
    if (at == names_.end()) {
        if (mode != storage::OpenMode::create) return not_found(path);
        if (auto fault = refused("create")) return base::Unexpected(*fault);
        at = names_.emplace(path.string(), std::make_shared<Inode>()).first;
    }
    return std::make_shared<OpenFile>(*this, at->second);
}

}  // namespace sim

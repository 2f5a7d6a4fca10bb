// Disk: the one door to the file system, and with it the seam that tests put a simulated
// disk behind.
//
// Calls block and never retry a failure; an interrupted or short system call is finished
// here and never seen by callers. Nothing is durable until it has been synced: the bytes of
// a file by File::sync, its name by Disk::sync_directory of the folder that holds it.
//
// Threads: every function may be called from any thread. Positions are arguments, so calls
// on one file may overlap; what they overlap on is the caller's business.
#pragma once

#include "protocol/base/result.h"
#include "storage/fault.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace storage {

// An open file; closed when the last owner lets go of it.
class File {
public:
    virtual ~File() = default;

    // Copy bytes from `position` on. Returns how many there were: less than asked for only
    // at the end of the file. Faults: io; would_block under NoWait (no_wait.h).
    [[nodiscard]] virtual base::Result<std::size_t, Fault> read(
        std::uint64_t position, std::span<std::byte> into) const = 0;

    // Write all pieces one behind the other. After a fault any part of them may have been
    // written. Faults: io, no_space.
    [[nodiscard]] virtual base::Result<void, Fault> write(
        std::uint64_t position, std::span<const std::span<const std::byte>> pieces) = 0;

    // Make what was written before the call survive a power cut (fdatasync). After a fault
    // the kernel may have dropped the pages and marked them clean, so a second call that
    // succeeds proves nothing: never retry and promise. Faults: io.
    [[nodiscard]] virtual base::Result<void, Fault> sync() = 0;

    // Set the size; bytes behind the old end read as zero. Faults: io.
    [[nodiscard]] virtual base::Result<void, Fault> truncate(std::uint64_t bytes) = 0;

    [[nodiscard]] virtual base::Result<std::uint64_t, Fault> size() const = 0;

    // Take room on the disk for so many bytes in all; the size stays. truncate() gives back what
    // lies behind the end. A file system that cannot does nothing. Faults: io, no_space.
    [[nodiscard]] virtual base::Result<void, Fault> reserve(std::uint64_t) { return {}; }

    // The time that FileFacts tells. Faults: io.
    [[nodiscard]] virtual base::Result<void, Fault> set_modified(std::int64_t) { return {}; }

    // Whether a range (position, bytes) can be read without waiting for the disk, as far as
    // samples of it tell.
    [[nodiscard]] virtual bool is_in_memory(std::uint64_t, std::uint64_t) const { return true; }

    // Bring a range (position, bytes) into the page cache and wait for it; have the kernel begin
    // with `ahead` more bytes behind it. What fails here fails again when it is read.
    virtual void load(std::uint64_t, std::uint64_t, std::uint64_t /*ahead*/) const {}

    // For sendfile; -1 when the file has none (a simulated one).
    virtual int descriptor() const noexcept = 0;

    [[nodiscard]] base::Result<void, Fault> write(std::uint64_t position,
                                                  std::span<const std::byte> bytes) {
        return write(position, std::span(&bytes, 1));
    }
};

enum class OpenMode {
    read,        // The file must be there.
    read_write,  // The file must be there.
    create,      // For reading and writing; made if it is not there, kept as it is if it is.
};

struct DirectoryEntry {
    std::string name;
    bool is_directory = false;
};

struct FileFacts {
    std::uint64_t bytes = 0;
    std::int64_t modified_ms = 0;  // Since 1970.
};

// Holds a lock file until it is destroyed or the process ends.
class FileLock {
public:
    virtual ~FileLock() = default;
};

class Disk {
public:
    virtual ~Disk() = default;

    // Faults of all: io, no_space where something is made, not_found.
    [[nodiscard]] virtual base::Result<std::shared_ptr<File>, Fault> open(
        const std::filesystem::path& path, OpenMode mode) = 0;
    [[nodiscard]] virtual base::Result<void, Fault> rename(const std::filesystem::path& from,
                                                           const std::filesystem::path& to) = 0;
    [[nodiscard]] virtual base::Result<void, Fault> remove_file(
        const std::filesystem::path& path) = 0;
    [[nodiscard]] virtual base::Result<void, Fault> make_directory(
        const std::filesystem::path& path) = 0;  // One level; fine if it is there.
    [[nodiscard]] virtual base::Result<void, Fault> remove_directory(
        const std::filesystem::path& path) = 0;  // It must be empty.
    [[nodiscard]] virtual base::Result<std::vector<DirectoryEntry>, Fault> list(
        const std::filesystem::path& path) = 0;  // Sorted by name.
    [[nodiscard]] virtual base::Result<FileFacts, Fault> facts(
        const std::filesystem::path& path) = 0;

    // Make the names in a directory survive a power cut.
    [[nodiscard]] virtual base::Result<void, Fault> sync_directory(
        const std::filesystem::path& path) = 0;

    // Everything on the file system that holds `path`, bytes and names (syncfs).
    [[nodiscard]] virtual base::Result<void, Fault> sync_everything(
        const std::filesystem::path& path) = 0;

    // Take the lock file, made if need be, for this process. POSIX open-file-description
    // lock, which Java's FileLock sees too. Faults: locked, io.
    [[nodiscard]] virtual base::Result<std::unique_ptr<FileLock>, Fault> lock(
        const std::filesystem::path& path) = 0;
};

// The machine's own file systems.
Disk& real_disk() noexcept;

// A whole file into memory. Faults: io, not_found; corrupt when it is longer than `bytes_max`.
[[nodiscard]] base::Result<std::vector<std::byte>, Fault> read_whole(
    Disk& disk, const std::filesystem::path& path, std::uint64_t bytes_max);

// Put `bytes` in the place of a file so that a crash leaves the old content or the new:
// written to `path`.tmp, synced, renamed, directory synced.
[[nodiscard]] base::Result<void, Fault> replace_file(Disk& disk, const std::filesystem::path& path,
                                                     std::span<const std::byte> bytes);

}  // namespace storage

// FileCache: keeps the descriptors of segment files open, as many as are allowed.
//
// A CachedFile knows its path and opens itself when somebody needs it. Who asked holds the
// File as long as needed (a slice until it is sent): the cache lets go of its own reference
// only, so it never closes under a reader.
//
// Threads: any. A hit takes the file's own mutex, a miss the cache's and then a file's; the
// disk is touched under neither, and no other lock is taken under them.
//
// Limits: files_max descriptors, and those that readers still hold.
#pragma once

#include "storage/disk.h"

#include <atomic>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

namespace storage {

class FileCache;

// The directory of a log. Its segments share it, because it is renamed when the partition
// is deleted.
class Place {
public:
    explicit Place(std::filesystem::path path) : path_(std::move(path)) {}

    std::filesystem::path path() const;
    void move_to(const std::filesystem::path& path);

private:
    mutable std::mutex mutex_;
    std::filesystem::path path_;
};

class CachedFile {
public:
    CachedFile(FileCache& cache, std::shared_ptr<Place> place, std::string name);
    ~CachedFile();
    CachedFile(const CachedFile&) = delete;
    CachedFile& operator=(const CachedFile&) = delete;

    // The open file. Blocks when it has to be opened. Faults: io, not_found.
    [[nodiscard]] base::Result<std::shared_ptr<File>, Fault> open() const;

    // Make the file, or take it as it is. Faults: io, no_space.
    [[nodiscard]] base::Result<std::shared_ptr<File>, Fault> create();

    std::filesystem::path path() const;
    void renamed(std::string name);
    void close() noexcept;

private:
    friend class FileCache;

    [[nodiscard]] base::Result<std::shared_ptr<File>, Fault> open(OpenMode mode) const;

    FileCache& cache_;
    std::shared_ptr<Place> place_;
    mutable std::mutex mutex_;
    std::string name_;
    mutable std::shared_ptr<File> file_;
    mutable std::atomic<bool> used_ = false;  // Since the cache last looked.
    mutable std::list<const CachedFile*>::iterator at_;  // Valid while in_cache_; the cache's.
    mutable bool in_cache_ = false;                      // The cache's.
};

class FileCache {
public:
    FileCache(Disk& disk, std::size_t files_max) : disk_(disk), files_max_(files_max) {}

    Disk& disk() const noexcept { return disk_; }
    std::size_t open_files() const;

private:
    friend class CachedFile;

    void admit(const CachedFile& file);
    void leave(const CachedFile& file) noexcept;

    Disk& disk_;
    std::size_t files_max_;
    mutable std::mutex mutex_;
    std::list<const CachedFile*> files_;  // The clock's hand is at the front.
};

}  // namespace storage

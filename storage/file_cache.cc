#include "storage/file_cache.h"

namespace storage {

using base::Result;
using base::Unexpected;
using std::filesystem::path;

path Place::path() const {
    const std::lock_guard lock(mutex_);
    return path_;
}

void Place::move_to(const std::filesystem::path& path) {
    const std::lock_guard lock(mutex_);
    path_ = path;
}

CachedFile::CachedFile(FileCache& cache, std::shared_ptr<Place> place, std::string name)
    : cache_(cache), place_(std::move(place)), name_(std::move(name)) {}

CachedFile::~CachedFile() {
    cache_.leave(*this);
}

path CachedFile::path() const {
    std::string name;
    {
        const std::lock_guard lock(mutex_);
        name = name_;
    }
    return place_->path() / name;
}

void CachedFile::renamed(std::string name) {
    const std::lock_guard lock(mutex_);
    name_ = std::move(name);
}

void CachedFile::close() noexcept {
    cache_.leave(*this);
    const std::lock_guard lock(mutex_);
    file_.reset();
}

Result<std::shared_ptr<File>, Fault> CachedFile::open() const {
    return open(OpenMode::read_write);
}

Result<std::shared_ptr<File>, Fault> CachedFile::create() {
    return open(OpenMode::create);
}

Result<std::shared_ptr<File>, Fault> CachedFile::open(OpenMode mode) const {
    {
        const std::lock_guard lock(mutex_);
        if (file_) {
            used_.store(true, std::memory_order_relaxed);
            return file_;
        }
    }
    // Opened without a lock. Two who do it at once open it twice, and one of them loses.
    auto opened = cache_.disk().open(path(), mode);
    if (!opened) return opened;
    {
        const std::lock_guard lock(mutex_);
        if (!file_) file_ = *opened;
        opened = file_;
        used_.store(true, std::memory_order_relaxed);
    }
    cache_.admit(*this);
    return opened;
}

std::size_t FileCache::open_files() const {
    const std::lock_guard lock(mutex_);
    return files_.size();
}

// A clock: the hand is the front of the list; who was used since the last turn goes to the
// back once more.
void FileCache::admit(const CachedFile& file) {
    std::vector<std::shared_ptr<File>> closing;  // Closed after the lock is let go.
    {
        const std::lock_guard lock(mutex_);
        if (!file.in_cache_) {
            file.at_ = files_.insert(files_.end(), &file);
            file.in_cache_ = true;
        }
        std::size_t turns = 2 * files_.size();
        while (files_.size() > files_max_ && turns-- > 0) {
            const CachedFile& oldest = *files_.front();
            if (&oldest == &file || oldest.used_.exchange(false, std::memory_order_relaxed)) {
                files_.splice(files_.end(), files_, files_.begin());
                continue;
            }
            files_.pop_front();
            oldest.in_cache_ = false;
            const std::lock_guard inner(oldest.mutex_);
            closing.push_back(std::move(oldest.file_));
        }
    }
}

void FileCache::leave(const CachedFile& file) noexcept {
    const std::lock_guard lock(mutex_);
    if (!file.in_cache_) return;
    files_.erase(file.at_);
    file.in_cache_ = false;
}

}  // namespace storage

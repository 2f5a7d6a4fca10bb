#include "storage/disk.h"

#include "storage/no_wait.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

namespace storage {

using base::Result;
using base::Unexpected;
using std::filesystem::path;

namespace {

constexpr std::size_t pieces_per_call = 1024;  // IOV_MAX of Linux.

// A range is probed at both ends of each piece of this size.
constexpr std::uint64_t probe_piece_bytes = std::uint64_t{256} << 10;

// Linux begins with no more than this for one advice, whatever it is given (read_ahead_kb).
constexpr std::uint64_t advice_bytes = std::uint64_t{128} << 10;
constexpr std::uint64_t page_bytes = 4096;

FaultKind kind_of(int reason) noexcept {
    switch (reason) {
        case ENOENT:
            return FaultKind::not_found;
        case ENOSPC:
        case EDQUOT:
        case EMFILE:
        case ENFILE:
        case ENOMEM:
            return FaultKind::no_space;
        default:
            return FaultKind::io;
    }
}

Unexpected<Fault> refused(const char* call, const std::string& name) {
    const int reason = errno;
    return Unexpected(
        Fault(kind_of(reason), std::string(call) + " " + name + ": " + std::strerror(reason)));
}

// A descriptor that closes itself.
class Descriptor {
public:
    explicit Descriptor(int number) noexcept : number_(number) {}
    Descriptor(const Descriptor&) = delete;
    Descriptor& operator=(const Descriptor&) = delete;
    ~Descriptor() {
        if (number_ >= 0) ::close(number_);
    }

    int number() const noexcept { return number_; }
    bool is_open() const noexcept { return number_ >= 0; }

private:
    int number_;
};

class RealFile final : public File {
public:
    RealFile(int descriptor, std::string name) : descriptor_(descriptor), name_(std::move(name)) {}

    Result<std::size_t, Fault> read(std::uint64_t position,
                                    std::span<std::byte> into) const override {
        std::size_t done = 0;
        while (done < into.size()) {
            const auto rest = into.subspan(done);
            const auto count = read_some(position + done, rest);
            if (count < 0 && errno == EINTR) continue;
            if (count < 0 && errno == EAGAIN) {
                return Unexpected(Fault(FaultKind::would_block, name_ + " is not in memory"));
            }
            if (count < 0) return refused("pread", name_);
            if (count == 0) break;
            done += static_cast<std::size_t>(count);
        }
        return done;
    }

    Result<void, Fault> write(std::uint64_t position,
                              std::span<const std::span<const std::byte>> pieces) override {
        std::array<iovec, pieces_per_call> vector;
        std::size_t done_of_first = 0;  // Bytes of pieces.front() that are written.
        while (!pieces.empty()) {
            if (pieces.front().size() == done_of_first) {
                pieces = pieces.subspan(1);
                done_of_first = 0;
                continue;
            }
            const std::size_t count = std::min(pieces.size(), vector.size());
            for (std::size_t i = 0; i < count; ++i) {
                const auto piece = i == 0 ? pieces[0].subspan(done_of_first) : pieces[i];
                vector[i] = {const_cast<std::byte*>(piece.data()), piece.size()};
            }
            const auto written = ::pwritev(descriptor_.number(), vector.data(),
                                           static_cast<int>(count), static_cast<off_t>(position));
            if (written < 0 && errno == EINTR) continue;
            if (written < 0) return refused("pwritev", name_);
            position += static_cast<std::uint64_t>(written);
            done_of_first += static_cast<std::size_t>(written);
            while (!pieces.empty() && done_of_first >= pieces.front().size()) {
                done_of_first -= pieces.front().size();
                pieces = pieces.subspan(1);
            }
        }
        return {};
    }

    Result<void, Fault> sync() override {
        if (::fdatasync(descriptor_.number()) != 0) {
            // A full disk can show itself here first (delayed allocation); what was written
            // may be lost, so it is no less of an io fault.
            const int reason = errno;
            return Unexpected(
                Fault(FaultKind::io, "fdatasync " + name_ + ": " + std::strerror(reason)));
        }
        return {};
    }

    Result<void, Fault> truncate(std::uint64_t bytes) override {
        if (::ftruncate(descriptor_.number(), static_cast<off_t>(bytes)) != 0) {
            return refused("ftruncate", name_);
        }
        return {};
    }

    Result<std::uint64_t, Fault> size() const override {
        struct stat facts;
        if (::fstat(descriptor_.number(), &facts) != 0) return refused("fstat", name_);
        return static_cast<std::uint64_t>(facts.st_size);
    }

    Result<void, Fault> reserve(std::uint64_t bytes) override {
        if (::fallocate(descriptor_.number(), FALLOC_FL_KEEP_SIZE, 0, static_cast<off_t>(bytes)) == 0) {
            return {};
        }
        if (errno == EOPNOTSUPP) return {};
        return refused("fallocate", name_);
    }

    Result<void, Fault> set_modified(std::int64_t ms) override {
        const timespec at{.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1'000'000};
        const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT}, at};
        if (::futimens(descriptor_.number(), times) != 0) return refused("futimens", name_);
        return {};
    }

    bool is_in_memory(std::uint64_t position, std::uint64_t bytes) const override {
        const std::uint64_t end = position + bytes;
        while (position < end) {
            const std::uint64_t last = std::min(position + probe_piece_bytes, end) - 1;
            if (!is_byte_in_memory(position) || !is_byte_in_memory(last)) return false;
            position = last + 1;
        }
        return true;
    }

    void load(std::uint64_t position, std::uint64_t bytes, std::uint64_t ahead) const override {
        const std::uint64_t end = position + bytes;
        for (std::uint64_t at = position; at < end + ahead; at += advice_bytes) {
            ::posix_fadvise(descriptor_.number(), static_cast<off_t>(at),
                            static_cast<off_t>(std::min(advice_bytes, end + ahead - at)),
                            POSIX_FADV_WILLNEED);
        }
        // Each page is waited for by itself: they come in no certain order.
        std::byte byte;
        for (std::uint64_t at = position; at < end; at = (at / page_bytes + 1) * page_bytes) {
            if (::pread(descriptor_.number(), &byte, 1, static_cast<off_t>(at)) != 1) return;
        }
    }

    int descriptor() const noexcept override { return descriptor_.number(); }

private:
    // As pread; EAGAIN under NoWait.
    ssize_t read_some(std::uint64_t position, std::span<std::byte> into) const {
        if (NoWait::is_on()) {
            const iovec piece{into.data(), into.size()};
            const auto count = ::preadv2(descriptor_.number(), &piece, 1,
                                         static_cast<off_t>(position), RWF_NOWAIT);
            // File systems that do not know the flag are read as ever.
            if (count >= 0 || errno != EOPNOTSUPP) return count;
        }
        return ::pread(descriptor_.number(), into.data(), into.size(),
                       static_cast<off_t>(position));
    }

    bool is_byte_in_memory(std::uint64_t position) const {
        std::byte byte;
        const iovec piece{&byte, 1};
        return ::preadv2(descriptor_.number(), &piece, 1, static_cast<off_t>(position),
                         RWF_NOWAIT) >= 0 ||
               errno != EAGAIN;
    }

    Descriptor descriptor_;
    std::string name_;
};

class RealLock final : public FileLock {
public:
    explicit RealLock(int descriptor) noexcept : descriptor_(descriptor) {}

private:
    Descriptor descriptor_;  // Closing it gives the lock back.
};

class RealDisk final : public Disk {
public:
    Result<std::shared_ptr<File>, Fault> open(const path& name, OpenMode mode) override {
        const int flags = mode == OpenMode::read         ? O_RDONLY
                          : mode == OpenMode::read_write ? O_RDWR
                                                         : O_RDWR | O_CREAT;
        const int number = ::open(name.c_str(), flags | O_CLOEXEC, 0644);
        if (number < 0) return refused("open", name.string());
        return std::make_shared<RealFile>(number, name.string());
    }

    Result<void, Fault> rename(const path& from, const path& to) override {
        if (::rename(from.c_str(), to.c_str()) != 0) return refused("rename", from.string());
        return {};
    }

    Result<void, Fault> remove_file(const path& name) override {
        if (::unlink(name.c_str()) != 0) return refused("unlink", name.string());
        return {};
    }

    Result<void, Fault> make_directory(const path& name) override {
        if (::mkdir(name.c_str(), 0755) != 0 && errno != EEXIST) {
            return refused("mkdir", name.string());
        }
        return {};
    }

    Result<void, Fault> remove_directory(const path& name) override {
        if (::rmdir(name.c_str()) != 0) return refused("rmdir", name.string());
        return {};
    }

    Result<std::vector<DirectoryEntry>, Fault> list(const path& name) override {
        DIR* const directory = ::opendir(name.c_str());
        if (directory == nullptr) return refused("opendir", name.string());
        std::vector<DirectoryEntry> entries;
        errno = 0;
        while (const dirent* const entry = ::readdir(directory)) {
            const std::string_view text = entry->d_name;
            if (text == "." || text == "..") continue;
            bool is_directory = entry->d_type == DT_DIR;
            if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
                struct stat facts;
                is_directory = ::stat((name / text).c_str(), &facts) == 0 && S_ISDIR(facts.st_mode);
            }
            entries.push_back({std::string(text), is_directory});
            errno = 0;
        }
        const int reason = errno;
        ::closedir(directory);
        if (reason != 0) {
            errno = reason;
            return refused("readdir", name.string());
        }
        std::ranges::sort(entries, {}, &DirectoryEntry::name);
        return entries;
    }

    Result<FileFacts, Fault> facts(const path& name) override {
        struct stat facts;
        if (::stat(name.c_str(), &facts) != 0) return refused("stat", name.string());
        return FileFacts{
            static_cast<std::uint64_t>(facts.st_size),
            std::int64_t{facts.st_mtim.tv_sec} * 1000 + facts.st_mtim.tv_nsec / 1'000'000};
    }

    Result<void, Fault> sync_directory(const path& name) override {
        const Descriptor directory(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory.is_open()) return refused("open", name.string());
        if (::fsync(directory.number()) != 0) return refused("fsync", name.string());
        return {};
    }

    Result<void, Fault> sync_everything(const path& name) override {
        const Descriptor directory(::open(name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
        if (!directory.is_open()) return refused("open", name.string());
        if (::syncfs(directory.number()) != 0) return refused("syncfs", name.string());
        return {};
    }

    Result<std::unique_ptr<FileLock>, Fault> lock(const path& name) override {
        const int number = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
        if (number < 0) return refused("open", name.string());
        auto held = std::make_unique<RealLock>(number);
        struct flock wanted{};
        wanted.l_type = F_WRLCK;
        wanted.l_whence = SEEK_SET;
        if (::fcntl(number, F_OFD_SETLK, &wanted) != 0) {
            if (errno == EAGAIN || errno == EACCES) {
                return Unexpected(Fault(FaultKind::locked,
                                        name.string() + " is held by another process: only one "
                                                        "broker may use a log directory"));
            }
            return refused("fcntl(F_OFD_SETLK)", name.string());
        }
        return held;
    }
};

}  // namespace

Disk& real_disk() noexcept {
    static RealDisk disk;
    return disk;
}

Result<std::vector<std::byte>, Fault> read_whole(Disk& disk, const path& name,
                                                 std::uint64_t bytes_max) {
    const auto file = disk.open(name, OpenMode::read);
    if (!file) return Unexpected(file.error());
    const auto size = (*file)->size();
    if (!size) return Unexpected(size.error());
    if (*size > bytes_max) {
        return Unexpected(Fault(FaultKind::corrupt, name.string() + ": " + std::to_string(*size) +
                                                        " bytes are more than it can have"));
    }
    std::vector<std::byte> bytes(static_cast<std::size_t>(*size));
    const auto count = (*file)->read(0, bytes);
    if (!count) return Unexpected(count.error());
    bytes.resize(*count);
    return bytes;
}

Result<void, Fault> replace_file(Disk& disk, const path& name, std::span<const std::byte> bytes) {
    path temporary = name;
    temporary += ".tmp";
    {
        const auto file = disk.open(temporary, OpenMode::create);
        if (!file) return Unexpected(file.error());
        if (auto done = (*file)->truncate(0); !done) return done;
        if (auto done = (*file)->write(0, bytes); !done) return done;
        if (auto done = (*file)->sync(); !done) return done;
    }
    if (auto done = disk.rename(temporary, name); !done) return done;
    return disk.sync_directory(name.parent_path());
}

}  // namespace storage

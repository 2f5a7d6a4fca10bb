// Eviction: takes a file out of the page cache, for tests of what reads do then.
#pragma once

#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <sys/mman.h>
#include <unistd.h>
#include <vector>

namespace test {

// How many pages of a file are in memory, and how many it has. As the kernel counts them.
struct Residence {
    std::size_t pages = 0;
    std::size_t resident = 0;
};

inline Residence residence_of(const std::filesystem::path& path) {
    Residence found;
    const auto bytes = std::filesystem::file_size(path);
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0 || bytes == 0) return found;
    const auto page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    std::vector<unsigned char> pages((bytes + page - 1) / page);
    void* const at = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, file, 0);
    if (at != MAP_FAILED) {
        if (::mincore(at, bytes, pages.data()) == 0) {
            found.pages = pages.size();
            for (const auto each : pages) found.resident += each & 1;
        }
        ::munmap(at, bytes);
    }
    ::close(file);
    return found;
}

// Requires that nobody writes to it. False where the file system has no other place for its
// bytes than memory.
inline bool evict(const std::filesystem::path& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ::fsync(file);
    ::posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    ::close(file);
    return residence_of(path).resident == 0;
}

}  // namespace test

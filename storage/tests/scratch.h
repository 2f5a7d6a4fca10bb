// Scratch: a fresh folder on the real disk that is gone at the end of the test.
#pragma once

#include <filesystem>
#include <stdlib.h>
#include <string>

namespace test {

class Scratch {
public:
    Scratch() {
        auto pattern = (std::filesystem::temp_directory_path() / "milena-XXXXXX").string();
        folder_ = ::mkdtemp(pattern.data());
    }
    ~Scratch() { std::filesystem::remove_all(folder_); }
    Scratch(const Scratch&) = delete;
    Scratch& operator=(const Scratch&) = delete;

    const std::filesystem::path& folder() const noexcept { return folder_; }
    std::filesystem::path file(const std::string& name) const { return folder_ / name; }

private:
    std::filesystem::path folder_;
};

}  // namespace test

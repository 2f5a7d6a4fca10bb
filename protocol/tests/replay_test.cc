// The stored inputs of a fuzzer, replayed in a test program.
//
// Compiled beside the fuzzer's own source, with CORPUS naming the folders that hold the inputs,
// ':' between them.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <string>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

constexpr std::size_t small = 400;  // Bytes of an input whose every beginning is tried too.

}  // namespace

TEST_CASE("everything that the fuzzer once found or began with is taken without harm") {
    std::istringstream folders(CORPUS);
    for (std::string folder; std::getline(folders, folder, ':');) {
        std::size_t inputs = 0;
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            CAPTURE(entry.path().string());
            std::ifstream file(entry.path(), std::ios::binary);
            const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
            const auto* const data = reinterpret_cast<const std::uint8_t*>(bytes.data());
            CHECK(LLVMFuzzerTestOneInput(data, bytes.size()) == 0);
            for (std::size_t size = 0; bytes.size() <= small && size < bytes.size(); ++size) {
                LLVMFuzzerTestOneInput(data, size);
            }
            ++inputs;
        }
        CAPTURE(folder);
        CHECK(inputs > 0);
    }
}

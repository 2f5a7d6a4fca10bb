#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

TEST_CASE("everything that a fuzzer once found or began with is taken without harm") {
    std::size_t inputs = 0;
    for (const auto& file : std::filesystem::directory_iterator(RECORDS_CORPUS)) {
        CAPTURE(file.path().filename().string());
        std::ifstream in(file.path(), std::ios::binary);
        const std::vector<char> bytes{std::istreambuf_iterator<char>(in), {}};
        CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                     bytes.size()) == 0);
        // And every beginning of it, of small ones.
        for (std::size_t size = 0; bytes.size() <= 400 && size < bytes.size(); ++size) {
            LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()), size);
        }
        ++inputs;
    }
    CHECK(inputs >= 30);
}

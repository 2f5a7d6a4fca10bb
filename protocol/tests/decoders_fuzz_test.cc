// The stored inputs of decoders_fuzz, replayed.
#include <doctest/doctest.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

TEST_CASE("every stored input of the decoders' fuzzer is decoded or refused as it should") {
    std::size_t inputs = 0;
    for (const auto* folder : {CORPUS, SEEDS}) {
        for (const auto& entry : std::filesystem::directory_iterator(folder)) {
            std::ifstream file(entry.path(), std::ios::binary);
            const std::vector<char> bytes{std::istreambuf_iterator<char>(file), {}};
            INFO(entry.path().string());
            CHECK(LLVMFuzzerTestOneInput(reinterpret_cast<const std::uint8_t*>(bytes.data()),
                                         bytes.size()) == 0);
            ++inputs;
        }
    }
    CHECK(inputs > 800);
}

// Instead of a fuzzer: every truncation and every change of one byte of the files that are named.
// It ends early where the harness that it is linked with does, and else prints how many there were.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

int main(int argc, char** argv) {
    std::size_t count = 0;
    for (int i = 1; i < argc; ++i) {
        std::ifstream file(argv[i], std::ios::binary);
        std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), {}};
        for (std::size_t size = 0; size <= bytes.size(); ++size, ++count) {
            const std::vector<std::uint8_t> part(bytes.begin(),
                                                 bytes.begin() + static_cast<std::ptrdiff_t>(size));
            LLVMFuzzerTestOneInput(part.data(), size);
        }
        for (std::uint8_t& byte : bytes) {
            const std::uint8_t whole = byte;
            for (unsigned change = 1; change < 256; ++change, ++count) {
                byte = static_cast<std::uint8_t>(whole ^ change);
                LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
            }
            byte = whole;
        }
    }
    std::printf("inputs: %zu\n", count);
    return count == 0;
}

// Labels are numbers, as many as the file can hold, or refused.

#include "../../examples/cli/images.hpp"
#include "file_of.hpp"
#include "memory.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t most = std::size_t{1} << 16;
    const s3::fuzz::memory_limit memory(size + most, 20);
    try {
        const auto labels = s3_program::read_labels(s3::fuzz::file_of(data, size), most);
        s3::fuzz::require(labels.size() <= most, "there is a byte for each label");
    } catch (const std::runtime_error&) {
    }
    return 0;
}

// Images are of the size that is asked for, or refused.

#include "../../examples/cli/images.hpp"
#include "file_of.hpp"
#include "memory.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t most = std::size_t{1} << 16;
    const s3::fuzz::memory_limit memory(size + most, 8);
    const auto& path = s3::fuzz::file_of(data, size);
    for (const std::size_t width : {2, 3})
        try {
            const auto i = s3_program::read_images(path, width, width, width - 1, most);
            s3::fuzz::require(i.count > 0 &&
                                  i.bytes.size() == i.count * width * width * (width - 1),
                              "the bytes are those of whole images");
        } catch (const std::runtime_error&) {
        }
    return 0;
}

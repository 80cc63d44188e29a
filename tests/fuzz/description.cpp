// Any text is a description or an error, and so are the shapes and layers that follow from it.

#include "memory.hpp"

#include <s3/import/network.hpp>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const s3::fuzz::memory_limit memory(size, 200);
    const auto d = s3::importing::parse({reinterpret_cast<const char*>(data), size});
    if (!d)
        return 0;
    for (const int bits : {4, 8})
        static_cast<void>(s3::importing::detail::fuse(*d, bits));
    return 0;
}

#pragma once
// Floats of 32 or 16 bits in files, which are little-endian, as float.

#include <s3/core/error.hpp>
#include <s3/core/little_endian.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/pack/layout.hpp>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace s3::detail {

/// As many as there are whole ones in `bytes`. Errors: no memory.
inline result<std::vector<float>> stored_floats(std::span<const std::byte> bytes,
                                                layout::scale_type type) {
    return or_out_of_memory([&]() -> result<std::vector<float>> {
        const std::size_t size = layout::bytes_of(type);
        std::vector<float> values(bytes.size() / size);
        for (std::size_t i = 0; i < values.size(); ++i)
            values[i] = layout::from_bits(
                static_cast<std::uint32_t>(little_endian::load(bytes.data() + i * size, size)),
                type);
        return values;
    });
}

} // namespace s3::detail

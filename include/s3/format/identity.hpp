#pragma once
// How files tell formats apart: by the format's name and a hash of its whole codebook. Two types
// with the same name but different values are different formats, and so are two with the same
// values but different names.
//
// The hash is 64-bit FNV-1a over the byte `bits` and then, for each code in turn, a byte that tells
// whether the code is valid and the four bytes of its value (0 if invalid), least significant
// first.

#include <s3/format/weight_format.hpp>

#include <array>
#include <cstddef>
#include <cstdint>

namespace s3 {

struct format_identity {
    std::array<char, 16> name = {}; ///< padded with zeros
    std::uint64_t codebook = 0;
    friend constexpr bool operator==(const format_identity&, const format_identity&) = default;
};

namespace detail {
template <weight_format F>
[[nodiscard]] constexpr format_identity make_identity() noexcept {
    format_identity id;
    for (std::size_t i = 0; F::name[i] != 0; ++i)
        id.name[i] = F::name[i];
    id.codebook = 0xcbf29ce484222325;
    const auto mix = [&id](unsigned byte) { id.codebook = (id.codebook ^ byte) * 0x100000001b3; };
    mix(unsigned{F::bits});
    for (unsigned code = 0; code < unsigned{F::codes}; ++code) {
        const bool valid = F::valid(code);
        const auto value = static_cast<std::uint32_t>(valid ? F::value(code) : 0);
        mix(valid ? 1 : 0);
        for (int shift = 0; shift < 32; shift += 8)
            mix(value >> shift & 255);
    }
    return id;
}
} // namespace detail

template <weight_format F>
inline constexpr format_identity identity_of = detail::make_identity<F>();

} // namespace s3

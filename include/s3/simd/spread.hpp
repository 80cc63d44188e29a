#pragma once
// Eight bit fields side by side → one field in each byte, for packing weights. This is one
// instruction where the machine can deposit bits by a mask (BMI2).

#include <s3/simd/arch.hpp>

namespace s3::simd {

/// Byte i of the result is bits [i·Bits, (i + 1)·Bits) of `fields`.
template <int Bits, class Arch = arch::native>
S3_INLINE std::uint64_t spread_fields(std::uint64_t fields) noexcept {
    constexpr std::uint64_t mask = ((1u << Bits) - 1) * 0x0101010101010101u;
    if constexpr (requires { Arch::deposit_bits(fields, mask); }) {
        return Arch::deposit_bits(fields, mask);
    } else {
        std::uint64_t spread = 0;
        for (int i = 0; i < 8; ++i)
            spread |= fields >> (i * Bits) << (i * 8) & mask & 255ull << (i * 8);
        return spread;
    }
}

} // namespace s3::simd

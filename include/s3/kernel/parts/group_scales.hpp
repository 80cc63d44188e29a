#pragma once
// The scales of groups of weights as kernels read them: a vector of them belongs to the rows of a
// panel. They keep the type that the weights' record has, because where weights come from memory,
// so do their scales.

#include <s3/pack/layout.hpp>
#include <s3/simd/lanes.hpp>
#include <s3/simd/registers.hpp>
#include <s3/simd/widen.hpp>

#include <cstddef>
#include <cstdint>

namespace s3::kernel {

struct group_scales {
    const std::byte* data = nullptr; ///< [panel][group][lanes]
    layout::scale_type stored = layout::scale_type::binary32;

    [[nodiscard]] const std::byte* at(std::size_t index) const noexcept {
        return data + index * layout::bytes_of(stored);
    }
    /// The scales from number `index` on.
    template <class Arch>
    [[nodiscard]] S3_INLINE simd::lanes<float, Arch> load(std::size_t index) const noexcept {
        using bits = simd::lanes<std::int32_t, Arch>;
        const std::byte* const from = at(index);
        if (stored == layout::scale_type::binary32)
            return simd::load<float, Arch>(reinterpret_cast<const float*>(from));
        const bits half =
            simd::load_widened<std::int32_t, Arch>(reinterpret_cast<const std::int16_t*>(from));
        if (stored == layout::scale_type::bfloat16)
            return simd::as<float>(bits(half << 16));
        // binary16: exponent and mantissa go to their places; then 112 is added to the exponent. A
        // number without an exponent is mantissa · 2^−24: with the exponent of 2^−14 and less 2^−14
        // it is exact, also where the processor takes tiny floats as 0.
        const auto constant = [](std::int32_t c) S3_INLINE_LAMBDA {
            return simd::broadcast<std::int32_t, Arch>(c);
        };
        const bits sign = half & constant(static_cast<std::int32_t>(0x80000000u));
        const bits size = (half << 13) & constant(0x0fffe000);
        const auto normal = simd::as<float>(bits(size + constant(112 << 23)));
        const auto tiny = simd::as<float>(bits(size + constant(113 << 23))) -
                          simd::broadcast<float, Arch>(0x1p-14f);
        const auto value =
            simd::select(normal >= simd::broadcast<float, Arch>(0x1p-14f), normal, tiny);
        return simd::as<float>(bits(simd::as<std::int32_t>(value) | sign));
    }
    /// Writes the scales of `count` groups of R panels as floats: [group][panel][lanes]. There are
    /// `groups` in all.
    template <std::size_t R, class Arch>
    void decode(std::size_t panel, std::size_t groups, std::size_t first, std::size_t count,
                float* to) const noexcept {
        constexpr std::size_t lanes = simd::width32<Arch>;
        for (std::size_t g = 0; g < count; ++g)
            for (std::size_t r = 0; r < R; ++r, to += lanes)
                simd::store<Arch>(to, load<Arch>(((panel + r) * groups + first + g) * lanes));
    }
};

/// The product of a group's integer sums and their scales.
template <class Arch>
[[nodiscard]] S3_INLINE simd::lanes<float, Arch>
scaled(const simd::lanes<std::int32_t, Arch>& sums,
       const simd::lanes<float, Arch>& scale) noexcept {
    return simd::rounded_product(simd::to_float(sums), scale);
}
/// The scale of a group of weights, times that of the activations, number `index`, if they have
/// any.
template <class Arch>
[[nodiscard]] S3_INLINE simd::lanes<float, Arch>
with_activations(const simd::lanes<float, Arch>& scale, const float* of_activations,
                 std::size_t index) noexcept {
    return of_activations == nullptr
               ? scale
               : simd::rounded_product(scale, simd::broadcast<float, Arch>(of_activations[index]));
}

} // namespace s3::kernel

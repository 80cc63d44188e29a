#pragma once
// `dot` on bytes with a scale for each group (kernel/parts/group_product.hpp). Activations stay
// signed, and weights become unsigned by adding a constant: what that adds to a sum depends on the
// activations alone, so that weights need no sums of their own beside their scales.
//
//   Σ w·x = Σ (w + offset)·x − offset·Σ x
//
// Activations are −127 … 127. Where signed bytes can be multiplied, the offset is 0.

#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/parts/group_product.hpp>

namespace s3::kernel {

namespace detail {
/// A format's values plus a constant.
template <weight_format F, int Offset>
struct offset_values : F {
    static constexpr int value(unsigned code) noexcept { return F::value(code) + Offset; }
};
} // namespace detail

/// `StaysSigned` tells whether weights are signed bytes.
template <weight_format F, class Arch, bool StaysSigned = simd::has_signed_dot<Arch>>
requires simd::has_bytes<Arch> && fits_bytes<F>
struct byte_group_dot {
    /// What `decode` adds to 8-bit codes is 128, even if −128 is not a value.
    static constexpr int weight_offset = StaysSigned ? 0 : F::bits == 8 ? 128 : -F::min_value;
    using weight = std::conditional_t<StaysSigned, std::int8_t, std::uint8_t>;
    using engine = byte_engine<
        Arch, simd::has_quad_dot<Arch> ? 0 : 32767 / (2 * 127 * (F::max_value + weight_offset)),
        weight, std::int8_t>;
    using layout = planes<F::bits, 8>;

    static constexpr int zero_point = 0;
    static constexpr std::size_t stream_columns = simd::register_count<Arch> >= 32 ? 8 : 4;

    template <int Step>
    static S3_INLINE typename engine::weights
    decode(const simd::lanes<std::uint32_t, Arch>& v) noexcept {
        if constexpr (F::bits == 8)
            return simd::as<weight>(
                v ^ simd::broadcast<std::uint32_t, Arch>(StaysSigned ? 0 : 0x80808080u));
        else
            return simd::as<weight>(
                simd::lookup<detail::offset_values<F, weight_offset>, layout::bit_of(Step), Arch>(
                    v));
    }
};

template <weight_format F, architecture Arch>
struct dot_bytes_groups {
    static constexpr const char* name = "dot_bytes_groups";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = has_byte_dot<F, std::int8_t, Arch>;
    static constexpr rank_range ranks{100, 100};
    static constexpr int rank(const product_request&) noexcept { return ranks.most; }
    static auto loop() { return std::type_identity<group_product<byte_group_dot<F, Arch>>>{}; }
};

} // namespace s3::kernel

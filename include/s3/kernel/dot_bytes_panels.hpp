#pragma once
// `dot` on bytes: weights decode to int8 by a table look-up, activations are unsigned bytes, and a
// 32-bit lane takes four weights of consecutive depth in a step. Signed activations are staged as x
// + 128; this adds 128·Σw to a sum, a constant of the row that the initial sum subtracts.
//
// Where the machine has no dot product of four bytes, small weights have an advantage: a pair of
// products is at most 2·255·max|w|, so `widen_every` pairs add up in 16 bits.

#include <s3/kernel/parts/decode.hpp>
#include <s3/kernel/parts/matrix_tile.hpp>
#include <s3/kernel/parts/panel_product.hpp>
#include <s3/kernel/parts/planes.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/bytes.hpp>

#include <algorithm>
#include <limits>

namespace s3::kernel {

/// Accumulates bytes, in the same way for all formats with the same largest magnitude. `FitPairs`
/// is how many sums of two products fit 16 bits; it is 0 where the machine has dot products of four
/// bytes, or where even one sum of two products may not fit. Weights and activations are signed or
/// unsigned bytes, but not both unsigned.
template <class Arch, int FitPairs, class Weight = std::int8_t, class Activation = std::uint8_t>
struct byte_engine {
    using arch = Arch;
    using staged = Activation;
    using sum = std::int32_t;
    using element = std::int32_t;
    using weights = simd::lanes<Weight, Arch>;
    using activations = simd::lanes<Activation, Arch>;
    using sums = simd::lanes<std::int32_t, Arch>;

    static constexpr std::size_t depth_per_step = 4;
    static constexpr bool narrow = FitPairs >= 8;
    static constexpr std::size_t widen_every =
        narrow ? FitPairs / 8 * 8 : std::numeric_limits<std::size_t>::max();
    using partial = std::conditional_t<narrow, simd::lanes<std::int16_t, Arch>, sums>;

    static S3_INLINE weights load(const element* w) noexcept {
        return simd::as<Weight>(simd::load<element, Arch>(w));
    }
    static S3_INLINE void store(element* to, const weights& w) noexcept {
        simd::store<Arch>(to, simd::as<element>(w));
    }
    static S3_INLINE activations broadcast(const staged* x) noexcept {
        std::uint32_t four;
        std::memcpy(&four, x, 4);
        return simd::as<Activation>(simd::broadcast<std::uint32_t, Arch>(four));
    }
    static S3_INLINE partial step(const partial& p, const activations& x,
                                  const weights& w) noexcept {
        if constexpr (std::is_unsigned_v<Weight>)
            return add_products(p, w, x);
        else
            return add_products(p, x, w);
    }
    /// What a tile of several vectors and columns is, where that is faster.
    template <std::size_t R, std::size_t C>
    requires(simd::has_matrix_dot<Arch>&& std::is_unsigned_v<Activation>&& R >= 2 &&
             C >= 2) using tile = matrix_tile<byte_engine, R, C>;
    static S3_INLINE sums widen(const partial& p) noexcept {
        if constexpr (narrow)
            return simd::pair_sum<Arch>(p);
        else
            return p;
    }

private:
    template <class A, class B>
    static S3_INLINE partial add_products(const partial& p, const A& a, const B& b) noexcept {
        if constexpr (narrow)
            return p + simd::pair_dot<Arch>(a, b);
        else if constexpr (FitPairs >= 1)
            return p + simd::pair_sum<Arch>(simd::pair_dot<Arch>(a, b));
        else
            return simd::quad_dot<Arch>(p, a, b);
    }
};

template <weight_format F, class Arch>
requires simd::has_bytes<Arch> && fits_bytes<F>
struct byte_dot {
    static constexpr int magnitude = std::max(F::max_value, -F::min_value);
    using engine = byte_engine<Arch, simd::has_quad_dot<Arch> ? 0 : 32767 / (2 * 255 * magnitude)>;
    using layout = planes<F::bits, 8>;

    static constexpr int zero_point = 128; ///< staged int8 activations are x + 128
    static constexpr std::size_t stream_columns = simd::register_count<Arch> >= 32 ? 8 : 4;

    template <int Step>
    static S3_INLINE typename engine::weights
    decode(const simd::lanes<std::uint32_t, Arch>& v) noexcept {
        if constexpr (F::bits == 8)
            return simd::as<std::int8_t>(v);
        else
            return simd::lookup<F, layout::bit_of(Step), Arch>(v);
    }
};

/// Whether weights of format F and activations X have dot products of bytes on `Arch`.
template <weight_format F, activation X, class Arch>
inline constexpr bool has_byte_dot = std::integral<X>&& simd::has_bytes<Arch>&& fits_bytes<F>;
template <weight_format F, class Arch>
using byte_engine_for = typename byte_dot<F, Arch>::engine;

/// The general product where the machine has dot products of bytes; other kernels' ranks are
/// relative to it.
template <weight_format F, activation X, architecture Arch>
struct dot_bytes_panels {
    static constexpr const char* name = "dot_bytes_panels";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = has_byte_dot<F, X, Arch>;
    static constexpr rank_range ranks{100, 100};
    static constexpr int rank(const product_request&) noexcept { return ranks.most; }
    static auto loop() { return std::type_identity<panel_product<byte_dot<F, Arch>>>{}; }
};

} // namespace s3::kernel

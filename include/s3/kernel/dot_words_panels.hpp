#pragma once
// `dot` on 32-bit lanes, for every format and machine: a weight decodes to a lane that holds its
// integer (or float) value, and a step takes one weight of the depth. Integers multiply modulo
// 2^32, so sums that fit int32 are exact.

#include <s3/kernel/parts/decode.hpp>
#include <s3/kernel/parts/panel_product.hpp>
#include <s3/kernel/parts/planes.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/simd/floats.hpp>

#include <limits>

namespace s3::kernel {

/// Accumulates in lanes of type T, float or uint32.
template <class Arch, class T>
struct word_engine {
    using arch = Arch;
    using staged = T;
    using sum = std::conditional_t<std::is_same_v<T, float>, float, std::int32_t>;
    using element = T;
    using weights = simd::lanes<T, Arch>;
    using activations = weights;
    using sums = weights;
    using partial = weights;

    static constexpr std::size_t depth_per_step = 1;
    static constexpr std::size_t widen_every = std::numeric_limits<std::size_t>::max();

    static S3_INLINE weights load(const element* w) noexcept { return simd::load<T, Arch>(w); }
    static S3_INLINE void store(element* to, const weights& w) noexcept {
        simd::store<Arch>(to, w);
    }
    static S3_INLINE activations broadcast(const staged* x) noexcept {
        return simd::broadcast<T, Arch>(*x);
    }
    static S3_INLINE partial step(const partial& p, const activations& x,
                                  const weights& w) noexcept {
        if constexpr (std::is_same_v<T, float>)
            return simd::multiply_add(x, w, p);
        else
            return p + x * w;
    }
    static S3_INLINE sums widen(const partial& p) noexcept { return p; }
};

template <weight_format F, class Arch, class T>
requires std::same_as<T, std::uint32_t> || std::same_as<T, float>
struct word_dot {
    using engine = word_engine<Arch, T>;
    using layout = planes<F::bits, 32>;

    static constexpr int zero_point = 0;
    static constexpr std::size_t stream_columns = 1;

    template <int Step>
    static S3_INLINE typename engine::weights
    decode(const simd::lanes<std::uint32_t, Arch>& v) noexcept {
        constexpr int bit = layout::bit_of(Step);
        if constexpr (!std::is_same_v<T, float>)
            return decode_word<F, Arch, bit>(v);
        else if constexpr (simd::has_float_lookup<F, Arch>)
            return simd::lookup_float<F, Arch>(bit == 0 ? v : v >> bit);
        else
            return simd::to_float(simd::as<std::int32_t>(decode_word<F, Arch, bit>(v)));
    }
};

/// The general product for floats, and for integers where the machine has no dot products of bytes.
template <weight_format F, activation X, architecture Arch>
struct dot_words_panels {
    static constexpr const char* name = "dot_words_panels";
    static constexpr s3::family family = s3::family::dot;
    static constexpr bool exists = true;
    static constexpr rank_range ranks{95, 95};
    static constexpr int rank(const product_request&) noexcept { return ranks.most; }
    static auto loop() {
        using lane = std::conditional_t<std::is_same_v<X, float>, float, std::uint32_t>;
        return std::type_identity<panel_product<word_dot<F, Arch, lane>>>{};
    }
};

} // namespace s3::kernel

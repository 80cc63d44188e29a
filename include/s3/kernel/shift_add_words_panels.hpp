#pragma once
// `shift_add` on 32-bit lanes, for every shift format and machine: each lane shifts the activation
// by the exponent of its own weight, masks it where the weight is zero, flips the sign and adds.
// There is no multiplication anywhere. A decoded weight has in bits 0 … 4 the shift, in bit 30 "not
// zero" and in bit 31 "negative".

#include <s3/kernel/dot_words_panels.hpp>
#include <s3/kernel/seams.hpp>

namespace s3::kernel {

template <class Arch>
struct word_shift_engine : word_engine<Arch, std::uint32_t> {
    using word = simd::lanes<std::uint32_t, Arch>;

    static S3_INLINE word step(const word& p, const word& x, const word& w) noexcept {
        const auto constant = [](std::uint32_t c) {
            return simd::broadcast<std::uint32_t, Arch>(c);
        };
        const word negative = constant(0) - (w >> 31);
        const word present = constant(0) - ((w >> 30) & constant(1));
        const word shifted = (x & present) << (w & constant(31));
        return p + ((shifted ^ negative) - negative);
    }
};

template <shift_weight_format F, class Arch>
struct word_shift_add {
    using engine = word_shift_engine<Arch>;
    using layout = planes<F::bits, 32>;
    using word = typename engine::word;

    static constexpr int zero_point = 0;
    static constexpr std::size_t stream_columns = 1;

    template <int Step>
    static S3_INLINE word decode(const simd::lanes<std::uint32_t, Arch>& v) noexcept {
        const auto constant = [](std::uint32_t c) {
            return simd::broadcast<std::uint32_t, Arch>(c);
        };
        constexpr std::uint32_t magnitudes = (1u << (F::bits - 1)) - 1;
        const word code = v >> layout::bit_of(Step);
        const word negative = (code >> (F::bits - 1)) << 31;
        const word magnitude = code & constant(magnitudes);
        if constexpr (!F::has_zero)
            return magnitude | negative | constant(1u << 30);
        // Adding `magnitudes` carries into the bit above the field exactly if the magnitude is not
        // 0.
        const word present = ((magnitude + constant(magnitudes)) >> (F::bits - 1)) << 30;
        const word shift = (magnitude + constant(31)) & constant(31);
        return shift | present | negative;
    }
};

/// The kernel of last resort: it serves every shift format on every machine, but slowly.
template <weight_format F, activation X, architecture Arch>
struct shift_add_words_panels {
    static constexpr const char* name = "shift_add_words_panels";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr bool exists = F::is_shift && std::integral<X>;
    static constexpr rank_range ranks{40, 40};
    static constexpr int rank(const product_request&) noexcept { return ranks.most; }
    static auto loop() { return std::type_identity<panel_product<word_shift_add<F, Arch>>>{}; }
};

} // namespace s3::kernel

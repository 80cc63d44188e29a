#pragma once
// The latents of a tensor of shift weights: views of the host's own float buffers, each with one
// float per weight. A format with E exponents has T = E − 1 shift latents, in the order of the
// recursion: shift[0] is l_1 (innermost) and shift[T − 1] is l_T (outermost). In the authors' 3-bit
// code `weight_shift2` is shift[0] and `weight_shift` is shift[1].
//
//   latents<shift3> p{sign, sparse, {shift_1, shift_2}};
//   latents<dense3> q{sign, {shift_1, shift_2, shift_3}};   // no zero, hence no sparse latent
//
// `Float` is const float for latents that are only read. Gradients have the same shape and type.

#include <s3/core/error.hpp>
#include <s3/format/shift.hpp>
#include <s3/train/vectorized_loop.hpp>

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <string>
#include <type_traits>

namespace s3 {

/// The number T of shift latents per weight.
template <shift_weight_format F>
inline constexpr std::size_t shift_latents = F::exponents - 1;

/// The number of latents per weight: sign, sparse (in formats with zero) and shifts.
template <shift_weight_format F>
inline constexpr std::size_t latents_per_weight = 1 + (F::has_zero ? 1 : 0) + shift_latents<F>;

template <class Float>
concept latent_float = std::same_as < std::remove_const_t<Float>,
float > ;

template <shift_weight_format F, latent_float Float = float>
struct latents {
    std::span<Float> sign;
    std::span<Float> sparse;
    std::array<std::span<Float>, shift_latents<F>> shift{};

    [[nodiscard]] constexpr std::size_t size() const noexcept { return sign.size(); }
};

template <shift_weight_format F, latent_float Float>
requires(!F::has_zero) struct latents<F, Float> {
    std::span<Float> sign;
    std::array<std::span<Float>, shift_latents<F>> shift{};

    [[nodiscard]] constexpr std::size_t size() const noexcept { return sign.size(); }
};

/// The spans of all latents in one array: sign, sparse (in formats with zero), shift_1 … shift_T.
template <shift_weight_format F, latent_float Float>
[[nodiscard]] constexpr auto fields(const latents<F, Float>& p) noexcept {
    std::array<std::span<Float>, latents_per_weight<F>> all;
    std::size_t next = 0;
    all[next++] = p.sign;
    if constexpr (F::has_zero)
        all[next++] = p.sparse;
    for (const auto& s : p.shift)
        all[next++] = s;
    return all;
}

/// The inverse of `fields`.
template <shift_weight_format F, latent_float Float>
[[nodiscard]] constexpr latents<F, Float>
from_fields(const std::array<std::span<Float>, latents_per_weight<F>>& all) noexcept {
    latents<F, Float> p;
    std::size_t next = 0;
    p.sign = all[next++];
    if constexpr (F::has_zero)
        p.sparse = all[next++];
    for (auto& s : p.shift)
        s = all[next++];
    return p;
}

/// The name of field k, in the order of `fields`, as errors use it.
template <shift_weight_format F>
[[nodiscard]] constexpr const char* field_name(std::size_t k) noexcept {
    constexpr const char* shifts[] = {"shift_1",  "shift_2",  "shift_3",  "shift_4",  "shift_5",
                                      "shift_6",  "shift_7",  "shift_8",  "shift_9",  "shift_10",
                                      "shift_11", "shift_12", "shift_13", "shift_14", "shift_15"};
    constexpr std::size_t first_shift = F::has_zero ? 2 : 1;
    return k == 0 ? "sign" : k < first_shift ? "sparse" : shifts[k - first_shift];
}

/// The name of field k in state dicts of the S3 authors: `weight` (sign), `weight_val` (sparse),
/// `weight_shift` (the outermost shift l_T), `weight_shift2` (l_{T−1}), and so on.
template <shift_weight_format F>
[[nodiscard]] inline std::string parameter_name(std::size_t k) {
    constexpr std::size_t first_shift = F::has_zero ? 2 : 1;
    if (k < first_shift)
        return k == 0 ? "weight" : "weight_val";
    const std::size_t from_outside = latents_per_weight<F> - k;
    return from_outside == 1 ? "weight_shift" : "weight_shift" + std::to_string(from_outside);
}

/// Checks that every span has `size` elements.
template <shift_weight_format F, latent_float Float>
status check_sizes(const latents<F, Float>& p, std::size_t size) noexcept {
    const auto all = fields(p);
    for (std::size_t k = 0; k < all.size(); ++k)
        if (all[k].size() != size)
            return error(errc::shape_mismatch, field_name<F>(k)).got(all[k].size()).needs(size);
    return {};
}

/// Checks that latents are finite from element `first` on; an error names the first that is NaN or
/// infinite.
template <shift_weight_format F, latent_float Float>
status validate(const latents<F, Float>& p, std::size_t first = 0) noexcept {
    if (const status sizes = check_sizes(p, p.size()); !sizes)
        return sizes;
    const auto all = fields(p);
    for (std::size_t i = first; i < p.size(); ++i)
        for (std::size_t k = 0; k < all.size(); ++k)
            if (!is_finite(all[k][i]))
                return error(errc::not_finite, field_name<F>(k)).at(i);
    return {};
}

} // namespace s3

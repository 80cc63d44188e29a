#pragma once
// Eigen hosts: opt-in, includes Eigen. Views of dense float matrices for the library's spans, so
// that latents can be Eigen matrices:
//
//   Eigen::MatrixXf sign, sparse, shift_1, shift_2, weights;
//   auto p = s3::eigen::latents_of<s3::shift3>(sign, sparse, shift_1, shift_2);   // result<…>
//   s3::realize(*p, s3::eigen::span(weights));
//   …  s3::step(s3::sgd{}, *p, {*moments}, s3::eigen::span(grad), s3::eigen::span(weights));
//
// Element-wise operations do not care for the storage order as long as it is the same throughout:
// mixed orders and shapes are errors that name the argument. `pack` wants rows: give it a row-major
// matrix. Blocks and strided maps do not convert, since their memory is not contiguous.

#include <s3/core/view.hpp>
#include <s3/train/latents.hpp>

#include <Eigen/Core>

#include <array>
#include <concepts>
#include <cstddef>
#include <span>

namespace s3::eigen {

namespace detail {
template <class M>
inline constexpr bool unstrided_map = false;
template <class P, int Alignment>
inline constexpr bool unstrided_map<Eigen::Map<P, Alignment, Eigen::Stride<0, 0>>> = true;
} // namespace detail

/// Matrices, arrays and unstrided maps: memory that is one contiguous run.
template <class M>
concept contiguous = std::derived_from<M, Eigen::PlainObjectBase<M>> || detail::unstrided_map<M>;

/// All elements, in the order in which they are stored.
template <contiguous M>
[[nodiscard]] auto span(M& m) noexcept {
    return std::span(m.data(), static_cast<std::size_t>(m.size()));
}
template <contiguous M>
[[nodiscard]] auto span(const M& m) noexcept {
    return std::span(m.data(), static_cast<std::size_t>(m.size()));
}

/// A row-major matrix as the rows that `pack` and `matmul` take.
template <contiguous M>
requires(bool(M::IsRowMajor)) [[nodiscard]] auto rows(M& m) noexcept {
    return matrix_view(span(m), static_cast<std::size_t>(m.rows()),
                       static_cast<std::size_t>(m.cols()));
}

/// Latents behind matrices in the order of `fields`: sign, sparse (in formats with zero),
/// shift_1 … shift_T. Errors: shapes that differ.
template <shift_weight_format F, contiguous First, contiguous... Rest>
requires(sizeof...(Rest) + 1 == latents_per_weight<F>) result<latents<F>> latents_of(First& sign,
                                                                                     Rest&... rest)
noexcept {
    static_assert(((bool(Rest::IsRowMajor) == bool(First::IsRowMajor)) && ...),
                  "latents must share one storage order");
    const std::array<Eigen::Index, latents_per_weight<F>> heights{sign.rows(), rest.rows()...};
    const std::array<Eigen::Index, latents_per_weight<F>> widths{sign.cols(), rest.cols()...};
    for (std::size_t k = 1; k < heights.size(); ++k) {
        if (heights[k] != heights[0])
            return error(errc::shape_mismatch, field_name<F>(k)).got(heights[k]).needs(heights[0]);
        if (widths[k] != widths[0])
            return error(errc::shape_mismatch, field_name<F>(k)).got(widths[k]).needs(widths[0]);
    }
    return from_fields<F, float>({span(sign), span(rest)...});
}

} // namespace s3::eigen

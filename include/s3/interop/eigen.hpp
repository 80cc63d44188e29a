#pragma once
// For hosts that use Eigen; opt-in, includes Eigen. It makes the library's views of dense matrices,
// maps and blocks, and latents of contiguous float matrices:
//
//   Eigen::MatrixXf sign, sparse, shift_1, shift_2, weights;
//   auto p = s3::eigen::latents_of<s3::shift3>(sign, sparse, shift_1, shift_2);   // result<…>
//   s3::realize(*p, s3::eigen::span(weights));
//   …  s3::step(s3::sgd{}, *p, {*moments}, s3::eigen::span(grad), s3::eigen::span(weights));
//
//   Eigen::MatrixXf x(768, 64);                      // column-major: 64 vectors of 768
//   const auto view = s3::eigen::columns(x);         // result<matrix_view<float>>, 64 × 768
//
// Element-wise operations work in any storage order that is the same for all operands; mixed orders
// do not compile, and different shapes are errors that name the argument. They need contiguous
// memory, which blocks and strided maps do not have. `pack` and `matmul` need contiguous rows
// alone: `matrix` gives those of a matrix, `columns` those of its transpose, and both refuse, by
// the name "strides", a matrix whose elements lie otherwise (interop/strided.hpp has all errors).

#include <s3/core/view.hpp>
#include <s3/interop/strided.hpp>
#include <s3/train/latents.hpp>

#include <Eigen/Core>

#include <array>
#include <concepts>
#include <cstddef>
#include <span>
#include <type_traits>

namespace s3::eigen {

namespace detail {
template <class M>
inline constexpr bool unstrided_map = false;
template <class P, int Alignment>
inline constexpr bool unstrided_map<Eigen::Map<P, Alignment, Eigen::Stride<0, 0>>> = true;
} // namespace detail

/// Matrices, arrays and unstrided maps, whose memory is contiguous.
template <class M>
concept contiguous = std::derived_from<M, Eigen::PlainObjectBase<M>> || detail::unstrided_map<M>;

/// All elements of a matrix, in the order in which they are stored.
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

/// Matrices, maps and blocks of any strides, whose elements lie in memory, with no temporary that
/// would take them along.
template <class M>
concept addressable =
    (std::remove_cvref_t<M>::Flags & Eigen::DirectAccessBit) != 0 &&
    (std::is_lvalue_reference_v<M> ||
     !std::derived_from<std::remove_cvref_t<M>, Eigen::PlainObjectBase<std::remove_cvref_t<M>>>);

namespace detail {
/// A matrix, or its transpose, with its strides.
template <class M>
[[nodiscard]] auto strided(M& m, bool transposed) noexcept {
    const std::array<Eigen::Index, 2> sizes{m.rows(), m.cols()};
    const std::array<Eigen::Index, 2> strides{m.rowStride(), m.colStride()};
    using element = std::remove_pointer_t<decltype(m.data())>;
    return interop::strided_array<element>::make(
        m.data(), 2, [&](std::size_t d) { return sizes[transposed ? 1 - d : d]; },
        [&](std::size_t d) { return strides[transposed ? 1 - d : d]; });
}
} // namespace detail

/// The rows of a matrix whose rows are contiguous: a row-major one, or a block or a map of such.
template <class M>
requires addressable<M>
[[nodiscard]] auto matrix(M&& m) noexcept {
    return detail::strided(m, false).and_then([](const auto& a) { return interop::matrix_of(a); });
}
/// The columns of a matrix, as rows of a view, if they are contiguous: a column-major matrix, or a
/// block or a map of such.
template <class M>
requires addressable<M>
[[nodiscard]] auto columns(M&& m) noexcept {
    return detail::strided(m, true).and_then([](const auto& a) { return interop::matrix_of(a); });
}

/// Latents in the memory of matrices, which are given in the order of `fields`: sign, sparse (in
/// formats with zero), shift_1 … shift_T. Errors: shapes that differ.
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

#pragma once
// For hosts that use mdspan, of the standard (C++23), of Kokkos, or any class that has the same
// members; opt-in, and includes none of them. It gives the library's views of the same memory:
//
//   std::mdspan x(data, 64, 768);
//   const auto view = s3::mdspan::matrix(x);            // result<matrix_view<…>>
//   if (view) s3::matmul(kernel, *view, y);
//
// Only accessors whose data handle is a pointer to the elements fit. Errors: interop/strided.hpp,
// and "strides" for a layout that has none.

#include <s3/interop/strided.hpp>

#include <concepts>
#include <type_traits>

namespace s3::mdspan {

/// std::mdspan and classes like it.
template <class M>
concept mdspan_like = requires(const M& m, typename M::rank_type d) {
    typename M::element_type;
    { M::rank() } -> std::convertible_to<std::size_t>;
    { m.extent(d) } -> std::integral;
    { m.stride(d) } -> std::integral;
    { m.is_strided() } -> std::convertible_to<bool>;
    requires std::same_as < std::remove_cvref_t<decltype(m.data_handle())>,
    typename M::element_type* > ;
};

/// Sizes and strides of an mdspan.
template <mdspan_like M>
[[nodiscard]] result<interop::strided_array<typename M::element_type>> array(const M& m) {
    using rank_type = typename M::rank_type;
    if (!m.is_strided())
        return error(errc::unsupported, "strides");
    return interop::strided_array<typename M::element_type>::make(
        m.data_handle(), M::rank(), [&](std::size_t d) { return m.extent(rank_type(d)); },
        [&](std::size_t d) { return m.stride(rank_type(d)); });
}

/// All elements, if they lie in memory without gaps, the last index innermost.
template <mdspan_like M>
[[nodiscard]] result<std::span<typename M::element_type>> span(const M& m) {
    return array(m).and_then([](const auto& a) { return interop::span_of(a); });
}
/// An mdspan [rows][columns] whose rows are contiguous.
template <mdspan_like M>
[[nodiscard]] result<matrix_view<typename M::element_type>> matrix(const M& m) {
    return array(m).and_then([](const auto& a) { return interop::matrix_of(a); });
}
/// An mdspan of four dimensions, which `axes` names, whose elements lie in memory as NHWC or NCHW.
template <mdspan_like M>
[[nodiscard]] result<image_view<typename M::element_type>>
images(const M& m, image_order axes = image_order::nhwc) {
    return array(m).and_then([&](const auto& a) { return interop::images_of(a, axes); });
}

} // namespace s3::mdspan

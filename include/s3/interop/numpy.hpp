#pragma once
// For extension modules for Python that use pybind11: the library's views of the memory of NumPy
// arrays; opt-in, includes pybind11.
//
//   void run(pybind11::array x, pybind11::array y) {
//       const auto from = s3::numpy::matrix<const std::int8_t>(x);   // result<matrix_view<…>>
//       const auto to = s3::numpy::matrix<std::int32_t>(y);
//
// The array must outlive the view. Errors: interop/strided.hpp, and "dtype" (other than T in this
// machine's byte order), "flags" (an array that may not be written, for a T that is not const, or
// one that is not aligned).

#include <s3/interop/strided.hpp>

#include <pybind11/numpy.h>

#include <type_traits>

namespace s3::numpy {

/// Memory, sizes and strides of an array whose elements are T.
template <class T>
[[nodiscard]] result<interop::strided_array<T>> array(const pybind11::array& a) {
    using api = pybind11::detail::npy_api;
    if (!pybind11::isinstance<pybind11::array_t<std::remove_const_t<T>>>(a))
        return error(errc::unsupported, "dtype");
    if (!std::is_const_v<T> && !a.writeable())
        return error(errc::unsupported, "flags");
    if ((a.flags() & api::NPY_ARRAY_ALIGNED_) == 0)
        return error(errc::unsupported, "flags");
    constexpr auto each = static_cast<pybind11::ssize_t>(sizeof(T));
    const auto rank = static_cast<std::size_t>(a.ndim());
    for (std::size_t d = 0; d < rank; ++d) // of records that have other fields, too
        if (a.shape()[d] > 1 && a.strides()[d] % each != 0)
            return error(errc::unsupported, "strides").at(d).got(a.strides()[d]).needs(each);
    // An array that may be written was checked above, and one of `const T` is not written.
    auto* const first = static_cast<T*>(const_cast<void*>(a.data()));
    return interop::strided_array<T>::make(
        first, rank, [&](std::size_t d) { return a.shape()[d]; },
        [&](std::size_t d) { return a.strides()[d] / each; });
}

/// All elements, if they lie in memory without gaps, the last index innermost.
template <class T>
[[nodiscard]] result<std::span<T>> span(const pybind11::array& a) {
    return array<T>(a).and_then([](const auto& s) { return interop::span_of(s); });
}
/// An array [rows][columns] whose rows are contiguous.
template <class T>
[[nodiscard]] result<matrix_view<T>> matrix(const pybind11::array& a) {
    return array<T>(a).and_then([](const auto& s) { return interop::matrix_of(s); });
}
/// An array of four dimensions, which `axes` names, whose elements lie in memory as NHWC or NCHW.
template <class T>
[[nodiscard]] result<image_view<T>> images(const pybind11::array& a,
                                           image_order axes = image_order::nhwc) {
    return array<T>(a).and_then([&](const auto& s) { return interop::images_of(s, axes); });
}

} // namespace s3::numpy

#pragma once
// What the adapters of other libraries' arrays share (interop/mdspan.hpp, dlpack.hpp, eigen.hpp,
// numpy.hpp): an array of any rank and any strides, and the views of it that the library takes.
// Nothing is copied, and constness is kept.
//
// Errors name what has no view: "shape" (another rank, a negative or too large size), "strides",
// "data" (a null pointer). Their index is the dimension. Strides of dimensions of size 1, and of
// arrays without elements, mean nothing and are not looked at.

#include <s3/core/view.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>

namespace s3::interop {

/// An array [shape[0]][shape[1]]…, whose neighbours along dimension d lie strides[d] elements
/// apart. An array without strides is contiguous, the last dimension innermost.
template <class T>
struct strided_array {
    static constexpr std::size_t most_dimensions = 8;

    T* data = nullptr;
    std::size_t rank = 0;
    std::array<std::int64_t, most_dimensions> shape{};
    std::array<std::int64_t, most_dimensions> strides{};

    /// From the sizes and strides of some other type of array, whose size(d) and stride(d) are
    /// numbers of any integer type; stride(d) is not called if `contiguous`.
    template <class Size, class Stride>
    static result<strided_array> make(T* data, std::size_t rank, Size&& size, Stride&& stride,
                                      bool contiguous = false) {
        if (rank > most_dimensions)
            return error(errc::unsupported, "shape").got(rank).limit(most_dimensions);
        strided_array a{data, rank, {}, {}};
        std::size_t elements = 1;
        for (std::size_t d = 0; d < rank; ++d) {
            const auto n = size(d);
            if (!std::in_range<std::int64_t>(n) || std::cmp_less(n, 0))
                return error(errc::bad_option, "shape").at(d).got(n);
            a.shape[d] = static_cast<std::int64_t>(n);
            elements = saturating_mul(elements, static_cast<std::size_t>(n));
        }
        constexpr std::size_t limit =
            static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(T);
        if (elements > limit)
            return error(errc::bad_option, "shape").got(elements).limit(limit);
        if (elements != 0 && data == nullptr)
            return error(errc::buffer_too_small, "data").got(0).needs(elements);
        std::int64_t inner = 1;
        for (std::size_t d = rank; elements != 0 && d-- > 0;) {
            a.strides[d] = inner;
            inner *= a.shape[d];
            if (contiguous || a.shape[d] == 1)
                continue;
            const auto s = stride(d);
            if (!std::in_range<std::int64_t>(s))
                return error(errc::unsupported, "strides").at(d).got(s);
            a.strides[d] = static_cast<std::int64_t>(s);
        }
        return a;
    }

    [[nodiscard]] std::size_t size(std::size_t d) const noexcept {
        return static_cast<std::size_t>(shape[d]);
    }
    [[nodiscard]] std::size_t elements() const noexcept {
        std::size_t all = 1;
        for (std::size_t d = 0; d < rank; ++d)
            all *= size(d);
        return all;
    }
};

/// All elements of an array, if they lie in memory without gaps in the order of their indices.
template <class T>
[[nodiscard]] result<std::span<T>> span_of(const strided_array<T>& a) {
    std::int64_t inner = 1;
    for (std::size_t d = a.rank; a.elements() != 0 && d-- > 0; inner *= a.shape[d])
        if (a.shape[d] != 1 && a.strides[d] != inner)
            return error(errc::unsupported, "strides").at(d).got(a.strides[d]).needs(inner);
    return std::span<T>(a.data, a.elements());
}

/// The rows of a matrix [rows][columns]: the elements of a row must be neighbours, and rows must
/// not overlap.
template <class T>
[[nodiscard]] result<matrix_view<T>> matrix_of(const strided_array<T>& a) {
    if (a.rank != 2)
        return error(errc::shape_mismatch, "shape").got(a.rank).needs(2);
    const std::size_t rows = a.size(0), columns = a.size(1);
    if (rows == 0 || columns == 0)
        return matrix_view<T>(std::span<T>(a.data, 0), rows, columns);
    if (columns != 1 && a.strides[1] != 1)
        return error(errc::unsupported, "strides").at(1).got(a.strides[1]).needs(1);
    if (rows == 1)
        return matrix_view<T>(std::span<T>(a.data, columns), rows, columns);
    if (a.strides[0] < a.shape[1])
        return error(errc::unsupported, "strides").at(0).got(a.strides[0]).needs(columns);
    const auto stride = static_cast<std::size_t>(a.strides[0]);
    const std::size_t all = saturating_add(saturating_mul(rows - 1, stride), columns);
    constexpr std::size_t limit =
        static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max()) / sizeof(T);
    if (all > limit)
        return error(errc::bad_option, "strides").at(0).got(stride).limit(limit / rows);
    return matrix_view<T>(std::span<T>(a.data, all), rows, columns, stride);
}

/// A batch of images. `axes` says what the four dimensions are: [image][row][column][channel] or
/// [image][channel][row][column]. The view's own order is the one in which the elements lie in
/// memory, so that an array [image][channel][row][column] whose channels are innermost in memory
/// ("channels last" in PyTorch) is a view of the order nhwc, as one of a single channel always is.
template <class T>
[[nodiscard]] result<image_view<T>> images_of(const strided_array<T>& a,
                                              image_order axes = image_order::nhwc) {
    if (a.rank != 4)
        return error(errc::shape_mismatch, "shape").got(a.rank).needs(4);
    const bool last = axes == image_order::nhwc;
    const std::array<std::size_t, 4> nhwc =
        last ? std::array<std::size_t, 4>{0, 1, 2, 3} : std::array<std::size_t, 4>{0, 2, 3, 1};
    const std::array<std::size_t, 4> nchw{nhwc[0], nhwc[3], nhwc[1], nhwc[2]};
    const auto mismatch = [&](const std::array<std::size_t, 4>& order) -> status {
        std::int64_t inner = 1;
        for (std::size_t i = 4; a.elements() != 0 && i-- > 0; inner *= a.shape[order[i]])
            if (const std::size_t d = order[i]; a.shape[d] != 1 && a.strides[d] != inner)
                return error(errc::unsupported, "strides").at(d).got(a.strides[d]).needs(inner);
        return {};
    };
    const status is_nhwc = mismatch(nhwc), is_nchw = mismatch(nchw);
    if (!is_nhwc && !is_nchw)
        return (last ? is_nhwc : is_nchw).error();
    return image_view<T>{std::span<T>(a.data, a.elements()),
                         a.size(nhwc[0]),
                         a.size(nhwc[1]),
                         a.size(nhwc[2]),
                         a.size(nhwc[3]),
                         is_nhwc ? image_order::nhwc : image_order::nchw};
}

} // namespace s3::interop

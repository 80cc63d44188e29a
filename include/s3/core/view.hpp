#pragma once
// Views: memory of the host together with its shape. A view owns nothing. Nothing outside the shape
// is written. Bytes between the rows of a strided view may be read, without an effect on results;
// nothing outside the view's span ever is. The memory of an output may not overlap that of an
// input, unless the function says so.

#include <s3/core/error.hpp>
#include <s3/core/saturating.hpp>

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace s3 {

/// A matrix of `rows` × `columns`: the elements of a row are contiguous, and rows begin `stride`
/// elements apart.
template <class T>
struct matrix_view {
    std::span<T> data;
    std::size_t rows = 0;
    std::size_t columns = 0;
    std::size_t stride = 0;

    constexpr matrix_view() = default;
    constexpr matrix_view(std::span<T> d, std::size_t r, std::size_t c) noexcept
        : matrix_view(d, r, c, c) {}
    constexpr matrix_view(std::span<T> d, std::size_t r, std::size_t c, std::size_t s) noexcept
        : data(d), rows(r), columns(c), stride(s) {}

    /// A read-only view of the same elements.
    constexpr operator matrix_view<const T>() const noexcept requires(!std::is_const_v<T>) {
        return {data, rows, columns, stride};
    }

    /// The first element of row r. In a matrix without columns all rows begin where the data does,
    /// and that pointer may be null.
    [[nodiscard]] constexpr T* row(std::size_t r) const noexcept {
        return columns == 0 ? data.data() : data.data() + r * stride;
    }

    /// An error that names `argument` if rows overlap (stride < columns) or `data` is too short.
    status check(const char* argument) const noexcept {
        if (stride < columns)
            return error(errc::bad_option, argument).got(stride).needs(columns);
        if (rows == 0 || columns == 0)
            return {};
        const std::size_t needed = saturating_add(saturating_mul(rows - 1, stride), columns);
        if (data.size() < needed)
            return error(errc::buffer_too_small, argument).got(data.size()).needs(needed);
        return {};
    }
};

template <class Range, class... Sizes>
matrix_view(Range&&, Sizes...)
    -> matrix_view<typename decltype(std::span(std::declval<Range>()))::element_type>;

/// The order in which the elements of a batch of images lie in memory.
enum class image_order : unsigned char { nhwc, nchw };

/// A batch of images whose elements lie in memory without gaps; NHWC unless `order` says NCHW.
template <class T>
struct image_view {
    std::span<T> data;
    std::size_t batch = 0;
    std::size_t height = 0;
    std::size_t width = 0;
    std::size_t channels = 0;
    image_order order = image_order::nhwc;

    /// A read-only view of the same elements: a layer reads what the one before it wrote.
    constexpr operator image_view<const T>() const noexcept requires(!std::is_const_v<T>) {
        return {data, batch, height, width, channels, order};
    }

    /// The number of elements.
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return saturating_mul(saturating_mul(batch, height), saturating_mul(width, channels));
    }
    /// The index in `data` of the element of image n, row h, column w and channel c.
    [[nodiscard]] constexpr std::size_t index(std::size_t n, std::size_t h, std::size_t w,
                                              std::size_t c) const noexcept {
        return order == image_order::nhwc ? ((n * height + h) * width + w) * channels + c
                                          : ((n * channels + c) * height + h) * width + w;
    }

    /// An error that names `argument` unless `data` holds every element of the shape.
    status check(const char* argument) const noexcept {
        if (data.size() < size())
            return error(errc::buffer_too_small, argument).got(data.size()).needs(size());
        return {};
    }
};

template <class Range, class... Sizes>
image_view(Range&&, Sizes...)
    -> image_view<typename decltype(std::span(std::declval<Range>()))::element_type>;

} // namespace s3

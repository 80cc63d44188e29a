#pragma once
// Views: the host's memory with its shape. Nothing is owned and nothing beyond the shape is read.

#include <s3/core/error.hpp>
#include <s3/core/saturating.hpp>

#include <cstddef>
#include <span>
#include <type_traits>
#include <utility>

namespace s3 {

/// `rows` vectors of `columns` contiguous elements each, `stride` elements from one to the next.
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

    /// The same elements, to be read alone.
    constexpr operator matrix_view<const T>() const noexcept requires(!std::is_const_v<T>) {
        return {data, rows, columns, stride};
    }

    /// Rows without elements all begin where the data does, which may be nowhere: null.
    [[nodiscard]] constexpr T* row(std::size_t r) const noexcept {
        return columns == 0 ? data.data() : data.data() + r * stride;
    }

    /// An error that names `argument` unless `data` holds every element of the shape.
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

/// Order of the elements of an image batch in memory.
enum class image_order : unsigned char { nhwc, nchw };

/// A dense batch of images; NHWC unless said otherwise.
template <class T>
struct image_view {
    std::span<T> data;
    std::size_t batch = 0;
    std::size_t height = 0;
    std::size_t width = 0;
    std::size_t channels = 0;
    image_order order = image_order::nhwc;

    /// The same elements, to be read alone: what one layer wrote is what the next one reads.
    constexpr operator image_view<const T>() const noexcept requires(!std::is_const_v<T>) {
        return {data, batch, height, width, channels, order};
    }

    /// The number of elements.
    [[nodiscard]] constexpr std::size_t size() const noexcept {
        return saturating_mul(saturating_mul(batch, height), saturating_mul(width, channels));
    }
    /// Where in `data` the element of image n, row h, column w and channel c is.
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

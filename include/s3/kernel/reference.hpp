#pragma once
// The reference: matrix product and convolution as they are defined, on plain values, usable at
// compile time. Every kernel is tested against them. Only the standard library is needed.
// Preconditions: sizes fit together, and sums do not overflow.

#include <s3/core/conv.hpp>

#include <cstddef>
#include <span>

namespace s3::reference {

/// y[N][M] = x[N][K] · w[M][K]ᵀ
template <class W, class X, class Y>
constexpr void matmul(std::span<const W> w, std::span<const X> x, std::span<Y> y, std::size_t m,
                      std::size_t k, std::size_t n) {
    for (std::size_t j = 0; j < n; ++j)
        for (std::size_t i = 0; i < m; ++i) {
            Y sum = 0;
            for (std::size_t l = 0; l < k; ++l)
                sum += static_cast<Y>(w[i * k + l]) * static_cast<Y>(x[j * k + l]);
            y[j * m + i] = sum;
        }
}

/// Convolution of x with w[out_channels][height][width][in_channels]. Each image may have either
/// order; `y` has the shape of the output.
template <class W, class X, class Y>
constexpr void conv2d(std::span<const W> w, const filter_shape& f, const image_view<const X>& x,
                      const image_view<Y>& y, const conv_options& o) {
    const std::size_t per_group = f.out_channels / o.groups;
    for (std::size_t n = 0; n < y.batch; ++n)
        for (std::size_t oh = 0; oh < y.height; ++oh)
            for (std::size_t ow = 0; ow < y.width; ++ow)
                for (std::size_t m = 0; m < f.out_channels; ++m) {
                    Y sum = 0;
                    for (std::size_t kh = 0; kh < f.height; ++kh)
                        for (std::size_t kw = 0; kw < f.width; ++kw)
                            for (std::size_t c = 0; c < f.in_channels; ++c) {
                                // Arithmetic is unsigned: a position before the image wraps, and so
                                // lies outside.
                                const std::size_t h = oh * o.stride.height +
                                                      kh * o.dilation.height - o.padding.height;
                                const std::size_t v =
                                    ow * o.stride.width + kw * o.dilation.width - o.padding.width;
                                const bool inside = h < x.height && v < x.width;
                                const std::size_t channel = m / per_group * f.in_channels + c;
                                const Y value =
                                    inside ? static_cast<Y>(x.data[x.index(n, h, v, channel)])
                                           : static_cast<Y>(o.padding_value);
                                const W weight =
                                    w[((m * f.height + kh) * f.width + kw) * f.in_channels + c];
                                sum += static_cast<Y>(weight) * value;
                            }
                    y.data[y.index(n, oh, ow, m)] = sum;
                }
}

} // namespace s3::reference

#pragma once
// The network's shape: five 3×3 convolutions (16, 32/2, 32, 64/2, 64 channels, "/2" = stride 2),
// each with batch norm and ReLU, then the mean over the image and one linear layer. 5.5 million
// products an image. The four inner convolutions hold 99% of the weights; they are the shift
// layers.

#include <s3/format/list.hpp>

#include <array>
#include <cstddef>

namespace fashion {

inline constexpr std::size_t image_size = 28;
inline constexpr std::size_t classes = 10;
inline constexpr std::size_t features = 64;

struct layer_shape {
    std::size_t in_channels;
    std::size_t out_channels;
    std::size_t stride;
};
inline constexpr layer_shape first_layer{1, 16, 1};
inline constexpr std::array<layer_shape, 4> inner_layers{
    {{16, 32, 2}, {32, 32, 1}, {32, 64, 2}, {64, 64, 1}}};

/// Weights {0, ±1, ±2, ±4} in 3 bits; and ordinary 8-bit weights for the first and last layer.
using shift_format = s3::shift3;
using byte_format = s3::int8_weights;

} // namespace fashion

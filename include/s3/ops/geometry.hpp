#pragma once
// What is known of the activations when weights are prepared, and which kernels may serve. Apart
// from the kernels, so that a host of the compiled library need not read those.

#include <cstddef>

namespace s3 {

/// `shift_add` has no multiplication in its inner loop, `dot` uses the machine's multipliers;
/// `automatic` takes the faster by measured rule.
enum class family : unsigned char { automatic, dot, shift_add };

/// What is known of the activations when weights are prepared.
struct geometry {
    std::size_t columns = 64; ///< activation vectors per call (pixels of a convolution)
    family kernels = family::automatic;
    int activation_bits = 8; ///< a promise: activations use no more bits than this
    /// A promise: a convolution's images are NHWC. Integer kernels without a gather then keep no
    /// second layout of the weights for others, which are refused.
    bool nhwc_only = false;
};

} // namespace s3

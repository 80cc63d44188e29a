#pragma once
// What is known when weights are prepared. Apart from the kernels, so that a host of the compiled
// library need not read those.

#include <s3/kernel/family.hpp>

namespace s3 {

/// What is known of activations and outputs when weights are prepared.
struct prepare_options {
    std::size_t batch = 64; ///< activation vectors per call (output pixels of a convolution)
    /// The family, where `prepare<X, family::any>` leaves it open.
    family kernels = family::automatic;
    /// A promise: activations use no more bits than this. Where it is broken, outputs are
    /// unspecified numbers, which may differ between machines; nothing else goes wrong.
    int activation_bits = 8;
    /// Whether a convolution's images may be NCHW. Kernels without a gather then keep a second
    /// layout of the weights for these.
    bool any_order = false;
    /// Whether integer outputs are those of the weights' integers, not of the real numbers that
    /// they stand for: the caller applies the scale and the exponent offset that the weights
    /// record.
    bool integers_only = false;
    /// One kernel instead of the one that is estimated to be the fastest: what `tune` measured
    /// (ops/tune.hpp). It must be compiled and serve the request.
    kernel_id kernel = {};
};

} // namespace s3

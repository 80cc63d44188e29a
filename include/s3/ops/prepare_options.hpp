#pragma once
// The options of `prepare`. They are apart from the kernels, so that a host of the compiled library
// need not compile those.

#include <s3/kernel/family.hpp>

namespace s3 {

/// What is known of activations and outputs when weights are prepared.
struct prepare_options {
    std::size_t batch = 64; ///< activation vectors (or output pixels of a convolution) per call
    /// The family of kernels, where `prepare<X, family::any>` leaves it open.
    family kernels = family::automatic;
    /// A promise that activations use no more bits than this. If it is broken, outputs are
    /// unspecified numbers that may differ between machines, but nothing else goes wrong.
    int activation_bits = 8;
    /// Whether a convolution's images may be NCHW. Kernels without a gather read only NHWC, so a
    /// second layout of the weights, for another kernel, is then kept as well.
    bool any_order = false;
    /// Whether integer outputs are computed from the weights' integer values instead of the real
    /// numbers that they stand for. The caller then applies the recorded scale and exponent offset.
    bool integers_only = false;
    /// The kernel to use, for example as `tune` measured it (ops/tune.hpp), instead of the one that
    /// is estimated to be the fastest. It must be compiled, and must serve the request.
    kernel_id kernel = {};
};

} // namespace s3

#pragma once
// The seams of the kernels: what is asked of each part, and the words they share.
//
//   depth    K: weights of a row, and activations of a vector
//   batch    N: activation vectors of a product, output pixels of a convolution
//   panel    rows that share a vector of packed weights
//   block    weights of consecutive depth that are packed together
//   tile     rows × batch (or pixels × channels) whose sums registers hold at a time
//   span     consecutive vectors or pixels that are treated alike
//   step     what one multiply-and-add takes of the depth: 1 weight of a 32-bit lane, 4 of bytes
//
// A kernel file ends in a declaration, which kernel/registry.hpp lists:
//
//   template <weight_format F, activation X, architecture Arch> struct <family>_<lanes>_<method>
//     name      the struct's own
//     family    dot or shift_add
//     exists    whether format, activation type and instruction set have it
//     rank      how fast it is estimated to be for a request, see below
//     ranks     the least and the most that rank may be: a kernel that another one always outranks
//               is not compiled
//     loop()    the type (std::type_identity) of its layout and loop: product_loop or direct_loop

#include <s3/core/conv.hpp>
#include <s3/format/activation.hpp>
#include <s3/format/shift.hpp>
#include <s3/kernel/family.hpp>
#include <s3/simd/arch.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace s3::kernel {

struct rank_range {
    int least, most;
};

/// What is known when the kernel of a product is chosen. Ranks are estimated speeds in percent of
/// the kernel dot_bytes_panels; 0 where a request is not served.
struct product_request {
    std::size_t rows = 0;
    std::size_t batch = 0;
    int activation_bits = 8;
};

/// Which input channels an output channel sees: all of its group, or its own alone.
enum class connection : unsigned char { dense, depthwise };

/// What is known when a direct convolution of NHWC images is chosen. Ranks are estimated speeds in
/// percent of a product behind a gather, which serves where no direct kernel does; 0 where a
/// request is not served.
struct convolution_request {
    filter_shape shape;
    conv_options options;
    std::size_t batch = 0; ///< output pixels
    int activation_bits = 8;
    std::int64_t abs_sum = 0;             ///< the largest Σ|w| of an output channel
    s3::family product = s3::family::dot; ///< of the kernel that would serve behind a gather

    [[nodiscard]] constexpr connection kind() const noexcept {
        return options.groups > 1 && options.groups == shape.out_channels && shape.in_channels == 1
                   ? connection::depthwise
                   : connection::dense;
    }
};

/// The type of a declared kernel's layout and loop.
template <class Kernel>
using loop_of = typename decltype(Kernel::loop())::type;

/// What every declaration in the registry has.
template <class Kernel>
concept declared = requires {
    { Kernel::name } -> std::convertible_to<const char*>;
    { Kernel::family } -> std::convertible_to<s3::family>;
    { Kernel::exists } -> std::convertible_to<bool>;
    { Kernel::ranks } -> std::convertible_to<rank_range>;
};
template <class Kernel>
concept product_kernel = declared<Kernel> && requires(const product_request& r) {
    { Kernel::rank(r) } -> std::same_as<int>;
};
/// `kind`: the connection that it serves.
template <class Kernel>
concept direct_kernel = declared<Kernel> && requires(const convolution_request& r) {
    { Kernel::kind } -> std::convertible_to<connection>;
    { Kernel::rank(r) } -> std::same_as<int>;
};

} // namespace s3::kernel

#pragma once
// The seams of the kernels: what is required of each part, and the words that they share.
//
//   rows     M: outputs of a product, output channels of a convolution
//   depth    K: weights of a row, and activations of a vector
//   batch    N: activation vectors of a product, output pixels of a convolution
//   column   one activation vector or output pixel of the batch
//   panel    rows that share a vector of packed weights
//   block    weights of consecutive depth that are packed together
//   group    weights of consecutive depth that one look-up in a table stands for
//   segment  a part of the depth: blocks whose sums fit narrow lanes, or steps whose activations
//            lie in memory without a gap
//   tile     rows × batch (or pixels × channels) whose sums registers hold at a time
//   span     consecutive vectors or pixels that are treated alike
//   step     what one multiply-and-add takes of the depth: 1 weight of a 32-bit lane, 4 of bytes
//
// A kernel file ends in a declaration, which kernel/registry.hpp lists:
//
//   template <weight_format F, activation X, architecture Arch> struct <family>_<lanes>_<method>
//     name      the name of the struct
//     family    dot or shift_add
//     exists    whether the kernel exists for the format, activation type and instruction set
//     rank      its estimated speed for a request: see product_request and convolution_request
//     ranks     the least and the most that rank may be: a kernel that another one always outranks
//               is not compiled
//     permitted optional, for a unit that needs the system's permission: whether the process has
//               it; the least rank is then 0, so that other kernels are compiled, too
//     loop()    the type (std::type_identity) of its layout and loop: product_loop, direct_loop, or
//               group_loop (parts/group_product.hpp), whose kernels have no activation type
//
// A product_loop may be the panel_product of a panel_unit, which decodes weights and has a
// multiply_engine that multiplies them by activations. An activation_source says where the
// activations come from and a sum_sink where the sums go; the operations (ops/) bring both.

#include <s3/core/conv.hpp>
#include <s3/format/activation.hpp>
#include <s3/format/shift.hpp>
#include <s3/kernel/family.hpp>
#include <s3/simd/lanes.hpp>

#include <concepts>
#include <cstddef>
#include <type_traits>

namespace s3::kernel {

struct rank_range {
    int least, most;
};

/// What is known when the kernel of a product is chosen. A kernel's rank is its estimated speed in
/// percent of the speed of dot_bytes_panels, or 0 if it does not serve the request.
struct product_request {
    std::size_t rows = 0;
    std::size_t batch = 0;
    int activation_bits = 8;
    std::size_t group = 0; ///< weights that share a scale; 0 where those of a row do
};

/// Which input channels an output channel depends on: all of its group, or a single one.
enum class connection : unsigned char { dense, depthwise };

/// What is known when a direct convolution of NHWC images is chosen. A kernel's rank is its
/// estimated speed in percent of the speed of dot_bytes_panels behind a gather, or 0 if it does not
/// serve the request. A product behind a gather is chosen instead if it ranks at least as high.
struct convolution_request {
    filter_shape shape;
    conv_options options;
    std::size_t batch = 0; ///< number of output pixels
    int activation_bits = 8;
    std::int64_t abs_sum = 0;             ///< the largest Σ|w| of an output channel
    s3::family product = s3::family::dot; ///< of the product that would serve behind a gather

    [[nodiscard]] constexpr connection kind() const noexcept {
        return options.groups > 1 && options.groups == shape.out_channels && shape.in_channels == 1
                   ? connection::depthwise
                   : connection::dense;
    }
};

/// What multiplies and adds. `element` is the type of a 32-bit lane of decoded weights in memory,
/// `staged` of an activation in memory, and `sum` of a finished sum. A step adds `depth_per_step`
/// products to each lane of a `partial`; after at most `widen_every` steps it must be widened and
/// added to `sums`. An engine may bring its own way to keep sums: see parts/accumulate.hpp.
template <class E>
concept multiply_engine = requires(const typename E::element* from, typename E::element* to,
                                   const typename E::staged* x, const typename E::weights& w,
                                   const typename E::activations& a, const typename E::partial& p) {
    requires architecture<typename E::arch>;
    typename E::sum;
    { E::depth_per_step } -> std::convertible_to<std::size_t>;
    { E::widen_every } -> std::convertible_to<std::size_t>;
    { E::load(from) } -> std::same_as<typename E::weights>;
    { E::broadcast(x) } -> std::same_as<typename E::activations>;
    { E::step(p, a, w) } -> std::same_as<typename E::partial>;
    { E::widen(p) } -> std::same_as<typename E::sums>;
    E::store(to, w);
};

/// What decodes weights: decode<Step> extracts the weights of step number `Step` from a vector of
/// packed weights; `layout` (parts/planes.hpp) says where they lie in it. int8 activations are
/// staged as x + zero_point. A product with at most `stream_columns` activation vectors decodes
/// weights as they come from memory; a larger batch shares tiles of decoded weights.
template <class U>
concept panel_unit = multiply_engine<typename U::engine> &&
    requires(const simd::lanes<std::uint32_t, typename U::engine::arch>& planes) {
    typename U::layout;
    { U::zero_point } -> std::convertible_to<int>;
    { U::stream_columns } -> std::convertible_to<std::size_t>;
    { U::template decode<0>(planes) } -> std::same_as<typename U::engine::weights>;
};

/// Where activations come from. s(n, count, to, stride) stages activation vectors n … n + count − 1
/// at to, to + stride and so on, each padded with zeros to whole blocks. If the activations already
/// lie in the host's memory as a kernel would stage them, s.segments<Staged>() is their number of
/// segments, else 0; s.point(n, count, table, outside) then writes where the segments begin,
/// without a copy (`outside` has room for one segment of padding). s.ignores_padding() tells
/// whether padding adds nothing to sums, and s.alike(n) how many vectors from n on have padding in
/// the same segments.
template <class S, class Staged>
concept activation_source = requires(const S& s, std::size_t n, Staged* to, const Staged** table) {
    s(n, n, to, n);
    s.template point<Staged>(n, n, table, to);
    { s.template segments<Staged>() } -> std::convertible_to<std::size_t>;
    { s.ignores_padding() } -> std::convertible_to<bool>;
    { s.alike(n) } -> std::convertible_to<std::size_t>;
};

/// Where sums go: ops/store.hpp describes the members.
template <class S, class Sum>
concept sum_sink = requires(const S& s, std::size_t n, std::size_t* at, const std::size_t* placed,
                            const Sum* sums) {
    s(n, n, n, sums);
    s.place(n, n, at);
    s(placed, n, n, n, sums, n);
    { s.straight(n) } -> std::same_as<Sum*>;
};

/// Layout and loop of a matrix product with m × k weights. pack() writes a format's bitstream in
/// the kernel's layout to layout_bytes(m, k) bytes, which must be zero before. run(weights, range,
/// source, sink, scratch) computes a range of the outputs; rows can be divided among threads in
/// units of panels, of which there are panels(m).
template <class L>
concept product_loop = requires(const std::uint8_t* stream, const std::int64_t* row_sums,
                                std::size_t m, std::size_t k, std::uint8_t* to) {
    typename L::staged;
    typename L::sum;
    { L::zero_point } -> std::convertible_to<int>;
    { L::panels(m) } -> std::same_as<std::size_t>;
    { L::layout_bytes(m, k) } -> std::same_as<std::size_t>;
    { L::scratch_bytes(k, m) } -> std::same_as<std::size_t>;
    L::pack(stream, row_sums, m, k, to);
};

/// Layout and loop of a convolution of NHWC images. prepare(packed filter, options) makes a
/// `filter`, and run(filter, image, output size, options, begin, end, sink, scratch) computes the
/// units of work [begin, end); there are units(batch, output size) of them.
template <class L>
concept direct_loop = requires(const typename L::filter& f, std::size_t batch, const extent& out) {
    typename L::sum;
    { L::units(batch, out) } -> std::same_as<std::size_t>;
    { L::scratch_bytes(f) } -> std::same_as<std::size_t>;
};

/// The type of a declared kernel's layout and loop.
template <class Kernel>
using loop_of = typename decltype(Kernel::loop())::type;

/// What every declaration in the registry must have.
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
/// `kind` is the connection that the kernel serves.
template <class Kernel>
concept direct_kernel = declared<Kernel> && requires(const convolution_request& r) {
    { Kernel::kind } -> std::convertible_to<connection>;
    { Kernel::rank(r) } -> std::same_as<int>;
};

} // namespace s3::kernel

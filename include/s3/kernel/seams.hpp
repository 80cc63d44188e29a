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
//     permitted optional, where a unit needs permission: whether the process has it; the least
//               rank is then 0, so that other kernels are compiled, too
//     loop()    the type (std::type_identity) of its layout and loop: product_loop or direct_loop
//
// A product_loop may be the panel_product of a panel_unit, which decodes weights, and whose
// multiply_engine meets them with activations. Where activations come from is an
// activation_source's matter, where sums go a sum_sink's: the operations (ops/) bring both.

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
/// percent of the kernel dot_bytes_panels behind a gather; 0 where a request is not served. A
/// product that ranks as high serves in its stead.
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

/// What multiplies and adds. `element` is a 32-bit lane of decoded weights in memory, `staged` an
/// activation in memory, `sum` what a lane ends as. A step adds `depth_per_step` products to each
/// lane of a `partial`, of which `widen_every` steps may follow one another before they are widened
/// to `sums`. An engine may bring its own way to keep sums: see parts/accumulate.hpp.
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

/// What decodes weights: step `Step` of a block of packed weights, of which `layout`
/// (parts/planes.hpp) knows where it lies. int8 activations are staged as x + zero_point; up to
/// `stream_columns` activation vectors meet weights as they come from memory.
template <class U>
concept panel_unit = multiply_engine<typename U::engine> &&
    requires(const simd::lanes<std::uint32_t, typename U::engine::arch>& planes) {
    typename U::layout;
    { U::zero_point } -> std::convertible_to<int>;
    { U::stream_columns } -> std::convertible_to<std::size_t>;
    { U::template decode<0>(planes) } -> std::same_as<typename U::engine::weights>;
};

/// Where activations come from. s(n, count, to, stride) stages vectors n … n + count − 1, each
/// zero-padded to whole blocks. Where they lie in the host's memory as a kernel would stage them,
/// s.segments<Staged>() is not 0, and s.point(n, count, table, outside) tells where the segments
/// are, without a copy (`outside` has room for one segment of padding). s.ignores_padding() tells
/// whether that adds nothing, s.alike(n) how many vectors from n on see it in the same segments.
template <class S, class Staged>
concept activation_source = requires(const S& s, std::size_t n, Staged* to, const Staged** table) {
    s(n, n, to, n);
    s.template point<Staged>(n, n, table, to);
    { s.template segments<Staged>() } -> std::convertible_to<std::size_t>;
    { s.ignores_padding() } -> std::convertible_to<bool>;
    { s.alike(n) } -> std::convertible_to<std::size_t>;
};

/// Where sums go: see ops/store.hpp.
template <class S, class Sum>
concept sum_sink = requires(const S& s, std::size_t n, std::size_t* at, const std::size_t* placed,
                            const Sum* sums) {
    s(n, n, n, sums);
    s.place(n, n, at);
    s(placed, n, n, n, sums, n);
    { s.straight(n) } -> std::same_as<Sum*>;
};

/// Layout and loop of a matrix product of m × k weights: pack() writes layout_bytes(m, k) zeroed
/// bytes from a format's bitstream, and run(weights, range, source, sink, scratch) computes a range
/// of outputs, of which `panels(m)` rows' worth can be shared out.
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

/// Layout and loop of a convolution of NHWC images: prepare(packed filter, options) gives a
/// `filter`, and run(filter, image, output size, options, begin, end, sink, scratch) computes units
/// [begin, end) of units(batch, output size).
template <class L>
concept direct_loop = requires(const typename L::filter& f, std::size_t batch, const extent& out) {
    typename L::sum;
    { L::units(batch, out) } -> std::same_as<std::size_t>;
    { L::scratch_bytes(f) } -> std::same_as<std::size_t>;
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

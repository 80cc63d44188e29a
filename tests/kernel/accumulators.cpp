// Proofs, made by the compiler, that no accumulator of a kernel overflows: for each narrow one of
// every format and instruction set of the build, that what it adds up before it is widened fits;
// for the 32-bit ones, that a group of weights, a depthwise window and a pooling window always fit.
// Whole rows are bounded when weights are prepared (format/bounds.hpp, ops/overflow.cpp).

#include <s3/kernel/registry.hpp>
#include <s3/net/layers/pooling.hpp>

#include "../support/archs.hpp"
#include "../support/foreign.hpp"
#include "../support/types.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>

using namespace s3;

namespace {

constexpr std::int64_t int16_most = 32767, uint16_most = 65535, uint8_most = 255,
                       int32_most = 2147483647;

template <weight_format F>
constexpr std::int64_t magnitude = std::max<std::int64_t>(F::max_value,
                                                          -std::int64_t{F::min_value});

/// `widen_every` sums of two products of a weight and an activation, where partial sums have 16
/// bits.
template <class Engine>
constexpr bool pairs_fit(std::int64_t weight, std::int64_t activation) {
    return !Engine::narrow ||
           static_cast<std::int64_t>(Engine::widen_every) * 2 * weight * activation <= int16_most;
}

template <weight_format F, class Arch>
constexpr bool bytes_fit() {
    if constexpr (kernel::has_byte_dot<F, std::uint8_t, Arch>) {
        static_assert(pairs_fit<kernel::byte_engine_for<F, Arch>>(magnitude<F>, 255));
        using group = kernel::byte_group_dot<F, Arch>;
        // Weights are moved up by the offset, activations are −127 … 127.
        static_assert(F::min_value + group::weight_offset >=
                      (group::weight_offset == 0 ? -128 : 0));
        static_assert(F::max_value + group::weight_offset <=
                      (group::weight_offset == 0 ? 127 : 255));
        static_assert(pairs_fit<typename group::engine>(
            std::max<std::int64_t>(F::max_value + group::weight_offset,
                                   -std::int64_t{F::min_value} - group::weight_offset),
            127));
    }
    if constexpr (kernel::has_winograd<F, Arch>) {
        using loop = kernel::loop_of<kernel::dot_bytes_winograd<F, std::uint8_t, Arch>>;
        // Rows of the filter's transform, times 2, are (2 0 0), (1 1 1), (1 −1 1) and (0 0 2): the
        // largest component of both sides is 3 · 3 weights. A component of a patch is a sum of four
        // activations, or a difference that is staged + 128.
        static_assert(9 * magnitude<F> <= 127);
        static_assert(4 * ((1 << loop::activation_bits) - 1) <= uint8_most);
        static_assert(2 * ((1 << loop::activation_bits) - 1) + 128 <= uint8_most);
        static_assert(pairs_fit<typename loop::engine>(9 * magnitude<F>, 255));
    }
    return true;
}

template <class Loop>
struct unit_of_loop;
template <class Unit>
struct unit_of_loop<kernel::tabulated<Unit>> {
    using type = Unit;
};
template <class Unit>
struct unit_of_loop<kernel::permuted<Unit>> {
    using type = Unit;
};
template <class Kernel>
using unit_of = typename unit_of_loop<kernel::loop_of<Kernel>>::type;

/// Kernels that look sums up.
template <weight_format F, class Arch, class X = std::uint8_t>
constexpr bool tables_fit() {
    if constexpr (kernel::shift_add_bytes_table<F, X, Arch>::exists) {
        using unit = unit_of<kernel::shift_add_bytes_table<F, X, Arch>>;
        constexpr std::int64_t entry = 2 * unit::group * unit::largest; // bias and as much again
        static_assert(2 * entry <= uint8_most); // two entries are added as bytes
        static_assert(unit::segment_blocks >= 1);
        static_assert(std::int64_t{unit::segment_blocks * unit::groups} * entry <= uint16_most);
    }
    if constexpr (kernel::shift_add_table<F, X, Arch>::exists) {
        using unit = unit_of<kernel::shift_add_table<F, X, Arch>>;
        if constexpr (unit::narrow) {
            static_assert(unit::segment_blocks >= 1);
            static_assert(std::int64_t{unit::segment_blocks * unit::groups * unit::group} *
                              magnitude<F> * 128 <=
                          int16_most);
        } else {
            static_assert(sizeof(typename unit::entry) == 4);
        }
    }
    if constexpr (kernel::shift_add_int16_permute<F, X, Arch>::exists) {
        using unit = unit_of<kernel::shift_add_int16_permute<F, X, Arch>>;
        static_assert(unit::segment_blocks >= 1);
        static_assert(std::int64_t{unit::segment_blocks * unit::block_weights} * magnitude<F> *
                          unit::center <=
                      int16_most);
    }
    if constexpr (kernel::shift_add_bytes_shuffle<F, X, Arch>::exists) {
        using unit = unit_of<kernel::shift_add_bytes_shuffle<F, X, Arch>>;
        static_assert(unit::segment_blocks >= 1);
        if constexpr (unit::wide) // low and high bytes apart, each of at most 255
            static_assert(std::int64_t{unit::segment_blocks} * 2 * 255 <= uint16_most);
        else
            static_assert(std::int64_t{unit::segment_blocks * unit::block_weights} * magnitude<F> *
                              unit::center <=
                          int16_most);
        // An entry, signed, has 16 bits.
        static_assert(std::int64_t{unit::group} * magnitude<F> * unit::center <= int16_most + 1);
    }
    return true;
}

/// The largest group of weights times rounded activations, also where those are staged + 128.
template <weight_format F>
constexpr bool groups_fit() {
    static_assert(!layout::is_group(512));
    static_assert(256 * magnitude<F> * 255 <= int32_most);
    return true;
}

template <weight_format F, class... Arch>
constexpr bool fits(test::type_list<Arch...>) {
    return groups_fit<F>() && ((bytes_fit<F, Arch>() && tables_fit<F, Arch>()) && ...);
}
template <class... F>
constexpr bool all_fit(format_list<F...>) {
    return (fits<F>(test::all_archs{}) && ...);
}
static_assert(all_fit(all_formats{}) && all_fit(test::foreign_formats{}));

// The greatest filter that the depthwise kernel of bytes takes, and the greatest pooling window.
static_assert(std::int64_t{16} * 64 * 128 * 255 <= int32_most);

} // namespace

TEST_CASE("a depthwise kernel of bytes refuses windows larger than what is proved") {
    test::all_archs::each([]<class Arch>() {
        using kernel_type = kernel::dot_bytes_depthwise<int8_weights, std::uint8_t, Arch>;
        kernel::convolution_request r;
        r.options.groups = 8;
        r.shape = {8, 16, 64, 1};
        CHECK(kernel_type::rank(r) > 0);
        r.shape.height = 17;
        CHECK(kernel_type::rank(r) == 0);
        r.shape = {8, 16, 65, 1};
        CHECK(kernel_type::rank(r) == 0);
    });
}

TEST_CASE("a pooling window of the largest area fits, one pixel more is refused") {
    const auto infer = [](extent window) {
        std::vector<net::value_info> values{{window.height, window.width, 1}, {1, 1, 1}};
        const net::pooling l{.kind = net::pooling_kind::mean, .window = window, .stride = window};
        return l.infer({values, 1});
    };
    CHECK(std::int64_t{1 << 23} * 255 <= int32_most);
    CHECK(infer({1 << 12, 1 << 11}));
    const auto refused = infer({(1 << 23) + 1, 1});
    CHECK(refused.error().code == errc::depth_exceeded);
    CHECK(std::string(refused.error().argument) == "window");
}

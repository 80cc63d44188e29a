// Sums at their bound. With all weights and all activations at an extreme, convolutions of every
// kernel and linear layers are exact at the greatest depth that fits; one more weight is refused,
// by name. Products are in kernel/products.cpp, Winograd's own bound in kernel/winograd.cpp, proofs
// in kernel/accumulators.cpp. And a promise of few activation bits that is broken costs the
// numbers, nothing else.

#include <s3/ops/conv2d.hpp>
#include <s3/ops/linear.hpp>

#include "../support/foreign.hpp"
#include "../support/guarded.hpp"
#include "../support/types.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

using namespace s3;

namespace {

template <class X>
constexpr X extremes[] = {std::numeric_limits<X>::min(), std::numeric_limits<X>::max()};

/// Names of the kernels that exist and may run.
template <class List>
std::vector<std::string> names(List) {
    std::vector<std::string> all;
    List::each([&](auto k) {
        using kernel = typename decltype(k)::type;
        if constexpr (kernel::exists)
            if (s3::kernel::permitted<kernel>())
                all.push_back(kernel::name);
    });
    return all;
}

/// The products that are compiled.
template <weight_format F, class X>
using products = kernel::candidates<family::any, kernel::products<F, X, arch::native>>;

/// Convolves the whole of one image under one window, by every kernel that serves; returns the
/// names of those. A filter that is deeper by one weight is refused.
template <weight_format F, class X>
std::vector<std::string> convolve(const filter_shape& shape, const conv_options& o) {
    std::vector<std::string> ran;
    auto kernels = names(kernel::direct_convolutions<F, X, arch::native>{});
    for (const auto& name : names(products<F, X>{}))
        kernels.push_back(name);
    for (const int weight : {F::min_value, F::max_value}) {
        const auto filter =
            pack_filter<F>(std::vector<int>(shape.out_channels * shape.columns(), weight), shape);
        REQUIRE(filter);
        for (const auto& name : kernels) {
            CAPTURE(name);
            const auto w = prepare<X, family::any>(*filter, o, {.kernel = kernel_id(name)});
            if (!w) {
                CHECK(w.error().code == errc::unsupported);
                continue;
            }
            REQUIRE(std::string(w->kernel_name()) == name);
            for (const X v : extremes<X>) {
                const std::size_t channels = shape.in_channels * o.groups;
                const std::vector<X> x(shape.height * shape.width * channels, v);
                std::vector<std::int32_t> y(shape.out_channels, 77);
                REQUIRE(conv2d(*w, {x, 1, shape.height, shape.width, channels},
                               image_view<std::int32_t>{y, 1, 1, 1, shape.out_channels}));
                const std::int64_t exact =
                    std::int64_t{weight} * v * static_cast<std::int64_t>(shape.columns());
                CHECK(std::all_of(y.begin(), y.end(), [&](auto sum) { return sum == exact; }));
            }
            ran.push_back(name);
        }
    }
    const filter_shape deeper{shape.out_channels, 1, shape.columns() + 1, 1};
    const std::vector<int> lowest(deeper.out_channels * deeper.columns(), F::min_value);
    const auto w = prepare<X, family::any>(*pack_filter<F>(lowest, deeper), {.groups = o.groups});
    CHECK(w.error().code == errc::depth_exceeded);
    CHECK(std::string(w.error().argument) == "weights.row");
    return ran;
}

bool has(const std::vector<std::string>& all, std::string_view name) {
    return std::find(all.begin(), all.end(), name) != all.end();
}

} // namespace

TEST_CASE("convolutions are exact at the greatest depth, and refused beyond") {
    permit_tiles();
    static_assert(max_depth<shift5, std::uint8_t>() == 2 * 257);
    const auto dense = convolve<shift5, std::uint8_t>({3, 2, 257, 1}, {});
    CHECK(has(dense, "dot_words_panels"));
    CHECK(has(dense, "shift_add_table"));
    CHECK(has(dense, "shift_add_words_panels"));
    const auto depthwise = convolve<shift5, std::uint8_t>({70, 2, 257, 1}, {.groups = 70});
    CHECK(has(depthwise, "dot_words_depthwise"));
    CHECK(has(depthwise, "shift_add_words_depthwise"));
    static_assert(max_depth<int8_weights, std::int8_t>() == 131071);
    const auto bytes = convolve<int8_weights, std::int8_t>({1, 1, 131071, 1}, {});
    for (const auto& name : names(products<int8_weights, std::int8_t>{}))
        CHECK(has(bytes, name));
    if constexpr (kernel::has_byte_dot<int8_weights, std::int8_t, arch::native>)
        CHECK(has(bytes, "dot_bytes_direct"));
}

namespace {

/// A layer whose weights are all at one extreme and whose activations are at another: each sum of a
/// group (0: of a row) is exact, and then a float.
template <weight_format F>
void run_layer(std::size_t columns, std::size_t group) {
    const std::size_t rows = 5, batch = 3, part = group == 0 ? columns : group;
    for (const int weight : {F::min_value, F::max_value}) {
        const std::vector<float> scale(group == 0 ? 0 : rows * (columns / group), 1.0f);
        const auto packed = *pack<F>(std::vector<int>(rows * columns, weight), rows, columns,
                                     {.scale = scale, .group = group});
        for (const float v : {-127.0f, 127.0f}) {
            const std::vector<float> x(batch * columns, v);
            const auto sum = static_cast<float>(static_cast<double>(weight) *
                                                static_cast<double>(v) * static_cast<double>(part));
            float exact = sum;
            for (std::size_t g = part; g < columns; g += part)
                exact += sum;
            const auto check = [&](auto layer) {
                REQUIRE(layer);
                CAPTURE(std::string(layer->kernel_name()));
                std::vector<float> y(batch * rows);
                REQUIRE((*layer)(x, y));
                CHECK(y == std::vector<float>(y.size(), exact));
            };
            check(linear<F>::make(packed, {.batch = batch}));
            if constexpr (F::is_shift)
                check(linear<F, family::shift_add>::make(packed, {.batch = batch}));
        }
    }
}

} // namespace

TEST_CASE("a linear layer is exact at the greatest depth and in the largest groups") {
    permit_tiles();
    test::type_list<shift5, int8_weights>::each([&]<class F>() {
        const auto depth = static_cast<std::size_t>(max_depth<F, std::int8_t>());
        run_layer<F>(depth, 0);
        run_layer<F>(512, 256);
        const auto deeper = pack<F>(std::vector<int>(depth + 1, F::min_value), 1, depth + 1);
        const auto refused = linear<F>::make(*deeper);
        CHECK(refused.error().code == errc::depth_exceeded);
        CHECK(std::string(refused.error().argument) == "weights.row");
    });
}

TEST_CASE(
    "a row of zeros is as long as memory allows: what its sum starts from wraps, and returns") {
    constexpr std::size_t columns = (std::size_t{1} << 24) + (std::size_t{1} << 18);
    std::vector<std::int8_t> one(columns);
    one[7] = 1;
    auto layer = linear<int8_weights>::make(*pack<int8_weights>(one, 1, columns));
    REQUIRE(layer);
    const std::vector<float> x(columns, 127.0f);
    std::vector<float> y(1);
    REQUIRE((*layer)(x, y));
    CHECK(y[0] == 127.0f);
}

namespace {

/// Weights that fit only as long as activations keep to `bits`: every kernel runs to its end,
/// between guard pages, on activations that do not.
template <weight_format F, class X>
void break_promise(int bits) {
    const auto depth = static_cast<std::size_t>(max_depth<F, X>(bits));
    const std::size_t rows = 5, batch = 9;
    test::guarded_memory x_memory(batch * depth), y_memory(4 * rows * batch),
        scratch_memory(1 << 24);
    const auto x = x_memory.take<X>(batch * depth, test::side::upper);
    const matrix_view<const X> from(x, batch, depth);
    const std::vector<std::int32_t> bias(rows, std::is_signed_v<X> ? -1 : 1);
    const std::vector<float> scale(rows, 1e-6f);
    for (const int weight : {F::min_value, F::max_value}) {
        const auto packed = *pack<F>(std::vector<int>(rows * depth, weight), rows, depth);
        for (const auto& name : names(products<F, X>{})) {
            CAPTURE(name);
            const auto w = prepare<X, family::any>(
                packed, {.batch = batch, .activation_bits = bits, .kernel = kernel_id(name)});
            REQUIRE(w);
            for (const X v : extremes<X>) {
                std::fill(x.begin(), x.end(), v);
                const auto scratch =
                    scratch_memory.take<std::byte>(scratch_bytes(*w, batch), test::side::upper);
                const auto y = y_memory.take<std::int32_t>(rows * batch, test::side::upper);
                CHECK(matmul(*w, from, matrix_view<std::int32_t>(y, batch, rows), {}, scratch));
                const auto narrow = y_memory.take<std::uint8_t>(rows * batch, test::side::upper);
                CHECK(matmul(*w, from, matrix_view<std::uint8_t>(narrow, batch, rows),
                             {.scale = scale, .bias = bias}, scratch));
            }
        }
    }
}

/// The same of convolutions.
template <weight_format F, kernel_choice Choice>
void break_promise(const filter_shape& shape, const conv_options& o, int bits) {
    const std::vector<int> weights(shape.out_channels * shape.columns(), F::max_value);
    const std::size_t channels = shape.in_channels * o.groups;
    const std::size_t height = shape.height + 3, width = shape.width + 3;
    test::guarded_memory memory(height * width * channels);
    const auto x = memory.take<std::uint8_t>(height * width * channels, test::side::upper);
    std::fill(x.begin(), x.end(), std::uint8_t{255});
    const auto w = prepare<std::uint8_t, Choice>(*pack_filter<F>(weights, shape), o,
                                                 {.activation_bits = bits});
    REQUIRE(w);
    const std::vector<std::int32_t> bias(shape.out_channels, 1);
    const std::vector<float> scale(shape.out_channels, 1e-6f);
    std::vector<std::uint8_t> y(16 * shape.out_channels);
    CHECK(conv2d(*w, {x, 1, height, width, channels},
                 image_view<std::uint8_t>{y, 1, 4, 4, shape.out_channels},
                 {.scale = scale, .bias = bias}));
}

} // namespace

TEST_CASE("activations of more bits than were promised harm nothing but the numbers") {
    permit_tiles();
    break_promise<shift5, std::uint8_t>(4);
    break_promise<int8_weights, std::int8_t>(7);
    const conv_options depthwise{.groups = 70};
    break_promise<shift5, family::dot>({70, 2, 2000, 1}, depthwise, 4);
    break_promise<shift5, family::shift_add>({70, 2, 2000, 1}, depthwise, 4);
    break_promise<shift3, family::dot>({64, 3, 3, 64}, {}, 6); // Winograd, where there is one
}

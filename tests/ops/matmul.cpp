// The matrix product's public face: fused epilogues, memory of the caller's, threads of the
// caller's, and an error value, with nothing written, for whatever does not fit.

#include <s3/ops/matmul.hpp>

#include <s3/kernel/reference.hpp>

#include "../support/archs.hpp"
#include "../support/guarded.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

using namespace s3;

namespace {

using bytes = std::vector<std::uint8_t>;
using ints = std::vector<std::int32_t>;

template <class X>
std::vector<X> random_activations(test::random& r, std::size_t count) {
    std::vector<X> x(count);
    for (X& v : x)
        v = static_cast<X>(std::is_unsigned_v<X> ? r.between(0, 255) : r.between(-128, 127));
    return x;
}

/// A product that works, of which each error is one change away.
struct fixture {
    static constexpr std::size_t m = 5, k = 7, n = 3;
    packed_matrix<shift3> packed = *pack<shift3>(std::vector<int>(m * k, 2), m, k);
    prepared_matrix<shift3, std::uint8_t> w = *prepare(packed);
    bytes x = bytes(n * k, 3);
    ints y = ints(n * m, 77);
    bytes y8 = bytes(n * m, 77);
    buffer<std::byte> scratch = *buffer<std::byte>::make(scratch_bytes(w, n));

    /// The argument that is named; nothing may have been written.
    std::string refused(matrix_view<const std::uint8_t> in, matrix_view<std::int32_t> out,
                        const epilogue& e = {}) {
        return named(matmul(w, in, out, e, scratch.span()));
    }
    std::string refused(const epilogue& e) {
        return named(matmul(w, matrix_view<const std::uint8_t>(x, n, k),
                            matrix_view<std::uint8_t>(y8, n, m), e, scratch.span()));
    }
    std::string named(const status& s) {
        CHECK(y == ints(n * m, 77));
        CHECK(y8 == bytes(n * m, 77));
        return s ? "nothing" : s.error().argument;
    }
};

/// What a product with an epilogue must be, by the reference and `finish`.
template <class Y, class X>
std::vector<Y> finished(const std::vector<int>& w, const std::vector<X>& x, std::size_t m,
                        std::size_t k, std::size_t n, const epilogue& e) {
    ints sums(n * m);
    reference::matmul<int, X, std::int32_t>(w, x, sums, m, k, n);
    std::vector<Y> y(n * m);
    for (std::size_t i = 0; i < y.size(); ++i)
        y[i] = finish<Y>(sums[i], i % m, i, e);
    return y;
}

} // namespace

TEST_CASE("a product by hand") {
    // 1  0 −2     3     −5
    // 4 −1  0  ·  5  =   7
    //             4
    const auto w = pack<shift3>(std::vector<int>{1, 0, -2, 4, -1, 0}, 2, 3);
    const bytes x{3, 5, 4};
    const std::vector<std::int8_t> signed_x{-3, 5, 4};
    const std::vector<float> float_x{0.5f, -1, 2};
    ints y(2);
    std::vector<float> float_y(2);
    REQUIRE(matmul(*prepare(*w), x, y));
    CHECK(y == ints{-5, 7});
    REQUIRE(matmul(*prepare<std::int8_t>(*w), signed_x, y));
    CHECK(y == ints{-11, -17});
    REQUIRE(matmul(*prepare<float>(*w), float_x, float_y));
    CHECK(float_y == std::vector<float>{-3.5f, 3});
    bytes y8(2);
    const std::vector<float> scale{0.5f};
    const ints bias{3, -1};
    REQUIRE(matmul(*prepare(*w), x, y8, epilogue{.scale = scale, .bias = bias, .zero_point = 10}));
    CHECK(y8 == bytes{9, 13});
}

TEST_CASE("outputs of every type are finish of the exact sum") {
    constexpr std::size_t m = 37, k = 45, n = 11;
    test::random r(1);
    const auto weights = test::random_weights<shift3>(r, m * k);
    const auto packed = *pack<shift3>(weights, m, k);
    ints bias(m);
    std::vector<float> scale(m);
    std::vector<std::uint8_t> shift(m), residual(n * m);
    for (std::size_t i = 0; i < m; ++i) {
        bias[i] = r.between(-3000, 3000);
        scale[i] = r.real() / 16;
        shift[i] = static_cast<std::uint8_t>(r.below(9));
    }
    for (auto& v : residual)
        v = static_cast<std::uint8_t>(r());
    const epilogue epilogues[] = {
        {.scale = scale, .bias = bias, .activation = relu, .zero_point = 20},
        {.bias = bias, .shift = shift, .zero_point = -7, .clamp_low = 3, .clamp_high = 90},
        {.scale = scale,
         .residual = std::span<const std::uint8_t>(residual),
         .residual_scale = 0.5f,
         .residual_zero_point = 100}};
    const epilogue wide{.bias = bias, .activation = relu};
    const epilogue real{.scale = scale, .bias = bias};
    test::main_archs::each([&]<class Arch>() {
        CAPTURE(std::string(Arch::name));
        test::integer_activations::each([&]<class X>() {
            const auto x = random_activations<X>(r, n * k);
            for (const family f : {family::dot, family::shift_add})
                for (const std::size_t columns : {std::size_t{1}, std::size_t{64}}) {
                    const auto w =
                        prepare<X, family::any, Arch>(packed, {.batch = columns, .kernels = f});
                    REQUIRE(w);
                    for (const epilogue& e : epilogues) {
                        bytes y(n * m);
                        std::vector<std::int8_t> z(n * m);
                        REQUIRE(matmul(*w, x, y, e));
                        REQUIRE(matmul(*w, x, z, e));
                        CHECK(y == finished<std::uint8_t>(weights, x, m, k, n, e));
                        CHECK(z == finished<std::int8_t>(weights, x, m, k, n, e));
                    }
                    ints y(n * m);
                    std::vector<float> z(n * m);
                    REQUIRE(matmul(*w, x, y, wide));
                    REQUIRE(matmul(*w, x, z, real));
                    CHECK(y == finished<std::int32_t>(weights, x, m, k, n, wide));
                    CHECK(z == finished<float>(weights, x, m, k, n, real));
                }
        });
    });
}

TEST_CASE("a residual is laid out as the output is, gaps included") {
    constexpr std::size_t m = 5, k = 3, n = 4, stride = 9;
    test::random r(2);
    const auto weights = test::random_weights<shift3>(r, m * k);
    const auto x = random_activations<std::uint8_t>(r, n * k);
    const auto plain = finished<std::int32_t>(weights, x, m, k, n, {});
    bytes residual((n - 1) * stride + m), y(residual.size(), 77);
    for (auto& v : residual)
        v = static_cast<std::uint8_t>(r());
    const std::vector<float> scale{0.25f};
    const epilogue e{.scale = scale, .residual = std::span<const std::uint8_t>(residual)};
    const auto w = prepare(*pack<shift3>(weights, m, k));
    REQUIRE(matmul(*w, matrix_view<const std::uint8_t>(x, n, k),
                   matrix_view<std::uint8_t>(y, n, m, stride), e));
    for (std::size_t i = 0; i < y.size(); ++i)
        CHECK(y[i] == (i % stride < m ? finish<std::uint8_t>(plain[i / stride * m + i % stride],
                                                             i % stride, i, e)
                                      : 77));
}

TEST_CASE("a residual is as large as the matrix of outputs, not as the memory around it") {
    const auto w = prepare(*pack<shift3>(std::vector<int>(6, 1), 2, 3));
    const bytes x(9, 1), residual(6, 5);
    bytes y(100, 77);
    const matrix_view<std::uint8_t> out(y, 3, 2);
    const std::vector<float> scale{1};
    const matrix_view<const std::uint8_t> in(x, 3, 3);
    REQUIRE(matmul(*w, in, out,
                   epilogue{.scale = scale, .residual = std::span<const std::uint8_t>(residual)}));
    CHECK(y[0] == 8);
    CHECK(y[5] == 8);
    CHECK(y[6] == 77);
    const auto short_by_one = std::span<const std::uint8_t>(residual).first(5);
    const auto s = matmul(*w, in, out, epilogue{.scale = scale, .residual = short_by_one});
    REQUIRE(!s);
    CHECK(s.error().bound == 6);
}

TEST_CASE("float activations meet the real weights: exponent offset and scale included") {
    constexpr std::size_t m = 19, k = 33, n = 5;
    test::random r(3);
    const auto values = test::random_weights<shift3>(r, m * k);
    std::vector<float> weights(m * k), x(n * k), scale(m);
    for (std::size_t i = 0; i < m * k; ++i)
        weights[i] = std::ldexp(static_cast<float>(values[i]), -3);
    for (float& v : x)
        v = static_cast<float>(r.between(-20, 20));
    for (float& s : scale)
        s = std::ldexp(1.0f, r.between(-3, 3));
    const std::vector<float> bias{0.5f};
    for (const std::size_t scales : {std::size_t{0}, std::size_t{1}, m}) {
        const auto packed = pack<shift3>(
            weights, m, k, {.exponent_offset = -3, .scale = std::span(scale).first(scales)});
        REQUIRE(packed);
        for (const family f : {family::dot, family::shift_add}) {
            const auto w = prepare<float, family::any>(*packed, {.kernels = f});
            REQUIRE(w);
            std::vector<float> y(n * m);
            REQUIRE(matmul(*w, x, y, float_epilogue{.bias = bias}));
            for (std::size_t i = 0; i < y.size(); ++i) {
                double sum = 0.5;
                const float s = scales == 0 ? 1 : scale[scales == 1 ? 0 : i % m];
                for (std::size_t l = 0; l < k; ++l)
                    sum += double{s} * weights[i % m * k + l] * x[i / m * k + l];
                REQUIRE(double{y[i]} == sum); // all steps are exact on these numbers
            }
        }
    }
}

TEST_CASE("products do not drop the scales of groups: they are refused") {
    const auto p =
        *pack<shift3>(std::vector<int>(2 * 64, 1), 2, 64, {0, std::vector<float>{1, 2, 3, 4}, 32});
    CHECK(std::string(prepare(p).error().argument) == "weights.group");
    CHECK(std::string(prepare<float>(p).error().argument) == "weights.group");
}

TEST_CASE("threads of the host give the same bits, however many") {
    test::random r(4);
    const std::vector<float> scale{1.0f / 64};
    for (const std::size_t m : {1u, 40u, 300u})
        for (const std::size_t n : {1u, 2u, 7u, 50u}) {
            const std::size_t k = 30 + r.below(40);
            const auto weights = test::random_weights<shift3>(r, m * k);
            const auto x = random_activations<std::int8_t>(r, n * k);
            const auto packed = *pack<shift3>(weights, m, k);
            const epilogue e{.scale = scale, .zero_point = 7};
            const auto expected = finished<std::int8_t>(weights, x, m, k, n, e);
            for (const family f : {family::dot, family::shift_add})
                for (const std::size_t workers : {1u, 2u, 3u, 5u}) {
                    const auto w =
                        *prepare<std::int8_t, family::any>(packed, {.batch = n, .kernels = f});
                    const test::thread_executor threads{workers};
                    std::vector<std::int8_t> y(n * m);
                    auto scratch = *buffer<std::byte>::make(scratch_bytes(w, n, workers));
                    REQUIRE(matmul(w, matrix_view<const std::int8_t>(x, n, k),
                                   matrix_view<std::int8_t>(y, n, m), e, scratch.span(), threads));
                    CHECK(y == expected);
                }
        }
}

TEST_CASE("memory of the caller's suffices to the byte, wherever it lies") {
    constexpr std::size_t m = 21, k = 50, n = 3;
    test::random r(5);
    const auto weights = test::random_weights<shift3>(r, m * k);
    const auto packed = *pack<shift3>(weights, m, k);
    const auto x = random_activations<std::uint8_t>(r, n * k);
    const auto expected = finished<std::int32_t>(weights, x, m, k, n, {});
    test::guarded_memory w_memory(1 << 20), scratch_memory(1 << 20);
    for (const family f : {family::dot, family::shift_add})
        for (const std::size_t columns : {std::size_t{1}, n, std::size_t{64}})
            for (const auto where : {test::side::lower, test::side::upper})
                for (std::size_t shift = 0; shift < 64; shift += 9) {
                    const prepare_options g{.batch = columns, .kernels = f};
                    const auto needed = prepared_bytes<std::uint8_t, family::any>(packed, g);
                    REQUIRE(needed);
                    const auto at = [&](test::guarded_memory& memory, std::size_t size) {
                        const auto whole = memory.take<std::byte>(size + shift, where);
                        return where == test::side::lower ? whole.last(size) : whole.first(size);
                    };
                    const auto memory = at(w_memory, *needed);
                    std::memset(memory.data(), 0xff, memory.size());
                    const auto short_by_one = prepare_into<std::uint8_t, family::any>(
                        packed, g, memory.first(*needed - 1));
                    REQUIRE_FALSE(short_by_one);
                    CHECK(short_by_one.error().code == errc::buffer_too_small);
                    CHECK(short_by_one.error().bound == static_cast<double>(*needed));
                    const auto w = prepare_into<std::uint8_t, family::any>(packed, g, memory);
                    REQUIRE(w);

                    const auto scratch = at(scratch_memory, scratch_bytes(*w, n));
                    std::memset(scratch.data(), 0xff, scratch.size());
                    ints y(n * m, 77);
                    const matrix_view<const std::uint8_t> in(x, n, k);
                    const matrix_view<std::int32_t> out(y, n, m);
                    CHECK_FALSE(matmul(*w, in, out, {}, scratch.first(scratch.size() - 1)));
                    CHECK(y == ints(n * m, 77));
                    REQUIRE(matmul(*w, in, out, {}, scratch));
                    CHECK(y == expected);

                    const auto all = packed_scratch_bytes<std::uint8_t, family::any>(packed, n, g);
                    REQUIRE(all);
                    const auto both = at(scratch_memory, *all);
                    std::memset(both.data(), 0xff, both.size());
                    y.assign(n * m, 77);
                    for (const std::size_t less : {std::size_t{1}, *all}) {
                        const status s =
                            matmul<family::any>(packed, in, out, {}, both.first(*all - less), g);
                        REQUIRE_FALSE(s);
                        CHECK(s.error().code == errc::buffer_too_small);
                        CHECK(y == ints(n * m, 77));
                    }
                    REQUIRE(matmul<family::any>(packed, in, out, {}, both, g));
                    CHECK(y == expected);
                }
}

TEST_CASE("shapes that do not fit are refused by name, and nothing is written") {
    fixture f;
    using in = matrix_view<const std::uint8_t>;
    using out = matrix_view<std::int32_t>;
    constexpr std::size_t m = fixture::m, k = fixture::k, n = fixture::n;
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max();
    const in x(f.x, n, k);
    const out y(f.y, n, m);
    CHECK(f.refused(in(f.x, n, k - 1), y) == "x.columns");
    CHECK(f.refused(in(f.x, 2, k + 1), y) == "x.columns");
    CHECK(f.refused(in(f.x, n + 1, k), y) == "x");
    CHECK(f.refused(in(f.x, n, k, k + 1), y) == "x");
    CHECK(f.refused(in(f.x, n, k, k - 1), y) == "x");
    CHECK(f.refused(in(f.x, huge, k), y) == "x");
    CHECK(f.refused(x, out(f.y, n, m - 1)) == "y.columns");
    CHECK(f.refused(x, out(f.y, n - 1, m)) == "y.rows");
    CHECK(f.refused(x, out(f.y, n, m, m + 1)) == "y");
    CHECK(f.refused(x, out(f.y, n, m, m - 1)) == "y");
    CHECK(f.refused(x, out(f.y, huge, m)) == "y");
    CHECK(f.refused(in(f.x, n - 1, k), y) == "y.rows");
    const bytes odd(n * k + 1);
    CHECK(f.named(matmul(f.w, odd, f.y)) == "x");
    ints small(n * m - 1, 77);
    CHECK(f.named(matmul(f.w, f.x, small)) == "y");
    CHECK(small == ints(n * m - 1, 77));
    const status s = matmul(f.w, x, y, {}, f.scratch.span().first(f.scratch.size() - 1));
    CHECK(f.named(s) == "scratch");
    CHECK(s.error().bound == static_cast<double>(f.scratch.size()));
    REQUIRE(matmul(f.w, x, y, {}, f.scratch.span()));
    CHECK(f.y == ints(n * m, 42));
}

TEST_CASE("epilogues that do not fit are refused by name, and nothing is written") {
    fixture f;
    const std::vector<float> one{0.5f}, two{1, 1}, nan{std::nanf("")};
    const std::vector<std::uint8_t> shift{1}, wide{40};
    CHECK(f.refused({.scale = two}) == "epilogue.scale");
    CHECK(f.refused({.scale = nan}) == "epilogue.scale");
    CHECK(f.refused({.scale = one, .shift = shift}) == "epilogue.shift");
    CHECK(f.refused({.shift = wide}) == "epilogue.shift");
    CHECK(f.refused({.zero_point = 40000}) == "epilogue.zero_point");
    CHECK(f.refused({.clamp_low = 10, .clamp_high = 9}) == "epilogue.clamp_low");
    CHECK(f.refused({.residual = std::span<const std::uint8_t>(shift)}) == "epilogue.residual");
    const matrix_view<const std::uint8_t> in(f.x, fixture::n, fixture::k);
    const matrix_view<std::int32_t> out(f.y, fixture::n, fixture::m);
    CHECK(f.refused(in, out, {.scale = one}) == "epilogue.scale");

    // Too few biases, at the end of what may be read.
    test::guarded_memory memory(4096);
    const auto bias = memory.take<std::int32_t>(2, test::side::upper);
    CHECK(f.refused({.bias = bias}) == "epilogue.bias");
    CHECK(f.refused(in, out, {.bias = bias}) == "epilogue.bias");

    const auto floats = *prepare<float>(f.packed);
    std::vector<float> x(fixture::n * fixture::k, 1.0f), y(fixture::n * fixture::m, 77.0f);
    CHECK(f.named(matmul(floats, x, y, float_epilogue{.bias = two})) == "epilogue.bias");
    CHECK(f.named(matmul(floats, x, y, float_epilogue{.scale = nan})) == "epilogue.scale");
    CHECK(y == std::vector<float>(y.size(), 77.0f));
}

TEST_CASE("a bias is refused exactly where sums plus bias could overflow") {
    const auto packed = *pack<shift3>(std::vector<int>{4, -4, 1, 0, 0, 0}, 2, 3);
    const std::int32_t most = std::numeric_limits<std::int32_t>::max();
    test::integer_activations::each([&]<class X>() {
        const auto w = *prepare<X>(packed);
        const std::vector<X> x(3, std::numeric_limits<X>::max());
        const std::int32_t room = most - 9 * max_abs_activation<X>;
        ints y(2, 77);
        for (const std::int32_t b : {room, -room})
            CHECK(matmul(w, x, y, epilogue{.bias = ints{b, 0}}));
        y.assign(2, 77);
        for (const std::int32_t b : {room + 1, -room - 1, most, -most - 1}) {
            const status s = matmul(w, x, y, epilogue{.bias = ints{b, 0}});
            REQUIRE_FALSE(s);
            CHECK(s.error().code == errc::depth_exceeded);
            CHECK(s.error().index == 0);
            CHECK_FALSE(matmul(w, x, y, epilogue{.bias = ints{b}}));
        }
        CHECK(y == ints{77, 77});
        CHECK(matmul(w, x, y, epilogue{.bias = ints{0, most}}));
        CHECK(y[1] == most);
    });
}

TEST_CASE("depth is refused exactly where a row's own sum could overflow") {
    const auto code = [](const auto& r) { return r ? errc::ok : r.error().code; };
    test::type_list<shift5, dense5, dense4>::each([&]<class F>() {
        test::integer_activations::each([&]<class X>() {
            CAPTURE(std::string(F::name));
            const auto depth = static_cast<std::size_t>(max_depth<F, X>());
            const auto good = pack<F>(std::vector<int>(depth, F::max_value), 1, depth);
            CHECK(code(prepare<X>(*good)) == errc::ok);
            std::vector<int> deep(2 * (depth + 1), F::min_value);
            std::fill_n(deep.begin(), depth + 1, 1);
            const auto bad = prepare<X>(*pack<F>(deep, 2, depth + 1));
            REQUIRE_FALSE(bad);
            CHECK(bad.error().code == errc::depth_exceeded);
            CHECK(bad.error().index == 1);
            CHECK(bad.error().value == static_cast<double>(depth + 1) * F::max_value);
            // So may activations of fewer bits, up to their own bound.
            for (const int bits : {6, 4}) {
                const auto narrow = static_cast<std::size_t>(max_depth<F, X>(bits));
                const prepare_options g{.activation_bits = bits};
                const auto at = [&](std::size_t k) {
                    return *pack<F>(std::vector<int>(k, F::max_value), 1, k);
                };
                const auto fits = prepare<X>(at(narrow), g);
                REQUIRE(fits);
                CHECK(code(prepare<X>(at(narrow + 1), g)) == errc::depth_exceeded);
                const std::vector<X> x(narrow, std::numeric_limits<X>::max() >> (8 - bits));
                ints y(1);
                CHECK(matmul(*fits, x, y));
                CHECK(y[0] == static_cast<std::int64_t>(narrow) * x[0] * F::max_value);
            }
            // Real weights are smaller, and may go deeper.
            const auto small = pack<F>(std::vector<int>(3 * depth, F::max_value / 4), 1, 3 * depth);
            CHECK(code(prepare<X>(*small)) == errc::ok);
        });
    });
}

TEST_CASE("preparing what no kernel serves is refused") {
    const auto packed = *pack<shift3>(std::vector<int>{1, 2, 4}, 1, 3);
    const auto eight = *pack<int8_weights>(std::vector<int>{1, 2, 4}, 1, 3);
    CHECK(prepare(packed, {.activation_bits = 0}).error().code == errc::bad_option);
    CHECK(prepare(packed, {.activation_bits = 9}).error().code == errc::bad_option);
    CHECK(prepare<std::uint8_t, family::any>(eight, {.kernels = family::shift_add}).error().code ==
          errc::unsupported);
    CHECK(prepare<float, family::any>(eight, {.kernels = family::shift_add}).error().code ==
          errc::unsupported);
    std::vector<std::byte> memory(1 << 16);
    CHECK_FALSE(
        prepare_into<std::uint8_t, family::any>(eight, {.kernels = family::shift_add}, memory));
    CHECK_FALSE(
        packed_scratch_bytes<std::uint8_t, family::any>(eight, 1, {.kernels = family::shift_add}));
    const bytes x(3);
    ints y(1, 77);
    CHECK_FALSE(matmul<family::any>(eight, matrix_view<const std::uint8_t>(x, 1, 3),
                                    matrix_view<std::int32_t>(y, 1, 1), {}, memory,
                                    {.kernels = family::shift_add}));
    CHECK(y[0] == 77);
}

TEST_CASE("a kernel says what family it is of") {
    const auto packed = *pack<shift3>(std::vector<int>{1, 2, 4}, 1, 3);
    const auto name = [&](family f, std::size_t columns) {
        return std::string(
            prepare<std::uint8_t, family::any>(packed, {.batch = columns, .kernels = f})
                ->kernel_name());
    };
    for (const std::size_t columns : {1u, 8u, 64u, 1000u}) {
        CHECK(name(family::dot, columns).rfind("dot", 0) == 0);
        CHECK(name(family::shift_add, columns).rfind("shift_add", 0) == 0);
    }
}

TEST_CASE("an empty product is done at once, however many columns it claims") {
    constexpr std::size_t huge = std::numeric_limits<std::size_t>::max() / 16384;
    const auto packed = *pack<shift3>(std::vector<int>(), 0, 0);
    test::integer_activations::each([&]<class X>() {
        for (const family f : {family::dot, family::shift_add}) {
            const auto w = *prepare<X, family::any>(packed, {.batch = 1, .kernels = f});
            CHECK(matmul(w, matrix_view<const X>({}, huge, 0),
                         matrix_view<std::int32_t>({}, huge, 0)));
            CHECK(matmul(w, matrix_view<const X>(), matrix_view<std::int32_t>()));
        }
    });
    // No column at all is a sum of nothing: the bias alone.
    const auto no_columns = *prepare(*pack<shift3>(std::vector<int>(), 2, 0));
    ints y(4, 77);
    const ints bias{5, 6};
    REQUIRE(matmul(no_columns, bytes(), y, epilogue{.bias = bias}));
    CHECK(y == ints{5, 6, 5, 6});
}

TEST_CASE("recorded scales are applied to whole vectors of rows, too") {
    constexpr std::size_t m = 83, k = 9, n = 3;
    test::random r(11);
    const auto weights = test::random_weights<shift3>(r, m * k);
    const auto x = random_activations<std::int8_t>(r, n * k);
    std::vector<float> recorded(m);
    for (float& s : recorded)
        s = std::ldexp(1.0f, r.between(-4, 0));
    const std::vector<float> given{0.5f};
    ints sums(n * m);
    reference::matmul<int, std::int8_t, std::int32_t>(weights, x, sums, m, k, n);
    for (const std::size_t scales : {std::size_t{1}, m}) {
        const auto packed = *pack<shift3>(
            weights, m, k, {.exponent_offset = 0, .scale = std::span(recorded).first(scales)});
        const auto w = *prepare<std::int8_t>(packed);
        std::vector<float> reals(n * m);
        std::vector<std::int8_t> narrow(n * m);
        const epilogue e{.scale = given};
        REQUIRE(matmul(w, x, reals));
        REQUIRE(matmul(w, x, narrow, e));
        for (std::size_t i = 0; i < reals.size(); ++i) {
            const float s = recorded[scales == 1 ? 0 : i % m];
            REQUIRE(reals[i] == static_cast<float>(sums[i]) * s);
            const std::vector<float> both{given[0] * s};
            REQUIRE(narrow[i] == finish<std::int8_t>(sums[i], 0, i, {.scale = both}));
        }
    }
}

TEST_CASE("recorded scales of integer weights are applied, or refused by name") {
    // Integers 4, 2 and 1, −1 stand for a quarter of them, times 2 and 3.
    const std::vector<float> row_scale{2, 3};
    const auto packed = *pack<shift3>(std::vector<float>{1, 0.5f, 0.25f, -0.25f}, 2, 2,
                                      {.exponent_offset = -2, .scale = row_scale});
    const bytes x{10, 20};
    for (const family f : {family::dot, family::shift_add}) {
        const auto w = *prepare<std::uint8_t, family::any>(packed, {.kernels = f});
        std::vector<float> reals(2);
        REQUIRE(matmul(w, x, reals));
        CHECK(reals == std::vector<float>{80 * 0.5f, -10 * 0.75f});
        const std::vector<float> half{0.5f};
        REQUIRE(matmul(w, x, reals, {.scale = half}));
        CHECK(reals == std::vector<float>{80 * 0.25f, -10 * 0.375f});
        bytes narrow(2);
        REQUIRE(matmul(w, x, narrow, {.scale = half, .zero_point = 7}));
        CHECK(narrow == bytes{27, 3}); // −3.75 is −4
        REQUIRE(matmul(w, x, narrow, {.zero_point = 10}));
        CHECK(narrow == bytes{50, 2}); // −7.5 is −8
        ints sums(2, 77);
        const auto none = matmul(w, x, sums);
        CHECK(none.error().code == errc::unsupported);
        CHECK(std::string(none.error().argument) == "weights.scale");
        CHECK(sums == ints{77, 77});
        const std::vector<std::uint8_t> shift{1};
        CHECK(std::string(matmul(w, x, narrow, {.shift = shift}).error().argument) ==
              "epilogue.shift");

        const auto raw =
            *prepare<std::uint8_t, family::any>(packed, {.kernels = f, .integers_only = true});
        REQUIRE(matmul(raw, x, sums));
        CHECK(sums == ints{80, -10});
    }
}

TEST_CASE("a product of packed weights needs neither preparation nor scratch") {
    const auto packed = *pack<shift3>(std::vector<int>{4, 2, 1, -1}, 2, 2);
    bytes x{10, 20};
    ints y(2);
    REQUIRE(matmul(packed, matrix_view<std::uint8_t>(x, 1, 2), matrix_view<std::int32_t>(y, 1, 2)));
    CHECK(y == ints{80, -10});
    // A view that may write, too, and one kernel by its name.
    const auto w = *prepare<std::uint8_t, "dot_words_panels", arch::scalar>(packed);
    CHECK(std::string(w.kernel_name()) == "dot_words_panels");
    y.assign(2, 0);
    REQUIRE(matmul(w, matrix_view<std::uint8_t>(x, 1, 2), matrix_view<std::int32_t>(y, 1, 2)));
    CHECK(y == ints{80, -10});
}

TEST_CASE("options do not contradict the choice of kernels made when compiling") {
    const auto packed = *pack<shift3>(std::vector<int>{4, 2, 1, -1}, 2, 2);
    const auto argument = [](const auto& p) {
        return std::string(p ? "none" : p.error().argument);
    };
    CHECK(argument(prepare(packed, {.kernels = family::dot})) == "options.kernels");
    CHECK(argument(prepare<std::uint8_t, family::dot>(packed, {.kernels = family::shift_add})) ==
          "options.kernels");
    CHECK(argument(prepare<std::uint8_t, family::dot>(packed, {.kernels = family::dot})) == "none");
}

// s3::runtime::linear equals the definition, bit for bit, on every instruction set.

#include <s3/kernel/reference.hpp>
#include <s3/runtime/linear.hpp>

#include "../support/random.hpp"
#include "../support/threads.hpp"
#include "../support/weights.hpp"
#include "sets.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

using namespace s3;

namespace {

template <class X>
[[nodiscard]] std::vector<X> draw(test::random& r, std::size_t count) {
    std::vector<X> x(count);
    for (X& v : x)
        v = static_cast<X>(r.between(std::is_same_v<X, std::uint8_t> ? 0 : -128, 127));
    return x;
}

/// What must come out, and what does, of an output type.
template <class Y, class Epilogue>
void compare(const runtime::linear& w, const runtime::input_matrix& x, std::size_t batch,
             const Epilogue& e, const std::vector<Y>& expected, std::size_t workers) {
    std::vector<Y> y(expected.size(), Y{77});
    std::vector<std::byte> scratch(w.scratch_bytes(batch, workers));
    const status done =
        w.run(x, matrix_view<Y>(y, batch, w.rows()), e, scratch, test::thread_executor{workers});
    REQUIRE_MESSAGE(done, done.error().message());
    CHECK(y == expected);
}

template <weight_format F, class X>
void check(test::random& r, std::size_t m, std::size_t k, std::size_t n) {
    const auto values = test::random_weights<F>(r, m * k);
    const auto packed = pack<F>(values, m, k);
    REQUIRE(packed);
    const auto x = draw<X>(r, n * k);
    std::vector<float> scale(m);
    std::vector<std::int32_t> bias(m);
    for (std::size_t i = 0; i < m; ++i) {
        scale[i] = 0.01f * r.real();
        bias[i] = r.between(-99, 99);
    }
    using sum = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;
    std::vector<sum> sums(n * m);
    reference::matmul<int, X, sum>(values, x, sums, m, k, n);

    for (const isa set : test::supported_sets())
        for (const std::size_t workers : {1u, 3u}) {
            INFO("set ", to_string(set), ", ", F::name, ", ", m, " x ", k, " x ", n);
            const auto w = runtime::prepare(*packed, {.set = set,
                                                      .activations = runtime::activation_type_of<X>,
                                                      .prepare = {.batch = n}});
            REQUIRE_MESSAGE(w, w.error().message());
            CHECK(w->isa() == set);
            CHECK(w->rows() == m);
            CHECK(w->columns() == k);
            const matrix_view<const X> in(x, n, k);
            compare<sum>(*w, in, n, std::monostate{}, sums, workers);
            if constexpr (std::is_integral_v<X>) {
                const epilogue e{.scale = scale, .bias = bias, .zero_point = 3};
                std::vector<std::uint8_t> bytes(n * m);
                std::vector<std::int8_t> signed_bytes(n * m);
                for (std::size_t i = 0; i < n * m; ++i) {
                    bytes[i] = finish<std::uint8_t>(sums[i], i % m, i, e);
                    signed_bytes[i] = finish<std::int8_t>(sums[i], i % m, i, e);
                }
                compare(*w, in, n, e, bytes, workers);
                compare(*w, in, n, e, signed_bytes, workers);
                std::vector<float> reals(n * m);
                const epilogue real{.scale = scale, .bias = bias};
                for (std::size_t i = 0; i < n * m; ++i)
                    reals[i] = finish<float>(sums[i], i % m, i, real);
                compare(*w, in, n, real, reals, workers);
            }
        }
}

} // namespace

TEST_CASE("products are exact on every instruction set, of every activation and output type") {
    test::random r(1);
    for (const auto& [m, k, n] :
         {std::array<std::size_t, 3>{1, 1, 1}, {5, 7, 1}, {64, 128, 1}, {33, 70, 40}}) {
        check<shift3, std::uint8_t>(r, m, k, n);
        check<shift3, std::int8_t>(r, m, k, n);
        check<shift3, float>(r, m, k, n);
        check<int8_weights, std::uint8_t>(r, m, k, n);
    }
}

TEST_CASE("what does not fit is named") {
    const auto packed = pack<shift3>(std::vector<int>(6, 1), 2, 3);
    const auto w = runtime::prepare(*packed);
    REQUIRE(w);
    CHECK(w->isa() == test::supported_sets().back());
    CHECK(std::string(w->kernel_name()) != "");
    std::vector<std::uint8_t> x(3, 1);
    std::vector<std::int8_t> signed_x(3, 1);
    std::vector<std::int32_t> y(2);
    const matrix_view<const std::uint8_t> in(x, 1, 3);
    const matrix_view<std::int32_t> out(y, 1, 2);
    CHECK(w->run(in, out));
    CHECK(y == std::vector<std::int32_t>{3, 3});
    const auto named = [](const status& s) { return std::string(s.error().argument); };
    CHECK(named(w->run(matrix_view<const std::int8_t>(signed_x, 1, 3), out)) == "x");
    CHECK(named(w->run(in, out, float_epilogue{})) == "epilogue");
    CHECK(named(w->run(in, out, epilogue{}, std::span<std::byte>())) == "scratch");
    const auto reals =
        runtime::prepare(*packed, {.activations = runtime::activation_type::float32});
    REQUIRE(reals);
    const std::vector<float> real_x(3, 1);
    CHECK(named(reals->run(matrix_view<const float>(real_x, 1, 3), out)) == "y");
    CHECK(runtime::prepare(*packed, {.prepare = {.activation_bits = 9}}).error().code ==
          errc::bad_option);
}

TEST_CASE("an instruction set is found by its name, or is an error value") {
    for (const isa set : runtime::instruction_sets()) {
        const auto found = runtime::find(to_string(set));
        CHECK(found.has_value() == supports(set));
        if (found)
            CHECK(*found == set);
        else
            CHECK(found.error().code == errc::unsupported);
    }
    CHECK(runtime::find("avx1024").error().code == errc::bad_option);
    CHECK(runtime::find("").error().code == errc::bad_option);
    const auto packed = pack<shift3>(std::vector<int>(6, 1), 2, 3);
    const auto built = runtime::instruction_sets();
#define SET(name, ...) isa::name,
    for (const isa set : {S3_INSTRUCTION_SETS(SET)})
#undef SET
        if (!supports(set) || std::find(built.begin(), built.end(), set) == built.end())
            CHECK(runtime::prepare(*packed, {.set = set}).error().code == errc::unsupported);
}

// The epilogue: `finish` is its definition, computed another way here, and what cannot be computed
// is refused by name.

#include <s3/ops/epilogue.hpp>

#include "../support/fast_math.hpp"
#include "../support/random.hpp"
#include "../support/types.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>
#include <vector>

using namespace s3;

namespace {

using int32 = std::int32_t;
using outputs = test::type_list<std::uint8_t, std::int8_t>;
constexpr int32 least32 = std::numeric_limits<int32>::min();
constexpr int32 most32 = std::numeric_limits<int32>::max();

/// Half to even, by floor and comparison.
std::int64_t half_to_even(double v) {
    const double below = std::floor(v);
    const double rest = v - below;
    const auto whole = static_cast<std::int64_t>(below);
    return whole + (rest > 0.5 || (rest == 0.5 && whole % 2 != 0) ? 1 : 0);
}
/// One float32 multiplication: a product of two floats is exact in double.
std::int64_t scaled(std::int64_t v, float scale) {
    const double product = double{static_cast<float>(v)} * double{scale};
    return half_to_even(std::clamp<double>(static_cast<float>(product), -8388608, 8388608));
}
/// v / 2^shift is exact in long division by doubles: 32 bits and a power of two.
std::int64_t shifted(std::int64_t v, int shift) {
    return half_to_even(std::ldexp(static_cast<double>(v), -shift));
}

template <class Y>
Y defined(int32 sum, std::size_t m, std::size_t i, const epilogue& e) {
    std::int64_t v = sum;
    if (!e.bias.empty())
        v += e.bias.size() == 1 ? e.bias[0] : e.bias[m];
    std::int64_t q = v;
    if (!e.scale.empty())
        q = scaled(v, e.scale.size() == 1 ? e.scale[0] : e.scale[m]);
    if (!e.shift.empty())
        q = shifted(v, e.shift.size() == 1 ? e.shift[0] : e.shift[m]);
    q = std::clamp<std::int64_t>(q, -8388608, 8388608) + e.zero_point;
    if (e.residual.data != nullptr)
        q += scaled(e.residual[i] - e.residual_zero_point, e.residual_scale);
    if (e.activation == relu)
        q = std::max<std::int64_t>(q, e.zero_point);
    q = std::min<std::int64_t>(std::max<std::int64_t>(q, e.clamp_low), e.clamp_high);
    return static_cast<Y>(
        std::clamp<std::int64_t>(q, std::numeric_limits<Y>::min(), std::numeric_limits<Y>::max()));
}

std::string refused(const status& s) {
    return s ? "nothing" : s.error().argument;
}

static_assert(shift_round(5, 1) == 2 && shift_round(7, 1) == 4 && shift_round(-5, 1) == -2);
static_assert(shift_round(most32, 31) == 1 && shift_round(least32, 31) == -1);
static_assert(shift_round(least32, 0) == least32 && shift_round(1 << 30, 31) == 0);

} // namespace

TEST_CASE("shift_round and scale_round round half to even") {
    test::random r(1);
    int wrong = 0;
    for (int i = 0; i < 20000; ++i) {
        const auto v = static_cast<int32>(static_cast<std::uint32_t>(r())) >> r.below(32);
        const int shift = r.between(0, 31);
        wrong += shift_round(v, shift) != shifted(v, shift);
        const float scale = std::ldexp(r.real(), r.between(-40, 10));
        wrong += scale_round(v, scale) != scaled(v, scale);
    }
    for (int32 v = -2000; v <= 2000; ++v)
        for (int shift = 0; shift <= 12; ++shift) {
            wrong += shift_round(v, shift) != shifted(v, shift);
            // A power of two does the same either way.
            wrong += scale_round(v, std::ldexp(1.0f, -shift)) != shift_round(v, shift);
        }
    CHECK(wrong == 0);
    CHECK(scale_round(5, 0.5f) == 2);
    CHECK(scale_round(7, 0.5f) == 4);
    CHECK(scale_round(-5, 0.5f) == -2);
    CHECK(scale_round(most32, 1e30f) == 8388608);
    CHECK(scale_round(least32, 1e30f) == -8388608);
}

TEST_CASE("finish is the definition") {
    test::random r(2);
    outputs::each([&]<class Y>() {
        int wrong = 0;
        for (int i = 0; i < 20000; ++i) {
            const std::array<float, 2> scale{std::ldexp(r.real(), r.between(-20, 3)),
                                             std::ldexp(1.0f, r.between(-10, 0))};
            const std::array<int32, 2> bias{r.between(-1000, 1000), r.between(-100000, 100000)};
            const std::array<std::uint8_t, 2> shift{static_cast<std::uint8_t>(r.below(32)),
                                                    static_cast<std::uint8_t>(r.below(8))};
            const std::array<std::uint8_t, 2> u8{static_cast<std::uint8_t>(r()), 255};
            const std::array<std::int8_t, 2> i8{static_cast<std::int8_t>(r()), -128};
            epilogue e;
            if (r.below(2) == 0)
                e.bias = std::span(bias).first(1 + r.below(2));
            switch (r.below(3)) {
            case 0:
                e.scale = std::span(scale).first(1 + r.below(2));
                break;
            case 1:
                e.shift = std::span(shift).first(1 + r.below(2));
                break;
            default:;
            }
            if (r.below(2) == 0)
                e.activation = relu;
            e.zero_point = r.below(2) == 0 ? r.between(-300, 300) : r.between(-32768, 32768);
            if (r.below(3) == 0)
                e.clamp_low = r.between(-200, 50), e.clamp_high = e.clamp_low + r.between(0, 300);
            if (r.below(2) == 0) {
                e.residual = r.below(2) == 0 ? residual_view(std::span<const std::uint8_t>(u8))
                                             : residual_view(std::span<const std::int8_t>(i8));
                e.residual_scale = r.real() * 4;
                e.residual_zero_point = r.between(-128, 255);
            }
            const auto sum =
                static_cast<int32>(static_cast<std::uint32_t>(r())) >> r.between(1, 30);
            const std::size_t m = r.below(2), at = r.below(2);
            wrong += finish<Y>(sum, m, at, e) != defined<Y>(sum, m, at, e);
        }
        CHECK(wrong == 0);
    });
}

TEST_CASE("int32 outputs take the bias and ReLU alone, float outputs the scale too") {
    const std::vector<int32> bias{10, -20};
    const std::vector<float> scale{0.5f, -2.0f};
    CHECK(finish<int32>(5, 0, 0, {}) == 5);
    CHECK(finish<int32>(5, 1, 0, {.bias = bias}) == -15);
    CHECK(finish<int32>(5, 1, 0, {.bias = bias, .activation = relu}) == 0);
    CHECK(finish<float>(5, 0, 0, {.scale = scale, .bias = bias}) == 7.5f);
    CHECK(finish<float>(5, 1, 0, {.scale = scale, .bias = bias}) == 30.0f);
    CHECK(finish<float>(25, 1, 0, {.scale = scale, .bias = bias, .activation = relu}) == 0.0f);
    CHECK(finish<float>(16777217, 0, 0, {}) == 16777216.0f);
}

TEST_CASE("a float output that ReLU stops is plus zero" * doctest::skip(s3::test::fast_math)) {
    const std::vector<float> scale{-1.0f};
    CHECK(std::signbit(finish<float>(0, 0, 0, {.scale = scale})));
    CHECK_FALSE(std::signbit(finish<float>(0, 0, 0, {.scale = scale, .activation = relu})));
}

TEST_CASE("without scale and shift, narrow outputs saturate") {
    CHECK(finish<std::uint8_t>(300, 0, 0, {}) == 255);
    CHECK(finish<std::uint8_t>(-1, 0, 0, {}) == 0);
    CHECK(finish<std::int8_t>(most32, 0, 0, {}) == 127);
    CHECK(finish<std::int8_t>(least32, 0, 0, {.zero_point = 32768}) == -128);
    CHECK(finish<std::uint8_t>(-5, 0, 0, {.activation = relu, .zero_point = 7}) == 7);
}

TEST_CASE("spans have no, one or as many elements as there are channels") {
    const std::vector<float> f(3, 1.0f);
    const std::vector<int32> i(3, 1);
    const std::vector<std::uint8_t> b(3, 1);
    for (const std::size_t rows : {1u, 2u, 3u, 4u})
        for (const std::size_t size : {0u, 1u, 2u, 3u}) {
            const bool fits = size <= 1 || size == rows;
            const auto named = [&](const char* name) {
                return fits ? std::string("nothing") : std::string(name);
            };
            CHECK(refused(check<std::uint8_t>({.scale = std::span(f).first(size)}, rows, 9)) ==
                  named("epilogue.scale"));
            CHECK(refused(check<std::uint8_t>({.bias = std::span(i).first(size)}, rows, 9)) ==
                  named("epilogue.bias"));
            CHECK(refused(check<std::uint8_t>({.shift = std::span(b).first(size)}, rows, 9)) ==
                  named("epilogue.shift"));
            CHECK(refused(check(float_epilogue{.scale = std::span(f).first(size)}, rows)) ==
                  named("epilogue.scale"));
            CHECK(refused(check(float_epilogue{.bias = std::span(f).first(size)}, rows)) ==
                  named("epilogue.bias"));
        }
}

TEST_CASE("options out of range and combinations that no output type has are refused by name") {
    const std::vector<float> one{1.0f}, bad{1.0f, test::infinity}, worse{test::not_a_number};
    const std::vector<std::uint8_t> shift{3}, wide{3, 32}, residual(8);
    CHECK(refused(check<std::uint8_t>({.scale = one, .shift = shift}, 2, 9)) == "epilogue.shift");
    CHECK(refused(check<float>({.shift = shift}, 2, 9)) == "epilogue.shift");
    CHECK(refused(check<int32>({.shift = shift}, 2, 9)) == "epilogue.shift");
    CHECK(refused(check<int32>({.scale = one}, 2, 9)) == "epilogue.scale");
    CHECK(refused(check<float>({.scale = one}, 2, 9)) == "nothing");
    CHECK(refused(check<std::uint8_t>({.scale = bad}, 2, 9)) == "epilogue.scale");
    CHECK(check<std::uint8_t>({.scale = bad}, 2, 9).error().index == 1);
    CHECK(refused(check<float>({.scale = worse}, 2, 9)) == "epilogue.scale");
    CHECK(refused(check(float_epilogue{.bias = bad}, 2)) == "epilogue.bias");
    CHECK(refused(check(float_epilogue{.scale = worse}, 2)) == "epilogue.scale");
    CHECK(check<std::uint8_t>({.shift = wide}, 2, 9).error().index == 1);
    for (const int32 z : {32769, -32769, most32, least32}) {
        CHECK(refused(check<std::int8_t>({.zero_point = z}, 2, 9)) == "epilogue.zero_point");
        CHECK(refused(check<std::int8_t>({.residual_zero_point = z}, 2, 9)) ==
              "epilogue.residual_zero_point");
    }
    CHECK(refused(check<std::int8_t>({.zero_point = -32768}, 2, 9)) == "nothing");
    CHECK(refused(check<std::uint8_t>({.clamp_low = 5, .clamp_high = 4}, 2, 9)) ==
          "epilogue.clamp_low");
    CHECK(refused(check<std::uint8_t>({.clamp_low = 256}, 2, 9)) == "epilogue.clamp_low");
    CHECK(refused(check<std::uint8_t>({.clamp_high = -1}, 2, 9)) == "epilogue.clamp_high");
    CHECK(refused(check<std::int8_t>({.clamp_high = -1}, 2, 9)) == "nothing");

    const residual_view r{std::span<const std::uint8_t>(residual)};
    CHECK(refused(check<std::uint8_t>({.residual = r}, 2, 8)) == "nothing");
    CHECK(refused(check<std::uint8_t>({.residual = r}, 2, 9)) == "epilogue.residual");
    CHECK(refused(check<int32>({.residual = r}, 2, 8)) == "epilogue.residual");
    CHECK(refused(check<float>({.residual = r}, 2, 8)) == "epilogue.residual");
    CHECK(refused(check<std::uint8_t>({.residual = r, .residual_scale = worse[0]}, 2, 8)) ==
          "epilogue.residual_scale");
}

TEST_CASE("fields that an output type does not have are refused by name") {
    const auto refused = [](const status& s) {
        return std::string(s ? "nothing" : s.error().argument);
    };
    CHECK(refused(check<float>({.zero_point = 1}, 2, 9)) == "epilogue.zero_point");
    CHECK(refused(check<std::int32_t>({.zero_point = 1}, 2, 9)) == "epilogue.zero_point");
    CHECK(refused(check<float>({.clamp_low = 0}, 2, 9)) == "epilogue.clamp_low");
    CHECK(refused(check<std::int32_t>({.clamp_low = 0}, 2, 9)) == "epilogue.clamp_low");
    CHECK(refused(check<float>({.clamp_high = 9}, 2, 9)) == "epilogue.clamp_high");
    CHECK(refused(check<std::int32_t>({.clamp_high = 9}, 2, 9)) == "epilogue.clamp_high");
    CHECK(refused(check<float>({.residual_scale = 2}, 2, 9)) == "epilogue.residual_scale");
    CHECK(refused(check<std::int32_t>({.residual_scale = 2}, 2, 9)) == "epilogue.residual_scale");
    CHECK(refused(check<float>({.residual_zero_point = 3}, 2, 9)) ==
          "epilogue.residual_zero_point");
    CHECK(refused(check<std::int32_t>({.residual_zero_point = 3}, 2, 9)) ==
          "epilogue.residual_zero_point");
    CHECK(refused(check<std::int8_t>({.zero_point = 1, .clamp_low = 0, .clamp_high = 9}, 2, 9)) ==
          "nothing");
}

// Floats of 16 bits: each is the float that it stands for, and a float becomes the nearest of them.

#include <s3/core/half.hpp>

#include "../support/fast_math.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace s3;
using test::infinity;

namespace {

/// Checks the rounding of the float in the middle between two neighbours, and of those beside it.
template <class To, class From>
void check_neighbours(std::uint16_t h, const To& to, const From& from) {
    const auto next = static_cast<std::uint16_t>(h + 1);
    const float low = from(h), high = from(next), middle = low + (high - low) / 2;
    REQUIRE(low < middle);
    CHECK(to(middle) == (h % 2 == 0 ? h : next)); // half to even
    CHECK(to(std::nextafter(middle, 0.0f)) == h);
    CHECK(to(std::nextafter(middle, infinity)) == next);
}

} // namespace

TEST_CASE("binary16: numbers by their definition, there and back, and rounded to nearest" *
          doctest::skip(s3::test::fast_math)) {
    for (unsigned h = 0; h < 0x7c00; ++h) {
        const int exponent = static_cast<int>(h >> 10);
        const auto mantissa = static_cast<float>(h & 0x3ff);
        const float expected =
            exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024 + mantissa, exponent - 25);
        const auto bits = static_cast<std::uint16_t>(h);
        const auto minus = static_cast<std::uint16_t>(h | 0x8000);
        REQUIRE(from_float16(bits) == expected);
        REQUIRE(from_float16(minus) == -expected);
        REQUIRE(to_float16(expected) == bits);
        REQUIRE(to_float16(-expected) == minus);
        if (h < 0x7bff && h % 7 == 0)
            check_neighbours(bits, to_float16, from_float16);
    }
    CHECK(to_float16(65519.996f) == 0x7bff);
    CHECK(to_float16(65520.0f) == 0x7c00);
    CHECK(to_float16(infinity) == 0x7c00);
    CHECK(from_float16(0xfc00) == -infinity);
    CHECK(std::isnan(from_float16(to_float16(std::nanf("")))));
    CHECK(to_float16(0x1p-25f) == 0);
    CHECK(to_float16(0x1.8p-25f) == 1);
    CHECK(to_float16(1e-30f) == 0);
}

TEST_CASE("bfloat16: the upper half of a float, rounded to nearest" *
          doctest::skip(s3::test::fast_math)) {
    for (unsigned h = 0; h < 0x7f80; ++h) {
        const auto bits = static_cast<std::uint16_t>(h);
        REQUIRE(to_bfloat16(from_bfloat16(bits)) == bits);
        if (h < 0x7f7f && h % 7 == 0)
            check_neighbours(bits, to_bfloat16, from_bfloat16);
    }
    CHECK(from_bfloat16(0x3fc0) == 1.5f);
    CHECK(to_bfloat16(-2) == 0xc000);
    CHECK(to_bfloat16(std::numeric_limits<float>::max()) == 0x7f80);
    CHECK(to_bfloat16(infinity) == 0x7f80);
    CHECK(std::isnan(from_bfloat16(to_bfloat16(std::nanf("")))));
}

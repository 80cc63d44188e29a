// Loads, stores and the arithmetic that has no operator equal their scalar definition, on vectors
// and on scalars.

#include <s3/simd/lanes.hpp>

#include "vectors.hpp"

#include <bit>
#include <cmath>

using namespace s3;
using test::array_from, test::expected, test::lanes_from, test::random_floats, test::random_lanes;

namespace {
template <class T>
constexpr T chosen(bool condition, T yes, T no) {
    return condition ? yes : no;
}

/// min and max of lanes of T, and zips.
template <class T, class Arch>
void check_order(test::random& r) {
    constexpr std::size_t half = test::lane_count<T, Arch> / 2;
    for (int round = 0; round < test::rounds; ++round) {
        const auto a = random_lanes<T, Arch>(r), b = random_lanes<T, Arch>(r);
        const auto va = lanes_from<Arch>(a), vb = lanes_from<Arch>(b);
        CHECK(array_from<T, Arch>(simd::min(va, vb)) ==
              expected<T, Arch>([&](std::size_t i) { return std::min(a[i], b[i]); }));
        CHECK(array_from<T, Arch>(simd::max(va, vb)) ==
              expected<T, Arch>([&](std::size_t i) { return std::max(a[i], b[i]); }));
        if constexpr (Arch::vector_bytes == 16) {
            CHECK(array_from<T, Arch>(simd::zip_low(va, vb)) ==
                  expected<T, Arch>([&](std::size_t i) { return (i % 2 == 0 ? a : b)[i / 2]; }));
            CHECK(array_from<T, Arch>(simd::zip_high(va, vb)) ==
                  expected<T, Arch>(
                      [&](std::size_t i) { return (i % 2 == 0 ? a : b)[half + i / 2]; }));
        }
    }
}
} // namespace

TEST_CASE("min, max and zips of integers") {
    test::random r(1);
    test::each_vector_arch([&]<class Arch>() {
        check_order<std::uint8_t, Arch>(r);
        check_order<std::int32_t, Arch>(r);
    });
}

TEST_CASE("select_bits takes bits by a mask, and `as` keeps them") {
    test::random r(2);
    test::each_vector_arch([&]<class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            const auto m = random_lanes<std::uint32_t, Arch>(r);
            const auto a = random_lanes<std::uint32_t, Arch>(r);
            const auto b = random_lanes<std::uint32_t, Arch>(r);
            CHECK(array_from<std::uint32_t, Arch>(simd::select_bits<Arch>(
                      lanes_from<Arch>(m), lanes_from<Arch>(a), lanes_from<Arch>(b))) ==
                  expected<std::uint32_t, Arch>(
                      [&](std::size_t i) { return (a[i] & m[i]) | (b[i] & ~m[i]); }));
            const auto bits = simd::as<std::uint32_t>(simd::as<float>(lanes_from<Arch>(a)));
            CHECK(array_from<std::uint32_t, Arch>(bits) == a);
            CHECK(array_from<std::int32_t, Arch>(simd::as<std::int32_t>(lanes_from<Arch>(a))) ==
                  expected<std::int32_t, Arch>([&](std::size_t i) { return a[i]; }));
        }
    });
}

TEST_CASE("in_register and pin change no value") {
    test::random r(3);
    test::each_vector_arch([&]<class Arch>() {
        const auto a = random_lanes<std::uint16_t, Arch>(r),
                   b = random_lanes<std::uint16_t, Arch>(r);
        auto va = simd::in_register(lanes_from<Arch>(a)), vb = lanes_from<Arch>(b);
        simd::pin(va, vb);
        CHECK(array_from<std::uint16_t, Arch>(va) == a);
        CHECK(array_from<std::uint16_t, Arch>(vb) == b);
    });
}

TEST_CASE("floats: conversion, rounding half to even, and arithmetic") {
    test::random r(4);
    test::each_vector_arch([&]<class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            const auto n = random_lanes<std::int32_t, Arch>(r);
            CHECK(array_from<float, Arch>(simd::to_float(lanes_from<Arch>(n))) ==
                  expected<float, Arch>([&](std::size_t i) { return static_cast<float>(n[i]); }));
            // Halves among them, which are where rounding modes differ.
            auto a = random_floats<Arch>(r, 1000), b = random_floats<Arch>(r, 3);
            for (float& v : a)
                v = std::round(2 * v) / 2;
            const auto va = lanes_from<Arch>(a), vb = lanes_from<Arch>(b);
            CHECK(
                array_from<std::int32_t, Arch>(simd::nearbyint_as_int(va)) ==
                expected<std::int32_t, Arch>([&](std::size_t i) { return std::nearbyint(a[i]); }));
            CHECK(array_from<float, Arch>(simd::min(va, vb)) ==
                  expected<float, Arch>([&](std::size_t i) { return std::min(a[i], b[i]); }));
            CHECK(array_from<float, Arch>(simd::max(va, vb)) ==
                  expected<float, Arch>([&](std::size_t i) { return std::max(a[i], b[i]); }));
            CHECK(array_from<float, Arch>(simd::abs(vb)) ==
                  expected<float, Arch>([&](std::size_t i) { return std::fabs(b[i]); }));
            CHECK(array_from<float, Arch>(simd::sqrt(simd::abs(vb))) ==
                  expected<float, Arch>([&](std::size_t i) { return std::sqrt(std::fabs(b[i])); }));
            CHECK(array_from<float, Arch>(simd::select(va > vb, va, vb)) ==
                  expected<float, Arch>(
                      [&](std::size_t i) { return chosen(a[i] > b[i], a[i], b[i]); }));
            // Small integers: the same, fused or not.
            const auto s = expected<float, Arch>([&](std::size_t i) { return std::round(b[i]); });
            const auto vs = lanes_from<Arch>(s);
            CHECK(array_from<float, Arch>(simd::multiply_add(va, vs, vs)) ==
                  expected<float, Arch>([&](std::size_t i) { return a[i] * s[i] + s[i]; }));
        }
    });
}

TEST_CASE("a scalar is a vector of one lane") {
    using arch::scalar;
    float f = 0;
    simd::store<scalar>(&f, simd::broadcast<float, scalar>(-2.5f));
    CHECK(simd::load<float, scalar>(&f) == -2.5f);
    CHECK(simd::nearbyint_as_int(2.5f) == 2);
    CHECK(simd::nearbyint_as_int(-3.5f) == -4);
    CHECK(simd::to_float(-7) == -7.0f);
    CHECK(simd::as<std::uint32_t>(1.0f) == 0x3f800000u);
    CHECK(simd::multiply_add(2.0f, 3.0f, 4.0f) == 10.0f);
    CHECK(simd::min(3, -4) == -4);
    CHECK(simd::max(3, -4) == 3);
    CHECK(simd::abs(-3.0f) == 3.0f);
    CHECK(simd::sqrt(9.0f) == 3.0f);
    CHECK(simd::select(false, 1, 2) == 2);
    CHECK(simd::select_bits<scalar>(0xf0u, 0xabu, 0xcdu) == 0xadu);
    CHECK(simd::in_register(5u) == 5u);
}

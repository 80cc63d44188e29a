#pragma once
// What the tests of primitives share: vectors of random and extreme lanes, and every architecture
// that has vectors, those of half the size among them.

#include <s3/simd/lanes.hpp>

#include "../support/archs.hpp"
#include "../support/random.hpp"

#include <array>
#include <limits>

#include <doctest/doctest.h>

namespace s3::test {

constexpr int rounds = 300;

/// f.operator()<Arch>() for every architecture with vectors of at least 16 bytes.
template <class Function>
void each_vector_arch(Function&& f) {
    const auto one = [&]<class Arch>() {
        if constexpr (Arch::vector_bytes >= 16) {
            CAPTURE(Arch::name);
            f.template operator()<Arch>();
        }
    };
    all_archs::each([&]<class Arch>() {
        one.template operator()<Arch>();
        one.template operator()<simd::half<Arch>>();
    });
}

template <class T, class Arch>
constexpr std::size_t lane_count = Arch::vector_bytes / sizeof(T);
template <class T, class Arch>
using array_of = std::array<T, lane_count<T, Arch>>;

/// Lanes between low and high, a quarter of them at one of these ends.
template <class T, class Arch>
array_of<T, Arch> random_lanes(random& r, std::int64_t low = std::numeric_limits<T>::min(),
                               std::int64_t high = std::numeric_limits<T>::max()) {
    array_of<T, Arch> all;
    for (T& v : all) {
        const auto range = static_cast<std::uint64_t>(high - low) + 1;
        const auto any = low + static_cast<std::int64_t>(r() % range);
        v = static_cast<T>(r.below(4) != 0 ? any : r.below(2) == 0 ? low : high);
    }
    return all;
}
template <class Arch>
array_of<float, Arch> random_floats(random& r, float scale) {
    array_of<float, Arch> all;
    for (float& v : all)
        v = r.below(8) == 0 ? -0.0f : r.real() * scale;
    return all;
}

template <class Arch, class T, std::size_t N>
simd::lanes<T, Arch> lanes_from(const std::array<T, N>& a) {
    static_assert(N == lane_count<T, Arch>);
    return simd::load<T, Arch>(a.data());
}
template <class T, class Arch>
array_of<T, Arch> array_from(const simd::lanes<T, Arch>& v) {
    array_of<T, Arch> a;
    simd::store<Arch>(a.data(), v);
    return a;
}
/// An array of value(i) for each lane i.
template <class T, class Arch, class Function>
array_of<T, Arch> expected(Function&& value) {
    array_of<T, Arch> a;
    for (std::size_t i = 0; i < a.size(); ++i)
        a[i] = static_cast<T>(value(i));
    return a;
}

} // namespace s3::test

// What lies narrow in memory widens as integers do, and what is wide is stored as bytes; nothing
// outside the elements is read or written.

#include <s3/simd/widen.hpp>

#include "vectors.hpp"

#include <algorithm>
#include <vector>

using namespace s3;
using test::array_from, test::expected, test::lanes_from, test::random_lanes;

namespace {
template <class To, class From, class Arch>
void check_load(test::random& r) {
    constexpr std::size_t n = test::lane_count<To, Arch>;
    for (int round = 0; round < test::rounds; ++round) {
        std::vector<From> from(n); // the sanitizers see what is read beyond it
        for (From& v : from)
            v = static_cast<From>(r());
        CHECK(array_from<To, Arch>(simd::load_widened<To, Arch>(from.data())) ==
              expected<To, Arch>([&](std::size_t i) { return from[i]; }));
    }
}

template <class T, class Arch>
void check_store(test::random& r) {
    constexpr std::size_t n = test::lane_count<std::int32_t, Arch>;
    constexpr std::int64_t low = std::numeric_limits<T>::min(),
                           high = std::numeric_limits<T>::max();
    for (int round = 0; round < test::rounds; ++round) {
        simd::lanes<std::int32_t, Arch> v[4];
        std::vector<T> all;
        for (auto& some : v) {
            const auto a = random_lanes<std::int32_t, Arch>(r, low, high);
            some = lanes_from<Arch>(a);
            for (const std::int32_t i : a)
                all.push_back(static_cast<T>(i));
        }
        std::vector<T> four(4 * n), one(n);
        simd::store_bytes<Arch>(four.data(), v);
        CHECK(four == all);
        simd::store_bytes<Arch>(one.data(), v[0]);
        CHECK(std::equal(one.begin(), one.end(), all.begin()));
        if constexpr (simd::store_saturates<Arch, T>) {
            const auto a = random_lanes<std::uint32_t, Arch>(r);
            simd::store_bytes<Arch>(one.data(), simd::as<std::int32_t>(lanes_from<Arch>(a)));
            for (std::size_t i = 0; i < n; ++i)
                CHECK(one[i] == static_cast<T>(std::min<std::uint32_t>(a[i], 255)));
        }
    }
}
} // namespace

TEST_CASE("load_widened keeps the value of every byte") {
    test::random r(1);
    test::each_vector_arch([&]<class Arch>() {
        check_load<std::int16_t, std::int8_t, Arch>(r);
        check_load<std::int16_t, std::uint8_t, Arch>(r);
        check_load<std::int32_t, std::int8_t, Arch>(r);
        check_load<std::int32_t, std::uint8_t, Arch>(r);
        check_load<std::int32_t, std::int32_t, Arch>(r);
    });
}

TEST_CASE("16-bit lanes widen by halves, and as they are stored") {
    test::random r(2);
    test::each_vector_arch([&]<class Arch>() {
        constexpr std::size_t half = test::lane_count<std::int32_t, Arch>;
        for (int round = 0; round < test::rounds; ++round) {
            const auto a = random_lanes<std::int16_t, Arch>(r);
            const auto v = lanes_from<Arch>(a);
            CHECK(array_from<std::int32_t, Arch>(simd::widen_low<Arch>(v)) ==
                  expected<std::int32_t, Arch>([&](std::size_t i) { return a[i]; }));
            CHECK(array_from<std::int32_t, Arch>(simd::widen_high<Arch>(v)) ==
                  expected<std::int32_t, Arch>([&](std::size_t i) { return a[half + i]; }));
            std::vector<std::int32_t> stored(2 * half);
            simd::store_widened<Arch, std::int16_t>(stored.data(), v);
            CHECK(std::equal(stored.begin(), stored.end(), a.begin()));
        }
    });
}

TEST_CASE("store_bytes keeps values that are bytes, and saturates where it says so") {
    test::random r(3);
    test::each_vector_arch([&]<class Arch>() {
        check_store<std::int8_t, Arch>(r);
        check_store<std::uint8_t, Arch>(r);
    });
}

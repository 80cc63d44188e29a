// Byte primitives equal their scalar definition on every architecture, for all that they promise.

#include <s3/format/list.hpp>
#include <s3/simd/bytes.hpp>

#include "vectors.hpp"

using namespace s3;
using test::array_from, test::expected, test::lanes_from, test::random_lanes;

TEST_CASE(
    "pair_dot adds two products of bytes, pair_dot16 of 16-bit numbers, pair_sum two numbers") {
    test::random r(1);
    test::each_vector_arch([&]<class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            const auto x = random_lanes<std::uint8_t, Arch>(r);
            const auto w = random_lanes<std::int8_t, Arch>(r, -64, 64); // 2·255·64 fits int16
            CHECK(array_from<std::int16_t, Arch>(
                      simd::pair_dot<Arch>(lanes_from<Arch>(x), lanes_from<Arch>(w))) ==
                  expected<std::int16_t, Arch>([&](std::size_t i) {
                      return x[2 * i] * w[2 * i] + x[2 * i + 1] * w[2 * i + 1];
                  }));
            const auto a = random_lanes<std::int16_t, Arch>(r, -32767);
            const auto b = random_lanes<std::int16_t, Arch>(r);
            CHECK(array_from<std::int32_t, Arch>(
                      simd::pair_dot16<Arch>(lanes_from<Arch>(a), lanes_from<Arch>(b))) ==
                  expected<std::int32_t, Arch>([&](std::size_t i) {
                      return a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
                  }));
            CHECK(array_from<std::int32_t, Arch>(simd::pair_sum<Arch>(lanes_from<Arch>(b))) ==
                  expected<std::int32_t, Arch>(
                      [&](std::size_t i) { return b[2 * i] + b[2 * i + 1]; }));
        }
    });
}

TEST_CASE("quad_dot is exact for all bytes, and wraps as int32 does") {
    test::random r(2);
    test::each_vector_arch([&]<class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            const auto acc = random_lanes<std::int32_t, Arch>(r);
            const auto x = random_lanes<std::uint8_t, Arch>(r);
            const auto w = random_lanes<std::int8_t, Arch>(r);
            CHECK(array_from<std::int32_t, Arch>(simd::quad_dot<Arch>(
                      lanes_from<Arch>(acc), lanes_from<Arch>(x), lanes_from<Arch>(w))) ==
                  expected<std::int32_t, Arch>([&](std::size_t i) {
                      auto sum = static_cast<std::uint32_t>(acc[i]);
                      for (std::size_t j = 4 * i; j < 4 * i + 4; ++j)
                          sum += static_cast<std::uint32_t>(x[j] * w[j]);
                      return sum;
                  }));
        }
    });
}

TEST_CASE("matrix_dot is exact for all bytes, and load_halves takes eight from each place") {
    test::random r(4);
    test::each_vector_arch([&]<class Arch>() {
        if constexpr (Arch::vector_bytes == 16)
            for (int round = 0; round < test::rounds; ++round) {
                const auto acc = random_lanes<std::int32_t, Arch>(r);
                const auto x = random_lanes<std::uint8_t, Arch>(r);
                const auto w = random_lanes<std::int8_t, Arch>(r);
                CHECK(array_from<std::int32_t, Arch>(simd::matrix_dot<Arch>(
                          lanes_from<Arch>(acc), lanes_from<Arch>(x), lanes_from<Arch>(w))) ==
                      expected<std::int32_t, Arch>([&](std::size_t i) {
                          auto sum = static_cast<std::uint32_t>(acc[i]);
                          for (std::size_t k = 0; k < 8; ++k)
                              sum +=
                                  static_cast<std::uint32_t>(x[i / 2 * 8 + k] * w[i % 2 * 8 + k]);
                          return sum;
                      }));
                CHECK(array_from<std::uint8_t, Arch>(
                          simd::load_halves<Arch>(x.data() + 8, x.data())) ==
                      expected<std::uint8_t, Arch>([&](std::size_t i) { return x[(i + 8) % 16]; }));
            }
    });
}

TEST_CASE("look_up16 finds every byte's entry of its own 16 bytes of the table") {
    test::random r(3);
    test::each_vector_arch([&]<class Arch>() {
        for (int round = 0; round < test::rounds; ++round) {
            auto table = random_lanes<std::uint8_t, Arch>(r);
            for (std::size_t i = 16; i < table.size(); ++i)
                table[i] = table[i % 16];
            const auto index = random_lanes<std::uint8_t, Arch>(r, 0, 15);
            CHECK(array_from<std::uint8_t, Arch>(
                      simd::look_up16<Arch>(lanes_from<Arch>(table), lanes_from<Arch>(index))) ==
                  expected<std::uint8_t, Arch>([&](std::size_t i) { return table[index[i]]; }));
        }
    });
}

namespace {
template <class F, int Pos, class Arch>
void check_lookup(test::random& r) {
    for (int round = 0; round < test::rounds; ++round) {
        const auto v = random_lanes<std::uint8_t, Arch>(r);
        const auto words = simd::as<std::uint32_t>(lanes_from<Arch>(v));
        CHECK(array_from<std::int8_t, Arch>(simd::lookup<F, Pos, Arch>(words)) ==
              expected<std::int8_t, Arch>([&](std::size_t i) {
                  return F::value(static_cast<unsigned>(v[i]) >> Pos & (F::codes - 1u));
              }));
    }
}
} // namespace

TEST_CASE("lookup finds the value of the code in a field of every byte") {
    test::random r(4);
    test::each_vector_arch([&]<class Arch>() {
        check_lookup<ternary, 0, Arch>(r);
        check_lookup<ternary, 6, Arch>(r);
        check_lookup<shift3, 0, Arch>(r);
        check_lookup<shift3, 3, Arch>(r);
        check_lookup<shift3, 5, Arch>(r);
        check_lookup<shift4, 4, Arch>(r);
    });
}

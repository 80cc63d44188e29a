// One binary for every machine: it picks the richest instruction set at its start.
//
//   dispatch [set]     a poorer one instead: baseline, sse41, avx2, avx_vnni, avx512, avx512_vnni,
//                      avx512_vbmi, amx, neon_dot, neon_i8mm
//
// Exit status: 0 if all sums are right; 2 if this machine cannot run the set.

#include "layer.hpp"

#include <s3/kernel/reference.hpp>

#include <array>
#include <cstdio>
#include <random>
#include <vector>

int main(int argc, char** argv) {
    const auto set = argc > 1 ? s3::dispatch::named(argv[1]) : s3::dispatch::best();
    if (!set || !s3::supports(*set)) {
        std::printf("%s: not in this program, or not on this machine\n", argv[1]);
        return 2;
    }

    constexpr std::size_t m = 100, k = 300, n = 20;
    std::mt19937 random(1);
    std::vector<int> values(m * k);
    for (int& v : values)
        v = std::array{0, 1, -1, 2, -2, 4, -4}[random() % 7];
    std::vector<std::uint8_t> x(n * k);
    for (auto& v : x)
        v = static_cast<std::uint8_t>(random());

    const auto weights = s3::pack<s3::shift3>(values, m, k);
    if (!weights)
        return 1;
    const auto layer =
        s3::dispatch::with(*set, [&](auto isa) { return make_layer<isa>(*weights); });
    std::vector<std::int32_t> y(n * m), expected(n * m);
    if (!layer || !(*layer)->run(x, y))
        return 1;

    s3::reference::matmul<int, std::uint8_t, std::int32_t>(values, x, expected, m, k, n);
    const bool right = y == expected;
    std::printf("%s, kernel %s: %s\n", to_string(*set), (*layer)->kernel().c_str(),
                right ? "all sums right" : "WRONG");
    return right ? 0 : 1;
}

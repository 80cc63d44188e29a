// What a format costs and keeps: the same real weights, rounded to each format at its best scale.
// The weights are Gaussian, as those of trained layers nearly are.

#include <s3/pack/quantize.hpp>

#include <cmath>
#include <cstdio>
#include <numbers>
#include <random>
#include <vector>

int main() {
    std::mt19937 random(1);
    const auto uniform = [&] { return (static_cast<double>(random()) + 0.5) / 4294967296.0; };
    std::vector<float> weights; // by Box and Muller, so that they are the same everywhere
    for (int i = 0; i < 64 * 576; ++i)
        weights.push_back(static_cast<float>(std::sqrt(-2 * std::log(uniform())) *
                                             std::cos(2 * std::numbers::pi * uniform())));

    std::printf("format  bits  bytes of 64x576  zeros  error\n");
    bool right = true;
    double last = 1;
    s3::all_formats::each([&]<s3::weight_format F>() {
        const auto packed = s3::quantize<F>(
            weights, 64, 576, {.granularity = s3::scale_per::row, .scale = s3::scale_kind::real});
        if (!packed) {
            right = false;
            return;
        }
        double wrong = 0, all = 0, zeros = 0;
        for (std::size_t r = 0; r < 64; ++r)
            for (std::size_t c = 0; c < 576; ++c) {
                const double w = weights[r * 576 + c];
                const double d = w - double{packed->real_scale(r)} * packed->value(r, c);
                wrong += d * d;
                all += w * w;
                zeros += packed->value(r, c) == 0;
            }
        const double error = std::sqrt(wrong / all);
        std::printf("%-13s %d %16zu %5.0f%% %5.1f%%\n", F::name, F::bits, packed->stream().size(),
                    100 * zeros / (64 * 576), 100 * error);
        right &= F::bits == 2 || error <= last + 1e-3; // more bits of a kind never keep less
        last = error;
    });
    return right ? 0 : 1;
}

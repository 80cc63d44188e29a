// Pooling equals its definition for every number of channels, in every architecture of this build,
// between guard pages.

#include <s3/kernel/pooling.hpp>

#include "../support/archs.hpp"
#include "../support/guarded.hpp"
#include "../support/random.hpp"

#include <doctest/doctest.h>

#include <vector>

using namespace s3;

namespace {

struct pooled {
    int largest = -1;
    std::int32_t sum = 0;
};

/// The definition, for one output pixel and channel.
[[nodiscard]] pooled expected_pool(const image_view<const std::uint8_t>& x, const extent& window,
                                   const conv_options& o, int zero, std::size_t image,
                                   std::size_t h, std::size_t w, std::size_t c) {
    pooled p;
    for (std::size_t i = 0; i < window.height; ++i)
        for (std::size_t j = 0; j < window.width; ++j) {
            const auto row = static_cast<std::ptrdiff_t>(h * o.stride.height + i) -
                             static_cast<std::ptrdiff_t>(o.padding.height);
            const auto column = static_cast<std::ptrdiff_t>(w * o.stride.width + j) -
                                static_cast<std::ptrdiff_t>(o.padding.width);
            if (row < 0 || column < 0 || row >= static_cast<std::ptrdiff_t>(x.height) ||
                column >= static_cast<std::ptrdiff_t>(x.width))
                continue;
            const int q = x.data[x.index(image, static_cast<std::size_t>(row),
                                         static_cast<std::size_t>(column), c)];
            p.largest = std::max(p.largest, q);
            p.sum += q - zero;
        }
    return p;
}

} // namespace

TEST_CASE("largest and sum under a window, for 1 to 200 channels") {
    test::random r(77);
    test::guarded_memory input(1 << 17), output(1 << 17);
    std::size_t wrong = 0, checked = 0;
    for (std::size_t channels = 1; channels <= 200; ++channels) {
        const extent window{1 + r.below(4), 1 + r.below(4)};
        const conv_options o{.stride = {1 + r.below(3), 1 + r.below(3)},
                             .padding = {r.below(window.height), r.below(window.width)}};
        const std::size_t batch = 1 + r.below(2), height = 1 + r.below(6), width = 1 + r.below(6);
        const auto size = output_extent(height, width, {1, window.height, window.width, 1}, o);
        if (!size)
            continue;
        const auto where = r.below(2) == 0 ? test::side::lower : test::side::upper;
        const auto data = input.take<std::uint8_t>(batch * height * width * channels, where);
        for (auto& q : data)
            q = static_cast<std::uint8_t>(r.below(256));
        const image_view<const std::uint8_t> x{data, batch, height, width, channels};
        const std::size_t pixels = batch * size->height * size->width;
        const int zero = r.between(0, 255);
        const auto expected = [&](std::size_t n, std::size_t c) {
            const std::size_t plane = size->height * size->width;
            return expected_pool(x, window, o, zero, n / plane, n % plane / size->width,
                                 n % size->width, c);
        };
        // Two pieces, as two workers would share the work.
        const std::size_t half = r.below(pixels + 1);
        test::main_archs::each([&]<class Arch>() {
            const auto y = output.take<std::uint8_t>(pixels * channels, where);
            std::fill(y.begin(), y.end(), std::uint8_t{0x5a});
            kernel::max_pool<Arch>(x, window, *size, o, 0, half, y.data());
            kernel::max_pool<Arch>(x, window, *size, o, half, pixels, y.data());
            for (std::size_t i = 0; i < y.size(); ++i, ++checked)
                wrong += y[i] != expected(i / channels, i % channels).largest;

            std::vector<int> seen(pixels * channels, 0);
            const auto sink = [&](std::size_t n, std::size_t first, std::size_t count,
                                  const std::int32_t* sums) {
                for (std::size_t c = first; c < first + count; ++c) {
                    wrong += sums[c - first] != expected(n, c).sum;
                    ++seen[n * channels + c];
                }
            };
            kernel::sum_pool<Arch>(x, window, *size, o, zero, 0, half, sink);
            kernel::sum_pool<Arch>(x, window, *size, o, zero, half, pixels, sink);
            wrong += static_cast<std::size_t>(
                std::count_if(seen.begin(), seen.end(), [](int times) { return times != 1; }));
        });
    }
    CHECK(wrong == 0);
    CHECK(checked > 100'000);
}

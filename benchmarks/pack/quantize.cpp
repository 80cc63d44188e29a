// Real weights to packed ones of the best scale, in bytes of float weights per second.

#include <s3/pack/quantize.hpp>

#include "../support/operations.hpp"

#include <cmath>

namespace {

using namespace s3;
using namespace s3::bench;

template <weight_format F>
void row(const char* kind, const quantize_options& options) {
    constexpr std::size_t m = 4096, k = 4096;
    add(text("quantize/%s/%s/%zux%zu", F::name, kind, m, k), [=] {
        // Sums of waves: bell-shaped, and the same on every machine.
        const auto weights = std::make_shared<std::vector<float>>(m * k);
        for (std::size_t i = 0; i < m * k; ++i) {
            const auto x = static_cast<float>(i);
            (*weights)[i] = std::sin(x * 0.37f) + std::sin(x * 1.93f) + std::sin(x * 2.71f);
        }
        subject s{.regime = "quantize",
                  .shape = text("M=%zu K=%zu", m, k),
                  .kernel = text("%s, %s", F::name, kind),
                  .gmacs = 0,
                  .gbytes = static_cast<double>(m * k * sizeof(float)) * 1e-9,
                  .run = [=] { (void)require(quantize<F>(*weights, m, k, options)); }};
        s.against_rate("1 GB/s", 1);
        return s;
    });
}

template <weight_format F>
void rows() {
    row<F>("2^p per tensor", {});
    row<F>("2^p per row", {.granularity = scale_per::row});
    row<F>("real per row", {.granularity = scale_per::row, .scale = scale_kind::real});
}

const int registered = [] {
    rows<shift2>();
    rows<shift3>();
    rows<int8_weights>();
    return 0;
}();

} // namespace

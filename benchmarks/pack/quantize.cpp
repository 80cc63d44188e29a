// Real weights to packed ones of the best scales, in weights per second.

#include <s3/pack/quantize.hpp>

#include "../support/operations.hpp"

#include <cmath>
#include <memory>
#include <string>
#include <vector>

namespace {

using namespace s3;
using namespace s3::bench;

/// Sums of waves: bell-shaped, and the same on every machine.
std::shared_ptr<std::vector<float>> bell_shaped(std::size_t count) {
    const auto weights = std::make_shared<std::vector<float>>(count);
    for (std::size_t i = 0; i < count; ++i) {
        const auto x = static_cast<float>(i);
        (*weights)[i] = std::sin(x * 0.37f) + std::sin(x * 1.93f) + std::sin(x * 2.71f);
    }
    return weights;
}

template <weight_format F>
void row(const std::string& kind, const quantize_options& options) {
    constexpr std::size_t m = 1024, k = 4096;
    add(text("quantize/%s/%s/%zux%zu", F::name, kind.c_str(), m, k), [=] {
        const auto weights = bell_shaped(m * k);
        subject s{.regime = "quantize",
                  .shape = text("M=%zu K=%zu", m, k),
                  .kernel = text("%s, %s", F::name, kind.c_str()),
                  .gmacs = 0,
                  .gbytes = static_cast<double>(m * k * sizeof(float)) * 1e-9,
                  .run = [=] { (void)require(quantize<F>(*weights, m, k, options)); }};
        s.rivals.push_back(
            {"100 M weights/s", 1, "G weights/s", static_cast<double>(m * k) * 1e-9, 0.1, {}});
        return s;
    });
}

const int registered = [] {
    const auto rows = [](bool of_rows) {
        return [of_rows]<weight_format F>() {
            if (of_rows) {
                row<F>("2^p per tensor", {});
                row<F>("2^p per row", {.granularity = scale_per::row});
                row<F>("real per row", {.granularity = scale_per::row, .scale = scale_kind::real});
            }
            for (const std::size_t group : {32u, 128u})
                row<F>(
                    text("real per %zu", group),
                    {.granularity = scale_per::group, .scale = scale_kind::real, .group = group});
            row<F>("2^p per 128", {.granularity = scale_per::group});
        };
    };
    all_formats::each(rows(true));
    format_list<integer_format<2>, integer_format<3>, int4_weights>::each(rows(false));
    return 0;
}();

} // namespace

#pragma once
// Whether a prepared matrix computes the products that it should, at a few shapes.

#include <s3/kernel/reference.hpp>
#include <s3/ops/matmul.hpp>

#include "../../support/weights.hpp"

#include <string>

namespace s3::test {

/// `prepare` makes a prepared matrix of a packed one; its kernel is the named one, if any is.
template <weight_format F, class Prepare>
[[nodiscard]] bool multiplies(Prepare&& prepare, const std::string& kernel = "") {
    random r(1);
    bool right = true;
    for (const std::size_t n : {1u, 20u})
        for (const std::size_t k : {1u, 7u, 64u, 130u}) {
            const std::size_t m = 37;
            const auto values = random_weights<F>(r, m * k);
            std::vector<std::uint8_t> x(n * k);
            for (auto& v : x)
                v = static_cast<std::uint8_t>(r.below(256));
            std::vector<std::int32_t> y(n * m), expected(n * m);
            reference::matmul<int, std::uint8_t, std::int32_t>(values, x, expected, m, k, n);
            const auto w = prepare(*pack<F>(values, m, k));
            right = right && w && matmul(*w, x, y) && y == expected &&
                    (kernel.empty() || kernel == w->kernel_name());
        }
    return right;
}

} // namespace s3::test

#pragma once
// Linear layers of floats, computed as ops/linear.hpp, ops/round.hpp and ops/linear_epilogue.hpp
// define them, one operation at a time.

#include <s3/ops/linear.hpp>

#include <cmath>
#include <vector>

namespace s3::test {

/// The product, rounded before anything is added to it.
[[nodiscard]] inline float product(float a, float b) noexcept {
    volatile float p = a * b;
    return p;
}

[[nodiscard]] inline float gate(nonlinearity f, float v) noexcept {
    return detail::apply<arch::scalar>(f, v);
}

template <weight_format F>
void linear_by_definition(const packed_matrix<F>& w, matrix_view<const float> x,
                          matrix_view<float> y, const linear_epilogue& e,
                          std::size_t activation_group) {
    const std::size_t k = w.columns(), groups = w.scales_per_row();
    const std::size_t group = k / groups, part = activation_group == 0 ? k : activation_group;
    for (std::size_t n = 0; n < x.rows; ++n) {
        const float* const from = x.row(n);
        std::vector<int> q(k);
        std::vector<float> x_scale;
        for (std::size_t c = 0; c < k; c += part) {
            float most = 0;
            for (std::size_t i = c; i < c + part; ++i)
                most = std::max(most, std::fabs(from[i]));
            const bool vanishes = most < 0x1p-100f;
            for (std::size_t i = c; i < c + part; ++i)
                q[i] = vanishes ? 0 : static_cast<int>(std::nearbyint(from[i] * (127 / most)));
            x_scale.push_back(vanishes ? 1 : most / 127);
        }
        for (std::size_t m = 0; m < w.rows(); ++m) {
            float z = 0;
            for (std::size_t g = 0; g < groups; ++g) {
                std::int32_t sum = 0;
                for (std::size_t c = g * group; c < (g + 1) * group; ++c)
                    sum += w.value(m, c) * q[c];
                float scale = w.real_scale(m, g);
                if (activation_group != 0)
                    scale = product(scale, x_scale[g]);
                const float here = product(static_cast<float>(sum), scale);
                z = g == 0 ? here : z + here;
            }
            if (activation_group == 0)
                z = product(z, k == 0 ? 1 : x_scale[0]);
            if (!e.bias.empty())
                z += e.bias[m];
            z = e.gate.data.empty() ? gate(e.activation, z)
                                    : product(z, gate(e.activation, e.gate.row(n)[m]));
            if (!e.residual.data.empty())
                z += e.residual.row(n)[m];
            y.row(n)[m] = z;
        }
    }
}

} // namespace s3::test

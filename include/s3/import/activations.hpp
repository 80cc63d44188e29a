#pragma once
// The functions of single activations that a description can name, as PyTorch defines them. Each
// limits its input to low … high first: to the left and right of these a function is constant, or
// is taken for it (sigmoid by 3.4e-4, tanh by 6.7e-4, silu and elu by 4.6e-4, gelu by 1.5e-6).

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>

namespace s3::importing {

namespace detail {
inline constexpr double unlimited = std::numeric_limits<double>::max();
}

struct activation {
    const char* name = "";
    double low = -detail::unlimited;
    double high = detail::unlimited;
    double (*formula)(double x, double alpha) = nullptr; ///< null for x itself
    double alpha = 0;                                    ///< a parameter; 0 if there is none

    [[nodiscard]] double operator()(double x) const {
        x = std::clamp(x, low, high);
        return formula == nullptr ? x : formula(x, alpha);
    }
    /// Whether it does nothing but limit its input, which layers with limits of their own can do.
    [[nodiscard]] bool is_limit() const { return formula == nullptr; }
};

namespace detail {

inline constexpr std::array<activation, 11> activations{{
    {"relu", 0, unlimited},
    {"relu6", 0, 6},
    {"clip"}, // whose limits a description gives
    {"sigmoid", -8, 8, [](double x, double) { return 1 / (1 + std::exp(-x)); }},
    {"tanh", -4, 4, [](double x, double) { return std::tanh(x); }},
    {"hardsigmoid", -3, 3, [](double x, double) { return (x + 3) / 6; }},
    {"hardswish", -3, unlimited, [](double x, double) { return x < 3 ? x * (x + 3) / 6 : x; }},
    {"silu", -10, unlimited, [](double x, double) { return x / (1 + std::exp(-x)); }},
    {"gelu", -5, unlimited,
     [](double x, double) { return x / 2 * (1 + std::erf(x / std::sqrt(2.0))); }},
    {"elu", -8, unlimited, [](double x, double alpha) { return x < 0 ? alpha * std::expm1(x) : x; },
     1},
    {"leakyrelu", -unlimited, unlimited,
     [](double x, double alpha) { return x < 0 ? alpha * x : x; }, 0.01},
}};

} // namespace detail

/// The function of that name, or null.
[[nodiscard]] inline const activation* find_activation(std::string_view name) noexcept {
    for (const activation& a : detail::activations)
        if (name == a.name)
            return &a;
    return nullptr;
}

} // namespace s3::importing

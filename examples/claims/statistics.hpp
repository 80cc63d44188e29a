#pragma once
// Paired differences and their 95% intervals by Student's t.

#include <array>
#include <cmath>
#include <vector>

namespace claims {

struct interval {
    std::size_t count = 0;
    double mean = 0, low = 0, high = 0; ///< without bounds (equal to the mean) below two values
};

/// The 97.5% quantile of t.
[[nodiscard]] inline double t_quantile(std::size_t freedom) {
    constexpr std::array<double, 15> table{12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306,
                                           2.262,  2.228, 2.201, 2.179, 2.160, 2.145, 2.131};
    return freedom <= table.size() ? table[freedom - 1] : 1.96 + 2.4 / static_cast<double>(freedom);
}

[[nodiscard]] inline interval interval_of(const std::vector<double>& values) {
    interval i{values.size()};
    if (values.empty())
        return i;
    const auto n = static_cast<double>(values.size());
    for (const double v : values)
        i.mean += v / n;
    double squares = 0;
    for (const double v : values)
        squares += (v - i.mean) * (v - i.mean);
    const double half =
        values.size() < 2 ? 0 : t_quantile(values.size() - 1) * std::sqrt(squares / (n - 1) / n);
    i.low = i.mean - half;
    i.high = i.mean + half;
    return i;
}

} // namespace claims

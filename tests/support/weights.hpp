#pragma once
// Weights that a format can hold.

#include <s3/format/weight_format.hpp>

#include "random.hpp"

#include <cstddef>
#include <vector>

namespace s3::test {

/// All values of a format, by code.
template <weight_format F>
[[nodiscard]] std::vector<int> values_of() {
    std::vector<int> values;
    for (unsigned c = 0; c < unsigned{F::codes}; ++c)
        if (F::valid(c))
            values.push_back(F::value(c));
    return values;
}

/// Each valid code is as likely as any other.
template <weight_format F>
[[nodiscard]] std::vector<int> random_weights(random& r, std::size_t count) {
    const auto values = values_of<F>();
    std::vector<int> w(count);
    for (int& v : w)
        v = values[r.below(values.size())];
    return w;
}

} // namespace s3::test

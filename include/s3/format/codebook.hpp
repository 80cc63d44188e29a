#pragma once
// Codebooks: any 2 … 256 integers as a format. Code i stands for the i-th value, and codes beyond
// the last value are reserved. A format of your own derives from this one and gives itself a name:
//
//   struct thirds : s3::codebook<0, 1, 2, 3, -1, -2, -3> {
//       static constexpr const char* name = "thirds";
//       static constexpr const char* cpp_name = "mine::thirds";
//   };
//
// Kernels look the values up in a table. If zero is one of the values, it is best listed first.

#include <s3/format/weight_format.hpp>

#include <algorithm>
#include <array>
#include <bit>
#include <initializer_list>

namespace s3 {

template <int... Values>
requires(sizeof...(Values) >= 2 && sizeof...(Values) <= 256) struct codebook {
private:
    static constexpr unsigned count = sizeof...(Values);
    static constexpr std::array<int, count> values{Values...};

public:
    static constexpr int bits = std::max(static_cast<int>(std::bit_width(count - 1)), 2);
    static constexpr int codes = 1 << bits;
    static constexpr bool has_zero = ((Values == 0) || ...);
    static constexpr bool is_shift = false;
    static constexpr bool trains = false;
    static constexpr decode decoding = decode::table;
    static constexpr int min_value = std::min({Values...});
    static constexpr int max_value = std::max({Values...});

    [[nodiscard]] static constexpr bool valid(unsigned code) noexcept { return code < count; }
    [[nodiscard]] static constexpr int value(unsigned code) noexcept {
        return values[code < count ? code : 0];
    }
    [[nodiscard]] static constexpr int code_of(int v) noexcept {
        for (unsigned code = 0; code < count; ++code)
            if (values[code] == v)
                return static_cast<int>(code);
        return -1;
    }
    /// The nearest value; of two that are equally near, the one farther from zero. There are no
    /// exponents here, so `nearest` changes nothing.
    [[nodiscard]] static constexpr int round(double real, nearest = {}) noexcept {
        const auto distance = [real](int v) { return v < real ? real - v : v - real; };
        const auto size = [](int v) { return v < 0 ? -v : v; };
        int best = values[0];
        for (const int v : values) {
            const double a = distance(v), b = distance(best);
            if (a < b || (a == b && size(v) > size(best)))
                best = v;
        }
        return best;
    }
};

} // namespace s3

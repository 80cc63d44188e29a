#pragma once
// A sink of kernels (see ops/store.hpp) that does nothing but copy.

#include <cstddef>
#include <cstring>

namespace s3::test {

/// Sum (n, m) goes to y[n·stride + m].
template <class Sum>
struct copy_sums {
    Sum* y;
    std::size_t stride;
    bool in_place = false; ///< whether sums may be accumulated in y

    void place(std::size_t n, std::size_t count, std::size_t* at) const {
        for (std::size_t c = 0; c < count; ++c)
            at[c] = (n + c) * stride;
    }
    void operator()(const std::size_t* at, std::size_t columns, std::size_t row, std::size_t count,
                    const Sum* sums, std::size_t sums_stride) const {
        for (std::size_t c = 0; c < columns; ++c)
            std::memcpy(y + at[c] + row, sums + c * sums_stride, count * sizeof(Sum));
    }
    void operator()(std::size_t n, std::size_t row, std::size_t count, const Sum* sums) const {
        std::memcpy(y + n * stride + row, sums, count * sizeof(Sum));
    }
    Sum* straight(std::size_t row) const { return in_place ? y + row : nullptr; }
};

} // namespace s3::test

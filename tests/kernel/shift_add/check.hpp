#pragma once
// What the tests of kernels share: a kernel's product of random or extreme weights and activations
// against plain sums.

#include <s3/core/buffer.hpp>
#include <s3/kernel/parts/panel_product.hpp>

#include <doctest/doctest.h>

#include <cstdint>
#include <random>
#include <vector>

namespace s3::test {

enum class data { random, extreme };

template <weight_format F>
struct weights {
    std::size_t rows, columns;
    std::vector<int> value;
    std::vector<std::uint8_t> stream;

    weights(std::size_t m, std::size_t k, data kind, std::mt19937& rng)
        : rows(m), columns(k), value(m * k), stream(layout::stream_bytes(m * k, F::bits)) {
        for (std::size_t i = 0; i < value.size(); ++i) {
            unsigned code = static_cast<unsigned>(rng()) % unsigned{F::codes};
            if (kind == data::extreme) // row by row the largest, the smallest value
                code = static_cast<unsigned>(F::code_of(
                    i / std::max<std::size_t>(k, 1) % 2 == 0 ? F::max_value : F::min_value));
            if (!F::valid(code))
                code = 0;
            value[i] = F::value(code);
            layout::put<F::bits>(stream.data(), i, code);
        }
    }
};

/// 64-byte aligned memory with nothing behind it that a kernel may touch.
template <class T>
struct aligned {
    explicit aligned(std::size_t bytes) : memory(buffer<T>::make(std::max<std::size_t>(bytes, 1))) {
        REQUIRE(memory);
    }
    T* data() { return memory->data(); }
    result<buffer<T>> memory;
};

/// y[n][m] of a kernel for activations x[n][k], given as the kernel stages them.
template <class Kernel, weight_format F>
std::vector<typename Kernel::sum>
product(const weights<F>& w, std::size_t n, const std::vector<typename Kernel::staged>& x,
        const std::vector<typename Kernel::sum>& initial, std::size_t parts = 1) {
    using sum = typename Kernel::sum;
    const std::size_t m = w.rows, k = w.columns;
    std::vector<std::int64_t> row_sums(m);
    for (std::size_t i = 0; i < w.value.size(); ++i)
        row_sums[i / k] += w.value[i];
    aligned<std::uint8_t> layout(Kernel::layout_bytes(m, k));
    Kernel::pack(w.stream.data(), row_sums.data(), m, k, layout.data());
    aligned<std::byte> scratch(Kernel::scratch_bytes(k, n));
    std::vector<sum> y(n * m, sum(-77));
    const auto source = [&](std::size_t first, std::size_t count, auto* to, std::size_t stride) {
        REQUIRE(stride >= k);
        for (std::size_t c = 0; c < count; ++c, to += stride) {
            std::copy_n(x.begin() + static_cast<std::ptrdiff_t>((first + c) * k), k, to);
            std::fill(to + k, to + stride, 0);
        }
    };
    const auto sink = [&](std::size_t column, std::size_t row, std::size_t count, const sum* s) {
        REQUIRE(column < n);
        REQUIRE(row + count <= m);
        std::copy_n(s, count, y.begin() + static_cast<std::ptrdiff_t>(column * m + row));
    };
    const kernel::panel_view<sum> view{layout.data(), m, k,
                                       initial.empty() ? nullptr : initial.data()};
    const std::size_t panels = Kernel::panels(m);
    for (std::size_t p = 0; p < parts; ++p)
        Kernel::run(view,
                    kernel::work_range{p % 2 * (n / 2), p % 2 == 0 && parts > 1 ? n / 2 : n,
                                       panels * (p / 2) / ((parts + 1) / 2),
                                       panels * (p / 2 + 1) / ((parts + 1) / 2)},
                    source, sink, scratch.data());
    return y;
}

/// Checks one shape. `bits`: how wide the activations are.
template <class Kernel, weight_format F>
void check(std::size_t m, std::size_t k, std::size_t n, data kind, std::mt19937& rng, int bits = 8,
           std::size_t parts = 1) {
    using staged = typename Kernel::staged;
    using sum = typename Kernel::sum;
    const weights<F> w(m, k, kind, rng);
    const unsigned top = (1u << bits) - 1;
    std::vector<staged> x(n * k);
    for (std::size_t i = 0; i < x.size(); ++i)
        x[i] = static_cast<staged>(kind == data::random ? static_cast<unsigned>(rng()) & top
                                   : i / k % 2 == 0     ? top
                                                        : 0);
    std::vector<sum> initial(rng() % 2 == 0 ? 0 : (m + 63) / 64 * 64);
    for (auto& i : initial)
        i = static_cast<sum>(static_cast<int>(rng() % 2001) - 1000);
    const auto y = product<Kernel>(w, n, x, initial, parts);
    std::size_t wrong = 0;
    for (std::size_t c = 0; c < n; ++c)
        for (std::size_t r = 0; r < m; ++r) {
            std::int64_t s = initial.empty() ? 0 : static_cast<std::int64_t>(initial[r]);
            for (std::size_t i = 0; i < k; ++i)
                s += w.value[r * k + i] * static_cast<std::int64_t>(x[c * k + i]);
            wrong += static_cast<double>(y[c * m + r]) != static_cast<double>(s);
        }
    CAPTURE(Kernel::name);
    CAPTURE(F::name);
    CAPTURE(m);
    CAPTURE(k);
    CAPTURE(n);
    CHECK(wrong == 0);
}

/// Remainders of every kind, and depths beyond several segments.
template <class Kernel, weight_format F>
void check_shapes(int bits = 8) {
    std::mt19937 rng(7);
    for (const data kind : {data::random, data::extreme}) {
        for (const std::size_t m : {0u, 1u, 2u, 15u, 17u, 33u, 65u})
            for (const std::size_t k : {0u, 1u, 2u, 3u, 5u, 8u, 29u, 63u, 64u, 65u})
                for (const std::size_t n : {0u, 1u, 2u, 5u, 9u, 33u})
                    check<Kernel, F>(m, k, n, kind, rng, bits);
        check<Kernel, F>(3, 1531, 3, kind, rng, bits);
        check<Kernel, F>(131, 700, 67, kind, rng, bits);
    }
    // Parts of the output, as threads would share them out.
    check<Kernel, F>(150, 90, 70, data::random, rng, bits, 6);
}

} // namespace s3::test

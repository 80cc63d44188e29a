#pragma once
// Differential test of the matrix product: for a format and an activation type, every kernel of
// some architectures against the scalar reference, over shapes around all block sizes, with odd
// strides, extreme values, and guard pages at both ends of every buffer.
//
// S3_TEST_ROUNDS in the environment is the number of times that all shapes are drawn.

#include <s3/kernel/reference.hpp>
#include <s3/ops/matmul.hpp>

#include "archs.hpp"
#include "guarded.hpp"
#include "weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace s3::test {

[[nodiscard]] inline int rounds() {
    const char* text = std::getenv("S3_TEST_ROUNDS");
    return text == nullptr ? 4 : std::max(std::atoi(text), 1);
}

/// How weights and activations are drawn; the extremes are where narrow sums would overflow.
enum class fill : unsigned char { uniform, lowest, highest, alternating };
inline constexpr fill fills[] = {fill::uniform, fill::uniform, fill::lowest, fill::highest,
                                 fill::alternating};

template <class F>
[[nodiscard]] std::vector<int> draw_weights(random& r, std::size_t count, fill how) {
    auto w = random_weights<F>(r, count);
    for (std::size_t i = 0; i < count; ++i)
        if (how == fill::lowest || (how == fill::alternating && i % 2 == 0))
            w[i] = F::min_value;
        else if (how == fill::highest || how == fill::alternating)
            w[i] = F::max_value;
    return w;
}

/// Integers use at most `bits` bits. Floats are small integers, so that sums are exact, or any
/// (`uniform`).
template <activation X>
[[nodiscard]] X draw_activation(random& r, fill how, int bits = 8) {
    if constexpr (std::same_as<X, float>) {
        if (how == fill::uniform)
            return r.real() * 4;
        return how == fill::lowest    ? -16.0f
               : how == fill::highest ? 16.0f
                                      : static_cast<float>(r.between(-16, 16));
    } else {
        const int low = std::numeric_limits<X>::min() / (1 << (8 - bits));
        const int high = std::numeric_limits<X>::max() >> (8 - bits);
        return static_cast<X>(how == fill::lowest    ? low
                              : how == fill::highest ? high
                                                     : r.between(low, high));
    }
}

/// The families and promises under which weights are prepared: they decide which kernel serves.
inline constexpr family families[] = {family::automatic, family::dot, family::shift_add};
inline constexpr std::size_t column_hints[] = {1, 64};

struct product_shape {
    std::size_t m, k, n, x_gap, y_gap; ///< stride = columns + gap
};

/// Shapes with each edge in `edges` at least once in each place, and others at random.
[[nodiscard]] inline std::vector<product_shape> product_shapes(random& r) {
    const std::size_t ks[] = {0,  1,  2,  3,   4,   5,   7,   8,   15,  16,  31,  32,  33,  36,
                              63, 64, 65, 100, 127, 128, 129, 143, 144, 145, 256, 511, 513, 1060};
    const std::size_t ms[] = {0,  1,  2,  3,  4,  5,  7,  8,  9,  15,  16,  17, 31,
                              32, 33, 47, 48, 49, 63, 64, 65, 80, 127, 129, 195};
    const std::size_t ns[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                              12, 13, 16, 23, 24, 25, 31, 33, 63, 64, 65, 97};
    const auto any = [&](const auto& list) { return list[r.below(std::size(list))]; };
    std::vector<product_shape> shapes;
    const auto add = [&](std::size_t m, std::size_t k, std::size_t n) {
        shapes.push_back({m, k, n, r.below(3) == 0 ? r.below(9) : 0, r.below(6)});
    };
    for (int round = 0; round < rounds(); ++round) {
        for (const std::size_t k : ks)
            add(any(ms), k, any(ns));
        for (const std::size_t m : ms)
            add(m, any(ks), any(ns));
        for (const std::size_t n : ns)
            add(any(ms), any(ks), n);
        for (int i = 0; i < 60; ++i)
            add(r.below(12), r.below(12), r.below(12));
        for (int i = 0; i < 60; ++i)
            add(r.below(66), r.below(66), r.below(66));
        // Several tiles of weights, of whole blocks.
        add(64 + r.below(70), 32 * (65 + r.below(70)), 5 + r.below(30));
    }
    return shapes;
}

template <weight_format F, activation X, class Archs>
class matmul_suite {
public:
    using sum = std::conditional_t<std::same_as<X, float>, float, std::int32_t>;

    explicit matmul_suite(std::uint64_t seed) : seed_(seed), random_(seed) {}

    /// All shapes and fills.
    void run() {
        for (const product_shape& s : product_shapes(random_)) {
            const fill w = fills[random_.below(std::size(fills))];
            const fill x = fills[random_.below(std::size(fills))];
            const int promises[] = {8, 8, 6, 4, 1};
            check(s, w, x, promises[random_.below(std::size(promises))]);
        }
        INFO("seed ", seed_, ", cases ", cases_, "; first: ", first_);
        CHECK(mismatches_ == 0);
        CHECK(cases_ > 0);
    }
    /// One shape, for instance of the greatest depth.
    void run(const product_shape& s, fill w, fill x) {
        check(s, w, x, 8);
        INFO("seed ", seed_, "; first: ", first_);
        CHECK(mismatches_ == 0);
        CHECK(cases_ > 0);
    }

private:
    void check(const product_shape& s, fill w_fill, fill x_fill, int bits) {
        const auto weights = draw_weights<F>(random_, s.m * s.k, w_fill);
        const auto packed = pack<F>(weights, s.m, s.k);
        REQUIRE(packed);
        const side where = random_.below(2) == 0 ? side::lower : side::upper;
        const auto x = x_memory_.take<X>(extent(s.n, s.k, s.x_gap), where);
        for (X& v : x)
            v = draw_activation<X>(random_, x_fill, bits);
        expect(weights, x, s, bits);
        const bool rounds = std::same_as<X, float> &&
                            (x_fill == fill::uniform || s.k * 16 * F::max_value > 1 << 24);
        Archs::each([&]<class Arch>() {
            for (const family f : families)
                for (const std::size_t columns : column_hints)
                    check_kernel<Arch>(*packed, x, s, {columns, f, bits}, where, rounds);
        });
    }

    static std::size_t extent(std::size_t rows, std::size_t columns, std::size_t gap) {
        return rows == 0 || columns == 0 ? 0 : (rows - 1) * (columns + gap) + columns;
    }

    void expect(const std::vector<int>& w, std::span<const X> x, const product_shape& s, int bits) {
        std::vector<X> dense(s.n * s.k);
        for (std::size_t n = 0; n < s.n && s.k > 0; ++n)
            std::memcpy(dense.data() + n * s.k, x.data() + n * (s.k + s.x_gap), s.k * sizeof(X));
        using exact = std::conditional_t<std::same_as<X, float>, double, std::int64_t>;
        std::vector<exact> y(s.n * s.m);
        reference::matmul<int, X, exact>(w, dense, y, s.m, s.k, s.n);
        expected_.assign(y.begin(), y.end());
        const std::int64_t largest =
            std::same_as<X, std::int8_t> ? 1 << (bits - 1) : (1 << bits) - 1;
        too_deep_ = false;
        for (std::size_t m = 0; std::integral<X> && m < s.m; ++m) {
            std::int64_t abs_sum = 0;
            for (std::size_t k = 0; k < s.k; ++k)
                abs_sum += std::abs(w[m * s.k + k]);
            too_deep_ = too_deep_ || abs_sum * largest > std::numeric_limits<std::int32_t>::max();
        }
        if constexpr (std::same_as<X, float>) {
            std::vector<double> magnitudes(s.n * s.m);
            std::vector<int> abs_w(w);
            for (int& v : abs_w)
                v = std::abs(v);
            for (float& v : dense)
                v = std::fabs(v);
            reference::matmul<int, X, double>(abs_w, dense, magnitudes, s.m, s.k, s.n);
            tolerance_.resize(magnitudes.size());
            for (std::size_t i = 0; i < magnitudes.size(); ++i)
                tolerance_[i] = magnitudes[i] * static_cast<double>(s.k) * 0x1p-24;
        }
    }

    template <class Arch>
    void check_kernel(const packed_matrix<F>& packed, std::span<const X> x, const product_shape& s,
                      const prepare_options& g, side where, bool rounds) {
        const auto bytes = prepared_bytes<X, family::any, Arch>(packed, g);
        if (!bytes) {
            // The one combination that no kernel serves.
            if (bytes.error().code != errc::unsupported || g.kernels != family::shift_add ||
                F::is_shift)
                note("prepare: " + bytes.error().message(), Arch::name, s);
            return;
        }
        const auto w =
            prepare_into<X, family::any, Arch>(packed, g, w_memory_.take<std::byte>(*bytes, where));
        if (too_deep_) {
            if (w || w.error().code != errc::depth_exceeded)
                note("prepare_into: sums that could overflow are accepted", Arch::name, s);
            return;
        }
        if (!w)
            return note("prepare_into: " + w.error().message(), Arch::name, s);
        const auto y = y_memory_.take<sum>(extent(s.n, s.m, s.y_gap), where);
        std::memset(y.data(), 0x5a, y.size_bytes());
        const auto scratch = scratch_memory_.take<std::byte>(scratch_bytes(*w, s.n), where);
        const status done = matmul(*w, matrix_view<const X>(x, s.n, s.k, s.k + s.x_gap),
                                   matrix_view<sum>(y, s.n, s.m, s.m + s.y_gap), {}, scratch);
        ++cases_;
        if (!done)
            return note("matmul: " + done.error().message(), Arch::name, s);
        const std::string kernel = std::string(Arch::name) + " " + w->kernel_name() + " for " +
                                   std::to_string(g.batch) + " columns of " +
                                   std::to_string(g.activation_bits) + " bits";
        sum untouched;
        std::memset(&untouched, 0x5a, sizeof untouched);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t n = i / (s.m + s.y_gap), m = i % (s.m + s.y_gap);
            const bool good = m >= s.m ? std::memcmp(&y[i], &untouched, sizeof(sum)) == 0
                              : rounds ? std::fabs(static_cast<double>(y[i]) -
                                                   static_cast<double>(expected_[n * s.m + m])) <=
                                             tolerance_[n * s.m + m]
                                       : y[i] == static_cast<sum>(expected_[n * s.m + m]);
            if (!good)
                return note("y[" + std::to_string(n) + "][" + std::to_string(m) +
                                "] = " + std::to_string(y[i]) + " instead of " +
                                (m < s.m ? std::to_string(expected_[n * s.m + m]) : "untouched"),
                            kernel, s);
        }
    }

    void note(const std::string& what, const std::string& kernel, const product_shape& s) {
        if (mismatches_++ == 0)
            first_ = kernel + ", m " + std::to_string(s.m) + ", k " + std::to_string(s.k) + ", n " +
                     std::to_string(s.n) + ", strides +" + std::to_string(s.x_gap) + " and +" +
                     std::to_string(s.y_gap) + ": " + what;
    }

    using expectation = std::conditional_t<std::same_as<X, float>, double, std::int64_t>;

    std::uint64_t seed_;
    random random_;
    std::vector<expectation> expected_;
    std::vector<double> tolerance_;
    guarded_memory x_memory_{1 << 20}, y_memory_{1 << 20}, w_memory_{1 << 25},
        scratch_memory_{1 << 25};
    bool too_deep_ = false;
    std::size_t cases_ = 0, mismatches_ = 0;
    std::string first_;
};

/// One row and one column of the greatest depth, with sums as near to both ends of int32 as can be.
template <weight_format F, integer_activation X, class Archs>
void run_at_depth(std::uint64_t seed) {
    const auto k = static_cast<std::size_t>(max_depth<F, X>());
    matmul_suite<F, X, Archs> suite(seed);
    for (const fill w : {fill::lowest, fill::highest})
        for (const fill x : {fill::lowest, fill::highest})
            suite.run({1, k, 1, 0, 0}, w, x);
}

} // namespace s3::test

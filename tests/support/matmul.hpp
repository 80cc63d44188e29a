#pragma once
// Differential test of the matrix product: for a format and an activation type, every kernel of the
// registry that some architectures have, by its name, against the scalar reference, over shapes
// around all block sizes, with odd strides, extreme values, several workers, and guard pages at
// both ends of every buffer. cases.hpp says what the environment can ask for.

#include <s3/kernel/reference.hpp>
#include <s3/kernel/registry.hpp>
#include <s3/ops/run.hpp>

#include "archs.hpp"
#include "cases.hpp"
#include "guarded.hpp"
#include "sums.hpp"
#include "weights.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <map>
#include <string>
#include <vector>

namespace s3::test {

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

/// Shares work out as threads would, one task after the other.
struct taking_turns {
    std::size_t workers = 1;

    [[nodiscard]] std::size_t concurrency() const noexcept { return workers; }
    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        for (std::size_t t = 0; t < tasks; ++t)
            f(t, t % workers);
    }
};

/// Rows of int8 or uint8 activations, which is known when running: a kernel that takes both is
/// compiled once.
template <int ZeroPoint>
struct integer_rows {
    bool is_signed;
    detail::row_source<ZeroPoint, std::int8_t> signed_rows;
    detail::row_source<ZeroPoint, std::uint8_t> unsigned_rows;

    template <class Staged>
    void operator()(std::size_t n, std::size_t count, Staged* to, std::size_t stride) const {
        is_signed ? signed_rows(n, count, to, stride) : unsigned_rows(n, count, to, stride);
    }
    template <class Staged>
    [[nodiscard]] std::size_t segments() const noexcept {
        return is_signed ? signed_rows.template segments<Staged>()
                         : unsigned_rows.template segments<Staged>();
    }
    template <class Staged>
    void point(std::size_t n, std::size_t count, const Staged** table, Staged* zeros) const {
        is_signed ? signed_rows.point(n, count, table, zeros)
                  : unsigned_rows.point(n, count, table, zeros);
    }
    [[nodiscard]] static constexpr bool ignores_padding() noexcept { return false; }
    [[nodiscard]] std::size_t alike(std::size_t n) const noexcept {
        return is_signed ? signed_rows.alike(n) : unsigned_rows.alike(n);
    }
};

template <int ZeroPoint, activation X>
[[nodiscard]] auto rows_of(matrix_view<const X> x) {
    if constexpr (std::same_as<X, float>)
        return detail::row_source<ZeroPoint, X>{x};
    else if constexpr (std::same_as<X, std::int8_t>)
        return integer_rows<ZeroPoint>{true, {x}, {}};
    else
        return integer_rows<ZeroPoint>{false, {}, {x}};
}

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
    if (std::getenv("S3_TEST_CUBE") != nullptr) {
        for (std::size_t i = 0; i < 66 * 66 * 66; ++i)
            add(i / (66 * 66), i / 66 % 66, i % 66);
        return shapes;
    }
    for (auto round = setting("S3_TEST_ROUNDS", 4); round > 0; --round) {
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
        // Thin ones: long in one dimension alone.
        add(1, 4097, 3);
        add(1 + r.below(3), 1 + r.below(5000), 1 + r.below(4));
        add(1 + r.below(700), 1 + r.below(4), 1 + r.below(4));
        add(1 + r.below(4), 1 + r.below(4), 1 + r.below(700));
    }
    // More rows, and a greater depth, than any kernel keeps at a time.
    add(4096 + 77, 70, 3);
    add(5, 5000, 70);
    return shapes;
}

template <weight_format F, activation X, class Archs>
class matmul_suite {
public:
    using sum = std::conditional_t<std::same_as<X, float>, float, std::int32_t>;

    explicit matmul_suite(std::uint64_t seed) : cases_(seed) {
        Archs::each([&]<class Arch>() {
            each_kernel<Arch>([&](auto k) { runs_[label<Arch, typename decltype(k)::type>()]; });
        });
    }

    /// All shapes and fills.
    void run() {
        random_ = cases_.shared();
        const std::vector<product_shape> shapes = product_shapes(random_);
        for (const product_shape& shape : shapes)
            if (cases_.next(random_)) {
                const fill w = fills[random_.below(std::size(fills))];
                const fill x = fills[random_.below(std::size(fills))];
                const int promises[] = {8, 8, 6, 4, 1};
                check(shape, w, x, promises[random_.below(std::size(promises))]);
            }
        cases_.report();
        if (cases_.runs_all())
            for (const auto& run : runs_) {
                INFO("no case ran ", run.first);
                CHECK(run.second > 0);
            }
    }
    /// One shape, for instance of the greatest depth.
    void run(const product_shape& s, fill w, fill x) {
        if (cases_.next(random_))
            check(s, w, x, 8);
        cases_.report();
    }

private:
    /// All kernels on main architectures; on others, to compile in reasonable time, those that a
    /// choice of a family can lead to.
    template <class Arch, class All = kernel::products<F, X, Arch>>
    using kernels_of = std::conditional_t<is_main<Arch>, All, kernel::candidates<family::any, All>>;

    /// f(std::type_identity<Kernel>{}) for the kernels that are to run.
    template <class Arch, class Function>
    static void each_kernel(const Function& f) {
        const char* wanted = std::getenv("S3_TEST_KERNEL");
        kernels_of<Arch>::each([&](auto k) {
            using kernel = typename decltype(k)::type;
            if constexpr (kernel::exists)
                if (s3::kernel::permitted<kernel>() &&
                    (wanted == nullptr || label<Arch, kernel>().find(wanted) != std::string::npos))
                    f(k);
        });
    }
    template <class Arch, class Kernel>
    static std::string label() {
        return std::string(Arch::name).append(" ").append(Kernel::name);
    }

    void check(const product_shape& s, fill w_fill, fill x_fill, int bits) {
        const auto weights = draw_weights<F>(random_, s.m * s.k, w_fill);
        const auto packed = pack<F>(weights, s.m, s.k);
        REQUIRE(packed);
        const side where = random_.below(2) == 0 ? side::lower : side::upper;
        const taking_turns workers{random_.below(3) == 0 ? 2 + random_.below(4) : 1};
        const auto x = x_memory_.take<X>(extent(s.n, s.k, s.x_gap), where);
        for (X& v : x)
            v = draw_activation<X>(random_, x_fill, bits);
        expect(weights, x, s, bits);
        rounds_ = std::same_as<X, float> &&
                  (x_fill == fill::uniform || s.k * 16 * F::max_value > 1 << 24);
        if (too_deep_ == detail::check_depth<X>(*packed, {.activation_bits = bits}).has_value())
            return note("whether sums could overflow is not told", "check_depth", s);
        if (too_deep_)
            return;
        in_place_ = random_.below(2) == 0;
        Archs::each([&]<class Arch>() {
            each_kernel<Arch>([&](auto k) {
                check_kernel<Arch, typename decltype(k)::type>(*packed, x, s, bits, where, workers);
            });
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
        std::int64_t most = 0;
        for (std::size_t m = 0; m < s.m; ++m) {
            std::int64_t abs_sum = 0;
            for (std::size_t k = 0; k < s.k; ++k)
                abs_sum += std::abs(w[m * s.k + k]);
            most = std::max(most, abs_sum * largest);
        }
        too_deep_ = std::integral<X> && most > std::numeric_limits<std::int32_t>::max();
        // What a row's sums begin with.
        initial_.assign(s.m, 0);
        if (std::integral<X> && most + 1000 <= std::numeric_limits<std::int32_t>::max() &&
            random_.below(2) == 0)
            for (int& v : initial_)
                v = random_.between(-1000, 1000);
        for (std::size_t i = 0; i < expected_.size(); ++i)
            expected_[i] += initial_[i % s.m];
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

    template <class Arch, class Kernel>
    void check_kernel(const packed_matrix<F>& packed, std::span<const X> x, const product_shape& s,
                      int bits, side where, taking_turns workers) {
        using loop = kernel::loop_of<Kernel>;
        if (Kernel::rank(kernel::product_request{s.m, s.n, bits}) == 0)
            return;
        const auto layout =
            w_memory_.take<std::uint8_t>(whole_lines(loop::layout_bytes(s.m, s.k)), where);
        std::memset(layout.data(), 0, layout.size());
        loop::pack(packed.stream().data(), packed.sums().data(), s.m, s.k, layout.data());
        const auto initial = initial_memory_.take<sum>(detail::padded_rows(s.m), where);
        std::fill(initial.begin(), initial.end(), sum{0});
        for (std::size_t m = 0; m < s.m; ++m) {
            initial[m] = static_cast<sum>(initial_[m]);
            if constexpr (std::same_as<X, std::int8_t>)
                initial[m] -= static_cast<sum>(loop::zero_point * packed.sums()[m]);
        }
        const auto y = y_memory_.take<sum>(extent(s.n, s.m, s.y_gap), where);
        std::memset(y.data(), 0x5a, y.size_bytes());
        const auto scratch = scratch_memory_.take<std::byte>(
            63 + workers.workers * detail::worker_scratch<loop>(s.k, s.n), where);
        detail::run<loop>(
            {layout.data(), s.m, s.k, initial.data()}, s.n,
            rows_of<loop::zero_point>(matrix_view<const X>(x, s.n, s.k, s.k + s.x_gap)),
            copy_sums<sum>{y.data(), s.m + s.y_gap, in_place_}, scratch, workers);
        cases_.count();
        const std::string kernel = label<Arch, Kernel>();
        ++runs_[kernel];
        compare(y,
                kernel + ", " + std::to_string(bits) + " bits, " + std::to_string(workers.workers) +
                    " workers",
                s);
    }
    static std::size_t whole_lines(std::size_t bytes) { return (bytes + 63) / 64 * 64; }

    void compare(std::span<const sum> y, const std::string& kernel, const product_shape& s) {
        sum untouched;
        std::memset(&untouched, 0x5a, sizeof untouched);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t n = i / (s.m + s.y_gap), m = i % (s.m + s.y_gap);
            const bool good = m >= s.m  ? std::memcmp(&y[i], &untouched, sizeof(sum)) == 0
                              : rounds_ ? std::fabs(static_cast<double>(y[i]) -
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
        cases_.mismatch(kernel + ", m " + std::to_string(s.m) + ", k " + std::to_string(s.k) +
                        ", n " + std::to_string(s.n) + ", strides +" + std::to_string(s.x_gap) +
                        " and +" + std::to_string(s.y_gap) + ": " + what);
    }

    using expectation = std::conditional_t<std::same_as<X, float>, double, std::int64_t>;

    cases cases_;
    random random_{0};
    std::vector<expectation> expected_;
    std::vector<double> tolerance_;
    guarded_memory x_memory_{1 << 21}, y_memory_{1 << 20}, w_memory_{1 << 25},
        scratch_memory_{1 << 27}, initial_memory_{1 << 16};
    std::vector<int> initial_;
    bool in_place_ = false;
    bool too_deep_ = false;
    bool rounds_ = false;                     ///< whether float sums are inexact
    std::map<std::string, std::size_t> runs_; ///< how many cases each kernel ran
};

/// One row and one column of the greatest depth, with sums as near to both ends of int32 as can be;
/// and one weight more, which is refused.
template <weight_format F, integer_activation X, class Archs>
void run_at_depth(std::uint64_t seed) {
    const auto k = static_cast<std::size_t>(max_depth<F, X>());
    matmul_suite<F, X, Archs> suite(seed);
    for (const fill w : {fill::lowest, fill::highest})
        for (const fill x : {fill::lowest, fill::highest})
            suite.run({1, k, 1, 0, 0}, w, x);
    const int largest = F::max_value < -F::min_value ? F::min_value : F::max_value;
    const auto deeper = pack<F>(std::vector<int>(k + 1, largest), 1, k + 1);
    const status refused = detail::check_depth<X>(*deeper, {});
    CHECK(refused.error().code == errc::depth_exceeded);
    CHECK(std::string(refused.error().argument) == "weights.row");
}

} // namespace s3::test

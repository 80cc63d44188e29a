#pragma once
// What follows the products of float-in, float-out layers (ops/linear.hpp), computed as outputs are
// stored. For output m of vector n, with z = Σ w[m][k]·x[n][k]:
//
//   z = z + bias[m]
//   y = f(z), or z · f(gate[n][m]) where there is a gate
//   y = y + residual[n][m]
//
//   relu  f(v) = max(v, +0)         silu  f(v) = v·σ(v)
//   squared_relu  f(v) = max(v, +0)² (So et al. 2021, arXiv 2109.08668)
//   gelu  f(v) = v·σ(2u), u = √(2/π)·(v + 0.044715·v³): the tanh approximation (Hendrycks and
//         Gimpel, arXiv 1606.08415)
//
// Each operation rounds on its own, so that outputs have the same bits on every machine.

#include <s3/ops/epilogue.hpp>
#include <s3/simd/sigmoid.hpp>

#include <algorithm>

namespace s3 {

struct linear_epilogue {
    std::span<const float> bias = {}; ///< one per output, or empty
    nonlinearity activation = nonlinearity::none;
    matrix_view<const float> gate = {};     ///< [N][M], or empty
    matrix_view<const float> residual = {}; ///< [N][M], or empty; may be the outputs themselves
};

/// The errors in an epilogue for outputs [rows][columns].
inline status check(const linear_epilogue& e, std::size_t rows, std::size_t columns) noexcept {
    if (!e.bias.empty() && e.bias.size() != columns)
        return error(errc::shape_mismatch, "epilogue.bias").got(e.bias.size()).needs(columns);
    for (std::size_t m = 0; m < e.bias.size(); ++m)
        if (!is_finite(e.bias[m]))
            return error(errc::not_finite, "epilogue.bias").at(m);
    const auto same_shape = [&](const matrix_view<const float>& v, const char* name) -> status {
        if (v.data.empty() && v.rows == 0 && v.columns == 0)
            return {};
        if (auto s = v.check(name); !s)
            return s;
        if (v.columns != columns)
            return error(errc::shape_mismatch, name).got(v.columns).needs(columns);
        if (v.rows != rows)
            return error(errc::shape_mismatch, name).got(v.rows).needs(rows);
        return {};
    };
    if (auto s = same_shape(e.gate, "epilogue.gate"); !s)
        return s;
    return same_shape(e.residual, "epilogue.residual");
}

namespace detail {

/// f of an epilogue.
template <class Arch>
[[nodiscard]] S3_INLINE simd::lanes<float, Arch> apply(nonlinearity f,
                                                       const simd::lanes<float, Arch>& v) noexcept {
    using real = simd::lanes<float, Arch>;
    const auto constant = [](float c) S3_INLINE_LAMBDA { return simd::broadcast<float, Arch>(c); };
    const auto times = [](const real& a, const real& b)
                           S3_INLINE_LAMBDA { return simd::rounded_product<real>(a, b); };
    const auto positive = [&](const real& a) S3_INLINE_LAMBDA {
        return simd::max(a, constant(0)) + constant(0); // machines differ in max(−0, 0)
    };
    switch (f) {
    case nonlinearity::relu:
        return positive(v);
    case nonlinearity::squared_relu:
        return times(positive(v), positive(v));
    case nonlinearity::silu:
        return times(v, simd::sigmoid<Arch>(v));
    case nonlinearity::gelu: {
        const real cube = times(times(v, v), v);
        const real u = v + times(cube, constant(0.044715f));
        return times(v, simd::sigmoid<Arch>(times(u, constant(1.5957691216f)))); // 2√(2/π)
    }
    case nonlinearity::none:
        break;
    }
    return v;
}

/// A sum_sink: sums of floats → outputs.
template <class Arch>
struct linear_store {
    matrix_view<float> y;
    const float* x_scale; ///< a factor for each activation vector, or null
    const linear_epilogue& e;

    void operator()(std::size_t n, std::size_t columns, std::size_t row, std::size_t count,
                    const float* sums, std::size_t stride) const noexcept {
        for (std::size_t c = 0; c < columns; ++c)
            finish(n + c, row, count, sums + c * stride);
    }

private:
    using real = simd::lanes<float, Arch>;
    static constexpr std::size_t width = simd::width32<Arch>;

    S3_NOINLINE void finish(std::size_t n, std::size_t row, std::size_t count,
                            const float* sums) const noexcept {
        const real scale = simd::broadcast<float, Arch>(x_scale == nullptr ? 1.0f : x_scale[n]);
        const auto at = [&](const matrix_view<const float>& v) {
            return v.data.empty() ? nullptr : v.row(n) + row;
        };
        const float* const bias = e.bias.empty() ? nullptr : e.bias.data() + row;
        const float *const gate = at(e.gate), *const residual = at(e.residual);
        float* const to = y.row(n) + row;
        std::size_t i = 0;
        for (; i + width <= count; i += width)
            finish_vector(sums, scale, bias, gate, residual, to, i);
        if (i == count)
            return;
        // The last outputs take the same way, through memory for a whole vector.
        float all[5][width] = {};
        const auto copy = [&](const float* from, float* copied) {
            if (from != nullptr)
                std::copy(from + i, from + count, copied);
            return from == nullptr ? nullptr : copied;
        };
        finish_vector(copy(sums, all[0]), scale, copy(bias, all[1]), copy(gate, all[2]),
                      copy(residual, all[3]), all[4], 0);
        std::copy(all[4], all[4] + (count - i), to + i);
    }
    S3_INLINE void finish_vector(const float* sums, const real& scale, const float* bias,
                                 const float* gate, const float* residual, float* to,
                                 std::size_t i) const noexcept {
        const auto load = [i](const float* from)
                              S3_INLINE_LAMBDA { return simd::load<float, Arch>(from + i); };
        real z = simd::rounded_product<real>(load(sums), scale);
        if (bias != nullptr)
            z = z + load(bias);
        z = gate == nullptr ? apply<Arch>(e.activation, z)
                            : simd::rounded_product<real>(z, apply<Arch>(e.activation, load(gate)));
        if (residual != nullptr)
            z = z + load(residual);
        simd::store<Arch>(to + i, z);
    }
};

} // namespace detail
} // namespace s3

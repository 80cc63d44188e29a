#pragma once
// The epilogue: what follows the accumulation, computed as outputs are stored. It is defined
// without contraction, so that its results have the same bits on every machine. For an int32 sum of
// channel m:
//
//   v = sum + bias[m]                                   int32; a bound proves that it fits
//   f = scale[m] · real_scale[m]                        float32; each 1 where there is none
//   q = round(clamp(float(v) · f, ±2^23))               one float32 multiply; or
//   q = round(v / 2^shift[m])                           one shift; both round half to even
//   q = q + zero_point + round(clamp(float(r − r_zero_point) · r_scale, ±2^23))   residual r
//   y = min(max(q, clamp_low), clamp_high), within the type         ReLU: clamp_low = zero_point
//
// int32 outputs take only bias and ReLU; float outputs are float(v) · f, then ReLU. Fields that an
// output type does not use must have their default; else the error names the field. `real_scale` is
// what the weights record (2^exponent_offset and their scale), so that outputs are those of the
// real weights. int32 outputs and `shift` cannot apply it: that is an error, too. For float
// activations: y = sum · scale[m] + bias[m], then ReLU (`float_epilogue`).

#include <s3/core/is_finite.hpp>
#include <s3/core/requantize.hpp>
#include <s3/core/view.hpp>

#include <algorithm>
#include <cstdlib>
#include <limits>

namespace s3 {

/// What follows the sums. Integer outputs and float products know `relu` alone; layers of floats
/// (ops/linear.hpp) know all.
enum class nonlinearity : unsigned char { none, relu, silu, gelu, squared_relu };
inline constexpr nonlinearity relu = nonlinearity::relu;

/// A uint8 or int8 tensor that is added to the output and laid out as the output is.
struct residual_view {
    const void* data = nullptr;
    std::size_t size = 0;
    bool is_signed = false;

    constexpr residual_view() = default;
    constexpr residual_view(std::span<const std::uint8_t> s) : data(s.data()), size(s.size()) {}
    constexpr residual_view(std::span<const std::int8_t> s)
        : data(s.data()), size(s.size()), is_signed(true) {}

    [[nodiscard]] int operator[](std::size_t i) const noexcept {
        return is_signed ? int{static_cast<const std::int8_t*>(data)[i]}
                         : int{static_cast<const std::uint8_t*>(data)[i]};
    }
};

/// `scale`, `bias` and `shift` are empty, hold one element for all channels, or one per output
/// channel.
struct epilogue {
    std::span<const float> scale = {};
    std::span<const std::int32_t> bias = {};
    nonlinearity activation = nonlinearity::none;
    std::span<const std::uint8_t> shift = {}; ///< 0 … 31, instead of `scale`
    std::int32_t zero_point = 0;              ///< |zero_point| ≤ 2^15
    std::int32_t clamp_low = std::numeric_limits<std::int32_t>::min();
    std::int32_t clamp_high = std::numeric_limits<std::int32_t>::max();
    residual_view residual = {};
    float residual_scale = 1;
    std::int32_t residual_zero_point = 0;
};

/// The epilogue of float products; `scale` and `bias` as in `epilogue`.
struct float_epilogue {
    std::span<const float> scale = {};
    std::span<const float> bias = {};
    nonlinearity activation = nonlinearity::none;
};

namespace detail {

inline status check_channels(std::size_t size, std::size_t rows, const char* argument) noexcept {
    if (size > 1 && size != rows)
        return error(errc::shape_mismatch, argument).got(size).needs(rows);
    return {};
}
inline status check_finite(std::span<const float> values, const char* argument) noexcept {
    for (std::size_t i = 0; i < values.size(); ++i)
        if (!is_finite(values[i]))
            return error(errc::not_finite, argument).at(i);
    return {};
}
template <class T>
[[nodiscard]] constexpr T channel(std::span<const T> values, std::size_t m) noexcept {
    return values[values.size() == 1 ? 0 : m];
}

inline status check_relu(nonlinearity f) noexcept {
    if (f != nonlinearity::none && f != nonlinearity::relu)
        return error(errc::unsupported, "epilogue.activation").got(static_cast<int>(f));
    return {};
}

} // namespace detail

/// The errors in an epilogue for outputs of type Y that have `rows` channels and `outputs` elements
/// in all.
template <class Y>
status check(const epilogue& e, std::size_t rows, std::size_t outputs) noexcept {
    constexpr bool narrow = sizeof(Y) == 1;
    if (auto s = detail::check_channels(e.scale.size(), rows, "epilogue.scale"); !s)
        return s;
    if (auto s = detail::check_channels(e.bias.size(), rows, "epilogue.bias"); !s)
        return s;
    if (auto s = detail::check_channels(e.shift.size(), rows, "epilogue.shift"); !s)
        return s;
    if (auto s = detail::check_relu(e.activation); !s)
        return s;
    if (auto s = detail::check_finite(e.scale, "epilogue.scale"); !s)
        return s;
    if (!e.scale.empty() && !e.shift.empty())
        return error(errc::bad_option, "epilogue.shift").got(e.shift.size()).needs(0);
    if (!narrow && !e.shift.empty())
        return error(errc::unsupported, "epilogue.shift");
    if (std::is_same_v<Y, std::int32_t> && !e.scale.empty())
        return error(errc::unsupported, "epilogue.scale");
    for (std::size_t i = 0; i < e.shift.size(); ++i)
        if (e.shift[i] > 31)
            return error(errc::bad_option, "epilogue.shift").at(i).limit(31);
    if constexpr (!narrow) {
        constexpr epilogue none{};
        if (e.zero_point != none.zero_point)
            return error(errc::unsupported, "epilogue.zero_point").got(e.zero_point);
        if (e.clamp_low != none.clamp_low)
            return error(errc::unsupported, "epilogue.clamp_low").got(e.clamp_low);
        if (e.clamp_high != none.clamp_high)
            return error(errc::unsupported, "epilogue.clamp_high").got(e.clamp_high);
        if (e.residual_scale != none.residual_scale)
            return error(errc::unsupported, "epilogue.residual_scale").got(e.residual_scale);
        if (e.residual_zero_point != none.residual_zero_point)
            return error(errc::unsupported, "epilogue.residual_zero_point")
                .got(e.residual_zero_point);
    }
    if (std::abs(std::int64_t{e.zero_point}) > 32768)
        return error(errc::bad_option, "epilogue.zero_point").outside(e.zero_point, -32768, 32768);
    if (std::abs(std::int64_t{e.residual_zero_point}) > 32768)
        return error(errc::bad_option, "epilogue.residual_zero_point")
            .outside(e.residual_zero_point, -32768, 32768);
    if constexpr (narrow) {
        constexpr std::int32_t least = std::numeric_limits<Y>::min();
        constexpr std::int32_t most = std::numeric_limits<Y>::max();
        if (e.clamp_low > e.clamp_high || e.clamp_low > most)
            return error(errc::bad_option, "epilogue.clamp_low")
                .got(e.clamp_low)
                .limit(std::min(e.clamp_high, most));
        if (e.clamp_high < least)
            return error(errc::bad_option, "epilogue.clamp_high").got(e.clamp_high).limit(least);
    }
    if (e.residual.data != nullptr) {
        if (!narrow)
            return error(errc::unsupported, "epilogue.residual");
        if (e.residual.size < outputs)
            return error(errc::buffer_too_small, "epilogue.residual")
                .got(e.residual.size)
                .needs(outputs);
        if (!is_finite(e.residual_scale))
            return error(errc::not_finite, "epilogue.residual_scale");
    }
    return {};
}
inline status check(const float_epilogue& e, std::size_t rows) noexcept {
    if (auto s = detail::check_channels(e.scale.size(), rows, "epilogue.scale"); !s)
        return s;
    if (auto s = detail::check_channels(e.bias.size(), rows, "epilogue.bias"); !s)
        return s;
    if (auto s = detail::check_relu(e.activation); !s)
        return s;
    if (auto s = detail::check_finite(e.scale, "epilogue.scale"); !s)
        return s;
    return detail::check_finite(e.bias, "epilogue.bias");
}

namespace detail {

/// The errors that arise from a real scale, recorded by the weights, that cannot be applied.
template <class Y>
status check_real_scale(const epilogue& e, std::span<const float> real_scale) noexcept {
    if (real_scale.empty())
        return {};
    if (std::is_same_v<Y, std::int32_t>)
        return error(errc::unsupported, "weights.scale");
    if (!e.shift.empty())
        return error(errc::unsupported, "epilogue.shift");
    for (std::size_t m = 0; m < (e.scale.empty() ? 0 : real_scale.size()); ++m)
        if (!is_finite_result(channel(e.scale, m) * real_scale[m]))
            return error(errc::not_finite, "epilogue.scale").at(m);
    return {};
}

} // namespace detail

/// The definition above for a single sum. Every vectorised version must give the same result.
template <class Y>
[[nodiscard]] Y finish(std::int32_t sum, std::size_t m, std::size_t output_index, const epilogue& e,
                       std::span<const float> real_scale = {}) noexcept {
    const bool scaled = !e.scale.empty() || !real_scale.empty();
    const auto factor = [&] {
        const float given = e.scale.empty() ? 1.0f : detail::channel(e.scale, m);
        return real_scale.empty() ? given : given * real_scale[m];
    };
    std::int32_t v = sum;
    if (!e.bias.empty()) // modulo 2^32: see prepare_options::activation_bits
        v = static_cast<std::int32_t>(static_cast<std::uint32_t>(sum) +
                                      static_cast<std::uint32_t>(detail::channel(e.bias, m)));
    const auto bounded = [&](auto q, auto zero) {
        const auto z = static_cast<decltype(q)>(zero);
        return e.activation == relu ? (q > z ? q : z) : q; // −0 becomes +0, as vectors do
    };
    if constexpr (std::is_same_v<Y, std::int32_t>) {
        return bounded(v, 0);
    } else if constexpr (std::is_same_v<Y, float>) {
        const float f = static_cast<float>(v);
        return bounded(scaled ? f * factor() : f, 0);
    } else {
        std::int32_t q = v;
        if (scaled)
            q = scale_round(v, factor());
        if (!e.shift.empty())
            q = shift_round(v, detail::channel(e.shift, m));
        q = std::clamp(q, -integer_epilogue_limit, integer_epilogue_limit) + e.zero_point;
        if (e.residual.data != nullptr)
            q += scale_round(e.residual[output_index] - e.residual_zero_point, e.residual_scale);
        q = std::clamp(bounded(q, e.zero_point), e.clamp_low, e.clamp_high);
        return static_cast<Y>(std::clamp(q, std::int32_t{std::numeric_limits<Y>::min()},
                                         std::int32_t{std::numeric_limits<Y>::max()}));
    }
}

} // namespace s3

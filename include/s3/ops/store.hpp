#pragma once
// The last step of every kernel: finished sums of one column → outputs, through the epilogue, by
// vectors of channels. `output_map` says where output (n, m) lies: [N][M], NHWC or NCHW.

#include <s3/ops/epilogue.hpp>

namespace s3::detail {

/// Output (n, m) is element (n / plane)·image + (n mod plane)·pixel + (first + m)·channel.
struct output_map {
    std::size_t plane = 1; ///< columns per image
    std::size_t image = 0;
    std::size_t pixel = 0;
    std::size_t channel = 1;
    std::size_t first = 0; ///< channel of row 0 (groups)

    [[nodiscard]] std::size_t index(std::size_t n, std::size_t m) const noexcept {
        return n / plane * image + n % plane * pixel + (first + m) * channel;
    }
};

/// int32 sums → Y by the definition in epilogue.hpp. `m` counts from the first row of a group.
template <class Arch, class Y>
struct integer_store {
    Y* y;
    output_map map;
    const epilogue& e;

    void operator()(std::size_t n, std::size_t row, std::size_t count,
                    const std::int32_t* sums) const {
        constexpr std::size_t chunk = 64;
        const std::size_t start = map.index(n, row);
        for (std::size_t i = 0; i < count; i += chunk) {
            const std::size_t some = std::min(chunk, count - i);
            if (map.channel == 1)
                finish_run(sums + i, some, map.first + row + i, start + i, y + start + i);
            else
                for (std::size_t j = i; j < i + some; ++j) {
                    const std::size_t at = start + j * map.channel;
                    y[at] = finish<Y>(sums[j], map.first + row + j, at, e);
                }
        }
    }

private:
    /// Up to 64 channels from `m` on, contiguous in the output: whole vectors, then the rest.
    void finish_run(const std::int32_t* sums, std::size_t count, std::size_t m, std::size_t index,
                    Y* to) const {
        constexpr std::size_t width = simd::width32<Arch>;
        std::size_t i = 0;
        if constexpr (width > 1)
            if (e.shift.empty() && (!e.scale.empty() || sizeof(Y) > 1))
                for (; i + width <= count; i += width)
                    finish_vector(simd::load<std::int32_t, Arch>(sums + i), m + i, index + i,
                                  to + i);
        for (; i < count; ++i)
            to[i] = finish<Y>(sums[i], m + i, index + i, e);
    }

    S3_INLINE void finish_vector(simd::lanes<std::int32_t, Arch> v, std::size_t m,
                                 std::size_t index, Y* to) const {
        if (!e.bias.empty())
            v = v + values(e.bias, m);
        if constexpr (std::is_same_v<Y, std::int32_t>) {
            if (e.activation == relu)
                v = xsimd::max(v, integer(0));
            simd::store<Arch>(to, v);
        } else {
            auto f = simd::to_float(v);
            if (!e.scale.empty())
                f = f * values(e.scale, m);
            if constexpr (std::is_same_v<Y, float>) {
                if (e.activation == relu)
                    f = xsimd::max(f, real(0));
                simd::store<Arch>(to, f);
            } else if (e.residual.data == nullptr) {
                // Clamping first is the same, since the limits are whole, and rounds less.
                simd::store_bytes<Arch>(to,
                                        rounded(f, low() - e.zero_point, high() - e.zero_point) +
                                            integer(e.zero_point));
            } else {
                const auto q = rounded(f, -limit, limit) + integer(e.zero_point) + residual(index);
                simd::store_bytes<Arch>(to,
                                        xsimd::min(xsimd::max(q, integer(low())), integer(high())));
            }
        }
    }

    static constexpr std::int32_t limit = static_cast<std::int32_t>(epilogue_limit);

    [[nodiscard]] static S3_INLINE auto integer(std::int32_t v) noexcept {
        return simd::broadcast<std::int32_t, Arch>(v);
    }
    [[nodiscard]] static S3_INLINE auto real(std::int32_t v) noexcept {
        return simd::broadcast<float, Arch>(static_cast<float>(v));
    }
    template <class T>
    [[nodiscard]] static S3_INLINE auto values(std::span<const T> v, std::size_t m) noexcept {
        return v.size() == 1 ? simd::broadcast<T, Arch>(v[0]) : simd::load<T, Arch>(v.data() + m);
    }
    template <class V>
    [[nodiscard]] static S3_INLINE auto rounded(const V& v, std::int32_t least,
                                                std::int32_t most) noexcept {
        const auto lower = real(std::max(least, -limit)), upper = real(std::min(most, limit));
        return xsimd::nearbyint_as_int(xsimd::min(xsimd::max(v, lower), upper));
    }
    [[nodiscard]] S3_INLINE auto residual(std::size_t index) const noexcept {
        alignas(64) std::int32_t r[simd::width32<Arch>];
        for (std::size_t j = 0; j < simd::width32<Arch>; ++j)
            r[j] = e.residual[index + j] - e.residual_zero_point;
        const auto scale = simd::broadcast<float, Arch>(e.residual_scale);
        return rounded(simd::to_float(simd::load<std::int32_t, Arch>(r)) * scale, -limit, limit);
    }
    [[nodiscard]] std::int32_t low() const noexcept {
        const std::int32_t l = std::max(e.low, std::int32_t{std::numeric_limits<Y>::min()});
        return e.activation == relu ? std::max(l, e.zero_point) : l;
    }
    [[nodiscard]] std::int32_t high() const noexcept {
        return std::min(e.high, std::int32_t{std::numeric_limits<Y>::max()});
    }
};

/// float sums → float, times the rows' real scale (empty for one; a group's begins with its row 0).
template <class Arch>
struct float_store {
    float* y;
    output_map map;
    const float_epilogue& e;
    std::span<const float> real_scale;

    void operator()(std::size_t n, std::size_t row, std::size_t count, const float* sums) const {
        const std::size_t start = map.index(n, row);
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t m = map.first + row + i;
            float v = sums[i];
            if (!real_scale.empty())
                v *= real_scale[row + i];
            if (!e.scale.empty())
                v *= channel(e.scale, m);
            if (!e.bias.empty())
                v += channel(e.bias, m);
            if (e.activation == relu)
                v = std::max(v, 0.0f);
            y[start + i * map.channel] = v;
        }
    }
};

} // namespace s3::detail

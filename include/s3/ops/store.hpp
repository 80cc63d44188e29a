#pragma once
// The last step of every kernel: the finished sums of some columns become outputs through the
// epilogue, a vector of channels at a time. `output_map` says where output (n, m) lies: [N][M],
// NHWC or NCHW.
//
// A sink takes the sums of one column by sink(n, row, count, sums). To read what belongs to a
// channel only once for several columns, it takes them together: sink.place(n, count, at) first
// tells where the outputs of the columns begin, and sink(at, columns, row, count, sums, stride)
// then stores `count` rows of each. sink.straight(row) is not null if sums are themselves the
// outputs, and can be accumulated in their place.

#include <s3/ops/epilogue.hpp>
#include <s3/ops/pixel_order.hpp>
#include <s3/simd/widen.hpp>

namespace s3::detail {

/// Output (n, m) is element (n / plane)·image + (n mod plane)·pixel + (first + m)·channel, where n
/// counts pixels row by row. If kernels number columns differently, `order` says how.
struct output_map {
    std::size_t plane = 1; ///< columns per image
    std::size_t image = 0;
    std::size_t pixel = 0;
    std::size_t channel = 1;
    std::size_t first = 0; ///< the channel of row 0, for groups of a convolution
    const pixel_order* order = nullptr;

    [[nodiscard]] std::size_t index(std::size_t n, std::size_t m) const noexcept {
        if (order != nullptr)
            n = order->by_rows(n);
        return n / plane * image + n % plane * pixel + (first + m) * channel;
    }
    /// Writes index(n + c, 0) to at[c] for `count` columns c.
    void place(std::size_t n, std::size_t count, std::size_t* at) const noexcept {
        for (std::size_t c = 0; c < count;) {
            std::size_t step = pixel, length = 1;
            if (order != nullptr) {
                const auto p = order->at(n + c);
                length = p.straight;
                step *= order->is_edge(p) ? order->out.width : 1;
            } else if (plane == 1) {
                step = image;
                length = count;
            } else {
                length = plane - (n + c) % plane;
            }
            const std::size_t start = index(n + c, 0);
            const std::size_t end = std::min(count, c + length);
            for (std::size_t i = 0; c < end; ++c, ++i)
                at[c] = start + i * step;
        }
    }
};

/// int32 sums → outputs of type Y, as ops/epilogue.hpp defines. Rows count from the first of a
/// group.
template <class Arch, class Y>
struct integer_store {
    Y* y;
    output_map map;
    const epilogue& e;
    std::span<const float> real_scale = {}; ///< a factor for every channel; empty for 1

    void place(std::size_t n, std::size_t count, std::size_t* at) const noexcept {
        map.place(n, count, at);
    }
    void operator()(std::size_t n, std::size_t row, std::size_t count,
                    const std::int32_t* sums) const {
        const std::size_t at = map.index(n, 0);
        (*this)(&at, 1, row, count, sums, 0);
    }
    void operator()(const std::size_t* at, std::size_t columns, std::size_t row, std::size_t count,
                    const std::int32_t* sums, std::size_t stride) const {
        constexpr std::size_t width = simd::width32<Arch>;
        std::size_t i = 0;
        if constexpr (width > 1)
            if (map.channel == 1) {
                i = count / width * width;
                if constexpr (sizeof(Y) > 1)
                    finish_vectors<false>(at, columns, row, i, sums, stride);
                else if (!e.shift.empty())
                    finish_shifted(at, columns, row, i, sums, stride);
                else if (e.residual.data == nullptr)
                    finish_vectors<false>(at, columns, row, i, sums, stride);
                else
                    finish_vectors<true>(at, columns, row, i, sums, stride);
            }
        for (; i < count; ++i)
            for (std::size_t c = 0; c < columns; ++c) {
                const std::size_t index = at[c] + (row + i) * map.channel;
                y[index] =
                    finish<Y>(sums[c * stride + i], map.first + row + i, index, e, real_scale);
            }
    }

    /// If the outputs are the sums themselves (contiguous channels, no epilogue), the place of
    /// `row` of the first column, else null. The outputs of column c lie at[c] elements further on.
    [[nodiscard]] std::int32_t* straight([[maybe_unused]] std::size_t row) const noexcept {
        if constexpr (std::is_same_v<Y, std::int32_t>)
            if (map.channel == 1 && e.bias.empty() && e.activation == nonlinearity::none)
                return y + row;
        return nullptr;
    }

    /// Whether sums may be finished while they are in vector registers, with or without a residual.
    /// A finisher, called as finish(index, vectors), takes V vectors of the rows from `row` on, of
    /// one column. Their accumulation must begin with the numbers that `finisher` writes to
    /// `start`, instead of with `initial`.
    template <bool Residual>
    [[nodiscard]] bool finishes_registers() const noexcept {
        return sizeof(Y) == 1 && map.channel == 1 && e.shift.empty() &&
               Residual == (e.residual.data != nullptr);
    }
    template <std::same_as<Arch>, std::size_t V, bool Residual = false>
    requires(sizeof(Y) == 1) [[nodiscard]] S3_INLINE
        auto finisher(std::size_t row, const std::int32_t* initial,
                      std::int32_t* start) const noexcept {
        channels<V, Residual> finish(*this, row);
        S3_UNROLL_FOR(std::size_t k = 0; k < V; ++k)
            simd::store<Arch>(
                start + k * simd::width32<Arch>,
                ints(simd::load<std::int32_t, Arch>(initial + k * simd::width32<Arch>) +
                     finish.bias[k]));
        finish.biased = false;
        return finish;
    }

private:
    template <std::size_t V, bool Residual>
    struct channels;
    using ints = simd::lanes<std::int32_t, Arch>;
    using reals = simd::lanes<float, Arch>;

    /// Finishes whole vectors of channels that are contiguous in the output.
    template <bool Residual>
    S3_NOINLINE void finish_vectors(const std::size_t* at, std::size_t columns, std::size_t row,
                                    std::size_t count, const std::int32_t* sums,
                                    std::size_t stride) const {
        constexpr std::size_t width = simd::width32<Arch>;
        std::size_t i = 0;
        for (; i + 4 * width <= count; i += 4 * width)
            finish_group<4, Residual>(at, columns, row + i, sums + i, stride);
        for (; i + 2 * width <= count; i += 2 * width)
            finish_group<2, Residual>(at, columns, row + i, sums + i, stride);
        for (; i < count; i += width)
            finish_group<1, Residual>(at, columns, row + i, sums + i, stride);
    }
    template <std::size_t V, bool Residual>
    S3_INLINE void finish_group(const std::size_t* at, std::size_t columns, std::size_t row,
                                const std::int32_t* sums, std::size_t stride) const {
        const channels<V, Residual> finish(*this, row);
        for (std::size_t c = 0; c < columns; ++c) {
            ints v[V];
            S3_UNROLL_FOR(std::size_t k = 0; k < V; ++k)
                v[k] = simd::load<std::int32_t, Arch>(sums + c * stride + k * simd::width32<Arch>);
            finish(at[c] + row, v);
        }
    }

    /// Finishes whole vectors of channels whose sums are shifted, as shift_round defines it. With
    /// half = 2^(shift−1), the bits shifted out plus half − 1 reach 2^shift, and so round up,
    /// exactly if they exceed a half. If the number that is left is odd, one more is added, so that
    /// a half itself rounds up, too.
    S3_NOINLINE void finish_shifted(const std::size_t* at, std::size_t columns, std::size_t row,
                                    std::size_t count, const std::int32_t* sums,
                                    std::size_t stride) const {
        using words = simd::lanes<std::uint32_t, Arch>;
        constexpr std::size_t width = simd::width32<Arch>;
        for (std::size_t i = 0; i < count; i += width) {
            const std::size_t m = map.first + row + i;
            alignas(64) std::uint32_t by[width], below_half[width], lowest[width];
            for (std::size_t l = 0; l < width; ++l) {
                by[l] = channel(e.shift, m + l);
                lowest[l] = by[l] != 0;
                below_half[l] = by[l] != 0 ? (1u << (by[l] - 1)) - 1 : 0;
            }
            const words shift = simd::load<std::uint32_t, Arch>(by);
            const words almost_half = simd::load<std::uint32_t, Arch>(below_half);
            const words one = simd::load<std::uint32_t, Arch>(lowest);
            const ints bias = e.bias.empty() ? integer(0) : values(e.bias, m);
            const residual_sum residual(*this);
            for (std::size_t c = 0; c < columns; ++c) {
                const ints v = simd::load<std::int32_t, Arch>(sums + c * stride + i) + bias;
                const ints whole = v >> simd::as<std::int32_t>(shift);
                const words kept = simd::as<std::uint32_t>(whole);
                const words rest = simd::as<std::uint32_t>(v) - (kept << shift);
                const words more = (rest + almost_half + (kept & one)) >> shift;
                ints q = simd::as<std::int32_t>(words(kept + more));
                q = simd::min(simd::max(q, integer(-integer_epilogue_limit)),
                              integer(integer_epilogue_limit)) +
                    integer(e.zero_point);
                const std::size_t index = at[c] + row + i;
                if (e.residual.data != nullptr)
                    q = q + residual(index);
                q = simd::min(simd::max(q, integer(residual.low)), integer(residual.high));
                simd::store_bytes<Arch>(y + index, q);
            }
        }
    }

    /// The residual's part of an output, and the limits that apply after it.
    struct residual_sum {
        residual_view view;
        std::int32_t zero, low, high;
        float scale;

        explicit S3_INLINE residual_sum(const integer_store& s) noexcept
            : view(s.e.residual), zero(s.e.residual_zero_point), low(s.low()), high(s.high()),
              scale(s.e.residual_scale) {}
        /// The residual's part of the outputs from number `index` on.
        [[nodiscard]] S3_INLINE ints operator()(std::size_t index) const noexcept {
            const auto widened = [&]<class R>(const R* from) {
                return simd::load_widened<std::int32_t, Arch>(from + index);
            };
            const ints r = view.is_signed ? widened(static_cast<const std::int8_t*>(view.data))
                                          : widened(static_cast<const std::uint8_t*>(view.data));
            const reals f = simd::to_float(r - integer(zero)) * real(scale);
            return simd::nearbyint_as_int(
                simd::min(simd::max(f, real(-epilogue_limit)), real(epilogue_limit)));
        }
    };
    struct no_residual {
        explicit no_residual(const integer_store&) noexcept {}
    };

    /// What V vectors of channels need, which is the same for every column. It is all kept here, so
    /// that compilers need not read it again after each store.
    template <std::size_t V, bool Residual>
    struct channels {
        Y* y;
        bool biased, clips, caps = true;
        std::int32_t zero;
        float least = -epilogue_limit, most = epilogue_limit;
        [[no_unique_address]] std::conditional_t<Residual, residual_sum, no_residual> residual;
        ints bias[V];
        reals scale[V];

        S3_INLINE channels(const integer_store& s, std::size_t row) noexcept
            : y(s.y), biased(!s.e.bias.empty()), clips(s.e.activation == relu),
              zero(s.e.zero_point), residual(s) {
            if constexpr (sizeof(Y) == 1) {
                // An upper limit is not needed where storing saturates.
                caps = V == 4 || !simd::store_saturates<Arch, Y> || s.high() < 255;
                // Without a residual, clamping before the rounding gives the same result, since the
                // limits are whole numbers. Numbers beyond int32 become 2^31 as unsigned numbers,
                // which saturates, too.
                if constexpr (!Residual) {
                    least = std::max(static_cast<float>(s.low() - zero), least);
                    most = std::min(static_cast<float>(s.high() - zero), most);
                }
            }
            S3_UNROLL_FOR(std::size_t k = 0; k < V; ++k) {
                const std::size_t m = s.map.first + row + k * simd::width32<Arch>;
                bias[k] = biased ? values(s.e.bias, m) : integer(0);
                scale[k] = s.e.scale.empty() ? real(1) : values(s.e.scale, m);
                if (!s.real_scale.empty())
                    scale[k] = scale[k] * values(s.real_scale, m);
            }
        }

        /// Turns the sums of one column into the outputs from number `index` on, in the stages of
        /// ops/epilogue.hpp.
        S3_INLINE void operator()(std::size_t index, const ints (&sums)[V]) const noexcept {
            constexpr std::size_t width = simd::width32<Arch>;
            Y* const to = y + index;
            [[maybe_unused]] ints q[V];
            S3_UNROLL_FOR(std::size_t k = 0; k < V; ++k) {
                const ints sum = add_bias(sums[k], k);
                if constexpr (std::is_same_v<Y, std::int32_t>)
                    simd::store<Arch>(to + k * width, rectify(sum, integer(0)));
                else if constexpr (std::is_same_v<Y, float>)
                    simd::store<Arch>(to + k * width, rectify(apply_scale(sum, k), real(0)));
                else
                    q[k] = add_residual(add_zero_point(round(clamp(apply_scale(sum, k)))),
                                        index + k * width);
            }
            if constexpr (sizeof(Y) == 1 && V == 4)
                simd::store_bytes<Arch>(to, q);
            else if constexpr (sizeof(Y) == 1)
                S3_UNROLL_FOR(std::size_t k = 0; k < V; ++k)
                    simd::store_bytes<Arch>(to + k * width, q[k]);
        }

    private:
        S3_INLINE ints add_bias(const ints& v, std::size_t k) const noexcept {
            return biased ? ints(v + bias[k]) : v;
        }
        S3_INLINE reals apply_scale(const ints& v, std::size_t k) const noexcept {
            return simd::to_float(v) * scale[k];
        }
        template <class T>
        S3_INLINE T rectify(const T& v, const T& none) const noexcept {
            return clips ? simd::max(v, none) : v;
        }
        S3_INLINE reals clamp(const reals& v) const noexcept {
            const reals above = simd::max(v, real(least));
            return Residual || caps ? simd::min(above, real(most)) : above;
        }
        static S3_INLINE ints round(const reals& v) noexcept { return simd::nearbyint_as_int(v); }
        S3_INLINE ints add_zero_point(const ints& q) const noexcept {
            return Residual || zero != 0 ? ints(q + integer(zero)) : q;
        }
        S3_INLINE ints add_residual(const ints& q,
                                    [[maybe_unused]] std::size_t index) const noexcept {
            if constexpr (Residual) {
                const ints more = simd::max(q + residual(index), integer(residual.low));
                return caps ? simd::min(more, integer(residual.high)) : more;
            } else {
                return q;
            }
        }
    };

    [[nodiscard]] static S3_INLINE auto integer(std::int32_t v) noexcept {
        return simd::broadcast<std::int32_t, Arch>(v);
    }
    [[nodiscard]] static S3_INLINE auto real(float v) noexcept {
        return simd::broadcast<float, Arch>(v);
    }
    template <class T>
    [[nodiscard]] static S3_INLINE auto values(std::span<const T> v, std::size_t m) noexcept {
        return v.size() == 1 ? simd::broadcast<T, Arch>(v[0]) : simd::load<T, Arch>(v.data() + m);
    }
    /// Outputs that are not bytes have no limits of their own.
    using bounded = std::conditional_t<sizeof(Y) == 1, Y, std::int32_t>;
    [[nodiscard]] std::int32_t low() const noexcept {
        const std::int32_t l =
            std::max(e.clamp_low, std::int32_t{std::numeric_limits<bounded>::min()});
        return e.activation == relu ? std::max(l, e.zero_point) : l;
    }
    [[nodiscard]] std::int32_t high() const noexcept {
        return std::min(e.clamp_high, std::int32_t{std::numeric_limits<bounded>::max()});
    }
};

/// Float sums → float outputs, multiplied by the real scale of their channel (1 if it is empty).
template <class Arch>
struct float_store {
    float* y;
    output_map map;
    const float_epilogue& e;
    std::span<const float> real_scale;

    void place(std::size_t n, std::size_t count, std::size_t* at) const noexcept {
        map.place(n, count, at);
    }
    void operator()(const std::size_t* at, std::size_t columns, std::size_t row, std::size_t count,
                    const float* sums, std::size_t stride) const {
        for (std::size_t c = 0; c < columns; ++c)
            finish_column(at[c], row, count, sums + c * stride);
    }
    void operator()(std::size_t n, std::size_t row, std::size_t count, const float* sums) const {
        finish_column(map.index(n, 0), row, count, sums);
    }
    [[nodiscard]] float* straight(std::size_t row) const noexcept {
        const bool plain = real_scale.empty() && e.scale.empty() && e.bias.empty() &&
                           e.activation == nonlinearity::none;
        return map.channel == 1 && plain ? y + row : nullptr;
    }

private:
    void finish_column(std::size_t at, std::size_t row, std::size_t count,
                       const float* sums) const {
        const std::size_t start = at + row * map.channel;
        for (std::size_t i = 0; i < count; ++i) {
            const std::size_t m = map.first + row + i;
            float v = sums[i];
            if (!real_scale.empty())
                v *= real_scale[m];
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

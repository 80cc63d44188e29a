#pragma once
// Depthwise convolution of bytes (one input and one output channel per group), NHWC, without a
// multiplication. A 32-bit lane is a channel. It is shifted by the exponent of its own weight (a
// zero weight shifts everything out) and negated by inverting its bits, which yields one less than
// the negative; a channel's sum therefore starts at its number of negative weights.
//
// Weights: [vector of channels][tap][lane], as two arrays of shifts and of signs.

#include <s3/format/activation.hpp>
#include <s3/format/shift.hpp>
#include <s3/kernel/dot_words_depthwise.hpp>
#include <s3/kernel/parts/pixels.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/pack/pack.hpp>
#include <s3/simd/lane_shift.hpp>
#include <s3/simd/widen.hpp>

#include <array>

namespace s3::kernel {

template <std::integral X, class Arch>
requires simd::has_lane_shift<Arch>
struct depthwise_shift {
    using sum = std::int32_t;
    using word = simd::lanes<std::uint32_t, Arch>;
    static constexpr std::size_t lanes = simd::width32<Arch>;
    static constexpr std::size_t pixels = 4; ///< output pixels that share loaded weights

    struct filter {
        filter_shape shape;
        buffer<std::uint32_t> shift;
        buffer<std::uint32_t> sign; ///< all bits are set in the lane of a negative weight
        buffer<std::uint32_t> initial;

        std::size_t taps() const noexcept { return shape.height * shape.width; }
        std::size_t padded() const noexcept {
            return (shape.out_channels + lanes - 1) / lanes * lanes;
        }
    };

    template <shift_weight_format F>
    static result<filter> prepare(const packed_filter<F>& from, const conv_options&) {
        filter f{from.shape, {}, {}, {}};
        const std::size_t taps = f.taps();
        auto shift = buffer<std::uint32_t>::make(saturating_mul(f.padded(), taps));
        auto sign = buffer<std::uint32_t>::make(saturating_mul(f.padded(), taps));
        auto initial = buffer<std::uint32_t>::make(f.padded());
        if (!shift)
            return shift.error();
        if (!sign)
            return sign.error();
        if (!initial)
            return initial.error();
        for (std::size_t c = 0; c < f.shape.out_channels; ++c)
            for (std::size_t t = 0; t < taps; ++t) {
                const triple w = F::decode(from.matrix.code(c, t));
                const std::size_t at = (c / lanes * taps + t) * lanes + c % lanes;
                const bool negative = w.sparse != 0 && w.sign < 0;
                (*shift)[at] = w.sparse == 0 ? 32 : static_cast<std::uint32_t>(w.shift);
                (*sign)[at] = negative ? ~std::uint32_t{0} : 0;
                (*initial)[c] += negative;
            }
        f.shift = *std::move(shift);
        f.sign = *std::move(sign);
        f.initial = *std::move(initial);
        return f;
    }

    /// Work is counted in output pixels.
    static std::size_t units(std::size_t batch, const extent& out) noexcept {
        return batch * out.height * out.width;
    }
    static std::size_t scratch_bytes(const filter& f) noexcept {
        return pixels * (f.taps() * sizeof(X*) + f.padded() * sizeof(std::int32_t)) + f.padded();
    }

    /// Computes output pixels [begin, end) of x (NHWC) and hands them to `sink` (ops/store.hpp).
    /// `scratch` has scratch_bytes(f) bytes, aligned to 64.
    template <class Sink>
    static void run(const filter& f, const image_view<const X>& x, const extent& out,
                    const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                    std::byte* scratch) {
        const std::size_t taps = f.taps(), padded = f.padded();
        auto* sums = reinterpret_cast<std::int32_t*>(scratch);
        auto** at = reinterpret_cast<const X**>(sums + pixels * padded);
        auto* outside = reinterpret_cast<X*>(at + pixels * taps);
        std::fill_n(outside, padded, static_cast<X>(o.padding_value));
        for (std::size_t n = begin; n < end; n += pixels) {
            const std::size_t count = std::min(pixels, end - n);
            for (std::size_t p = 0; p < pixels; ++p) {
                // Pixels beyond the last one repeat it; their sums are not stored.
                const auto window =
                    s3::detail::pixel_window::of(n + std::min(p, count - 1), out, o);
                const X** to = at + p;
                for (std::size_t kh = 0; kh < f.shape.height; ++kh)
                    for (std::size_t kw = 0; kw < f.shape.width; ++kw, to += pixels) {
                        const std::size_t h = window.row(kh, o), v = window.column(kw, o);
                        *to = h < x.height && v < x.width
                                  ? x.data.data() + x.index(window.image, h, v, 0)
                                  : outside;
                    }
            }
            for (std::size_t c = 0; c < x.channels; c += lanes) {
                if (x.channels - c >= lanes)
                    accumulate(f, at, c, sums + c, [](const X* from) { return from; });
                else
                    accumulate(f, at, c, sums + c,
                               [part = std::array<X, lanes>{},
                                some = x.channels - c](const X* from) mutable {
                                   std::copy_n(from, some, part.data());
                                   return static_cast<const X*>(part.data());
                               });
            }
            store_columns(sink, n, count, 0, x.channels, sums, padded);
        }
    }

private:
    /// Computes one vector of channels, from channel c on, for all pixels. whole(p) points
    /// to a whole readable vector even if fewer channels are left at p.
    template <class Whole>
    static S3_INLINE void accumulate(const filter& f, const X* const* at, std::size_t c,
                                     std::int32_t* sums, Whole&& whole) {
        word total[pixels];
        S3_UNROLL_FOR(std::size_t p = 0; p < pixels; ++p)
            total[p] = simd::load<std::uint32_t, Arch>(f.initial.data() + c);
        const std::uint32_t* shift = f.shift.data() + c * f.taps();
        const std::uint32_t* sign = f.sign.data() + c * f.taps();
        for (std::size_t t = 0; t < f.taps(); ++t, at += pixels, shift += lanes, sign += lanes) {
            const auto s = simd::load<std::uint32_t, Arch>(shift);
            const auto g = simd::load<std::uint32_t, Arch>(sign);
            S3_UNROLL_FOR(std::size_t p = 0; p < pixels; ++p)
                total[p] =
                    total[p] + (simd::lane_shift<Arch>(
                                    simd::as<std::uint32_t>(
                                        simd::load_widened<std::int32_t, Arch>(whole(at[p] + c))),
                                    s) ^
                                g);
        }
        S3_UNROLL_FOR(std::size_t p = 0; p < pixels; ++p)
            simd::store<Arch>(sums + p * f.padded(), simd::as<std::int32_t>(total[p]));
    }
};

/// Uses vectors where each lane can be shifted by its own count, else plain loops.
template <weight_format F, activation X, architecture Arch>
struct shift_add_words_depthwise {
    static constexpr const char* name = "shift_add_words_depthwise";
    static constexpr s3::family family = s3::family::shift_add;
    static constexpr connection kind = connection::depthwise;
    static constexpr bool exists = F::is_shift && std::integral<X>;
    static constexpr rank_range ranks{200, 200};
    static constexpr int rank(const convolution_request& r) noexcept {
        return r.kind() == kind ? ranks.most : 0;
    }
    static auto loop() {
        if constexpr (simd::has_lane_shift<Arch>)
            return std::type_identity<depthwise_shift<X, Arch>>{};
        else
            return std::type_identity<depthwise<X, true>>{};
    }
};

} // namespace s3::kernel

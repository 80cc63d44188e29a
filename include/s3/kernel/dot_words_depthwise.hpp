#pragma once
// Depthwise convolution (one input and one output channel per group), NHWC, for every machine. The
// inner loop runs over channels, so no gather is needed. Weights are unpacked once to 32-bit words,
// [tap][channel], since there are only height·width per channel. The loops are plain and have a
// constant trip count, so that compilers vectorise them.

#include <s3/format/activation.hpp>
#include <s3/format/shift.hpp>
#include <s3/kernel/seams.hpp>
#include <s3/pack/pack.hpp>

#include <cstdint>

namespace s3::kernel {

/// With `Shift`, weights are applied by shifts and signs instead of multiplications.
template <std::integral X, bool Shift>
struct depthwise {
    using sum = std::int32_t;

    struct filter {
        filter_shape shape;
        buffer<sum> value;          ///< the weight, or with Shift its sign (0 for a zero weight)
        buffer<std::int32_t> shift; ///< the weight's shift; empty without Shift
    };

    template <weight_format F>
    requires(!Shift || F::is_shift) static result<filter> prepare(const packed_filter<F>& from,
                                                                  const conv_options&) {
        const auto& m = from.matrix;
        auto value = buffer<sum>::make(m.size());
        auto shift = buffer<std::int32_t>::make(Shift ? m.size() : 0);
        if (!value)
            return value.error();
        if (!shift)
            return shift.error();
        for (std::size_t c = 0; c < m.rows(); ++c)
            for (std::size_t t = 0; t < m.columns(); ++t) {
                const std::size_t at = t * m.rows() + c;
                if constexpr (Shift) {
                    const triple w = F::decode(m.code(c, t));
                    (*value)[at] = static_cast<sum>(w.sign * w.sparse);
                    (*shift)[at] = w.shift;
                } else {
                    (*value)[at] = static_cast<sum>(m.value(c, t));
                }
            }
        return filter{from.shape, *std::move(value), *std::move(shift)};
    }

    /// Work is counted in output pixels.
    static std::size_t units(std::size_t batch, const extent& out) noexcept {
        return batch * out.height * out.width;
    }
    static constexpr std::size_t scratch_bytes(const filter&) noexcept { return 0; }

    /// Computes output pixels [begin, end) of x (NHWC) and hands them to `sink` (ops/store.hpp).
    template <class Sink>
    static void run(const filter& w, const image_view<const X>& x, const extent& out,
                    const conv_options& o, std::size_t begin, std::size_t end, const Sink& sink,
                    std::byte*) {
        for (std::size_t n = begin; n < end; ++n) {
            const auto window = s3::detail::pixel_window::of(n, out, o);
            for (std::size_t c = 0; c < x.channels; c += chunk) {
                const std::size_t count = std::min(chunk, x.channels - c);
                sum sums[chunk] = {};
                for (std::size_t kh = 0, at = c; kh < w.shape.height; ++kh)
                    for (std::size_t kw = 0; kw < w.shape.width; ++kw, at += x.channels) {
                        const std::size_t h = window.row(kh, o), v = window.column(kw, o);
                        const bool inside = h < x.height && v < x.width;
                        tap(w, at,
                            inside ? x.data.data() + x.index(window.image, h, v, c) : nullptr,
                            static_cast<X>(o.padding_value), count, sums);
                    }
                sink(n, c, count, sums);
            }
        }
    }

private:
    static constexpr std::size_t chunk = 64;

    /// Adds the products of one tap to the sums of `count` channels: the weights from number `at`
    /// on times x, or times `padding` where x is null.
    static S3_INLINE void tap(const filter& w, std::size_t at, const X* x, X padding,
                              std::size_t count, sum* sums) noexcept {
        const sum* value = w.value.data() + at;
        const std::int32_t* shift = Shift ? w.shift.data() + at : nullptr;
        if (x == nullptr) {
            for (std::size_t i = 0; padding != X{0} && i < count; ++i)
                add(sums[i], padding, value[i], Shift ? shift[i] : 0);
        } else if (count == chunk) {
            for (std::size_t i = 0; i < chunk; ++i)
                add(sums[i], x[i], value[i], Shift ? shift[i] : 0);
        } else {
            for (std::size_t i = 0; i < count; ++i)
                add(sums[i], x[i], value[i], Shift ? shift[i] : 0);
        }
    }
    static S3_INLINE void add(sum& to, X x, sum value, std::int32_t shift) noexcept {
        // Modulo 2^32: sums may leave int32 if activations have more bits than were promised.
        std::uint32_t more;
        if constexpr (!Shift) {
            more = static_cast<std::uint32_t>(x) * static_cast<std::uint32_t>(value);
        } else {
            const auto v = static_cast<std::uint32_t>(x) << shift;
            more = value == 0 ? 0 : value > 0 ? v : 0 - v;
        }
        to = static_cast<sum>(static_cast<std::uint32_t>(to) + more);
    }
};

template <weight_format F, activation X, architecture Arch>
struct dot_words_depthwise {
    static constexpr const char* name = "dot_words_depthwise";
    static constexpr s3::family family = s3::family::dot;
    static constexpr connection kind = connection::depthwise;
    static constexpr bool exists = std::integral<X>;
    static constexpr rank_range ranks{300, 300};
    static constexpr int rank(const convolution_request& r) noexcept {
        return r.kind() == kind ? ranks.most : 0;
    }
    static auto loop() { return std::type_identity<depthwise<X, false>>{}; }
};

} // namespace s3::kernel

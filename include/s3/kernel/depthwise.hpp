#pragma once
// Depthwise convolution (one input and one output channel per group), NHWC: channels are the inner
// loop, so that no gather is needed. Weights are unpacked once to 32-bit words, [tap][channel]:
// there are only height·width of them per channel. The loops are plain; their trip count is a
// constant, so that compilers turn them into vectors.

#include <s3/pack/pack.hpp>

#include <cstdint>

namespace s3::kernel {

/// Sums in Sum (int32 or float) of activations X; `Shift`: by shifting, not by multiplying.
template <weight_format F, activation X, bool Shift>
struct depthwise {
    using sum = std::conditional_t<std::is_same_v<X, float>, float, std::int32_t>;
    static constexpr std::size_t chunk = 64;

    /// A weight as a kernel wants it: its value, or its exponent and its sign.
    struct taps {
        buffer<sum> value;          ///< dot: the weight; shift_add: 1, −1 or 0
        buffer<std::int32_t> shift; ///< shift_add alone
    };

    [[nodiscard]] static result<taps> prepare(const packed_filter<F>& filter) {
        const auto& m = filter.matrix;
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
        return taps{*std::move(value), *std::move(shift)};
    }

    /// acc[0 … chunk) += x · weights of one tap. Reads `chunk` elements of each.
    static void accumulate(sum* S3_RESTRICT acc, const X* S3_RESTRICT x,
                           const sum* S3_RESTRICT value, const std::int32_t* S3_RESTRICT shift) {
        for (std::size_t i = 0; i < chunk; ++i)
            add(acc[i], x[i], value[i], Shift ? shift[i] : 0);
    }
    /// The same for a remainder of channels.
    static void accumulate(sum* acc, const X* x, const sum* value, const std::int32_t* shift,
                           std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            add(acc[i], x[i], value[i], Shift ? shift[i] : 0);
    }
    /// The same outside the image, where every activation is `padding`.
    static void pad(sum* acc, int padding, const sum* value, const std::int32_t* shift,
                    std::size_t count) {
        for (std::size_t i = 0; i < count; ++i)
            add(acc[i], static_cast<X>(padding), value[i], Shift ? shift[i] : 0);
    }

private:
    static S3_INLINE void add(sum& acc, X x, sum value, std::int32_t shift) noexcept {
        if constexpr (!Shift) {
            acc += static_cast<sum>(x) * value;
        } else {
            sum v = static_cast<sum>(x);
            if constexpr (std::is_same_v<sum, float>)
                for (int s = 1; s < F::exponents; ++s)
                    v = s <= shift ? v + v : v;
            else
                v = static_cast<sum>(static_cast<std::uint32_t>(v) << shift);
            acc += value == 0 ? sum{0} : value > 0 ? v : -v;
        }
    }
};

} // namespace s3::kernel

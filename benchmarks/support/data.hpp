#pragma once
// Operands: random weights and activations, and rings of copies that are larger than any cache, so
// that every call finds its weights out of it.

#include "memory.hpp"

#include <s3/ops/conv2d.hpp>

#include <vector>

namespace s3::bench {

inline void succeed(const status& s) {
    if (!s)
        fail(s.error().message().c_str());
}
template <class T>
[[nodiscard]] T require(result<T>&& r) {
    if (!r)
        fail(r.error().message().c_str());
    return *std::move(r);
}

/// xorshift64
class random_bits {
public:
    [[nodiscard]] std::uint64_t operator()() noexcept {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

private:
    std::uint64_t state_ = 88172645463325252u;
};

/// Where a call finds its weights.
enum class cache { warm, cold };

/// Copies of `bytes` that together are larger than any cache.
[[nodiscard]] inline std::size_t copies(cache c, std::size_t bytes) {
    return c == cache::warm ? 1 : (std::size_t{520} << 20) / bytes + 1;
}

/// Random activations: all values of their type, or of `bits` bits; floats in [−1, 1).
template <activation X>
[[nodiscard]] memory random_activations(std::size_t count, int bits = 8) {
    memory m(count * sizeof(X));
    random_bits next;
    for (X& x : m.as<X>()) {
        const auto r = next();
        if constexpr (std::is_same_v<X, float>)
            x = static_cast<float>(static_cast<std::int32_t>(r >> 32)) * 0x1p-31f;
        else
            x = static_cast<X>((r >> 32 & 0xff) >> (8 - bits));
    }
    return m;
}

/// Random weights, each code as likely as any.
template <weight_format F>
[[nodiscard]] packed_matrix<F> random_weights(std::size_t rows, std::size_t columns) {
    std::vector<std::uint8_t> stream(layout::stream_bytes(rows * columns, F::bits));
    random_bits next;
    for (std::size_t i = 0; i < rows * columns; ++i) {
        unsigned code;
        do
            code = static_cast<unsigned>(next() >> 40) & (F::codes - 1);
        while (!F::valid(code));
        layout::put<F::bits>(stream.data(), i, code);
    }
    return require(packed_matrix<F>::from_stream(rows, columns, stream));
}

} // namespace s3::bench

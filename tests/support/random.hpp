#pragma once
// Seeded numbers that are the same on every machine and compiler, as those of <random>'s
// distributions are not (splitmix64: Steele, Lea, Flood, OOPSLA 2014).

#include <s3/core/bit_cast.hpp>

#include <cstddef>
#include <cstdint>
#include <vector>

namespace s3::test {

class random {
public:
    explicit constexpr random(std::uint64_t seed) noexcept : state_(seed) {}

    constexpr std::uint64_t operator()() noexcept {
        std::uint64_t z = state_ += 0x9e3779b97f4a7c15u;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
        return z ^ (z >> 31);
    }
    /// From 0 to n − 1; n < 2^32.
    constexpr std::size_t below(std::size_t n) noexcept {
        return static_cast<std::size_t>(((*this)() >> 32) * n >> 32);
    }
    /// From low to high, both included.
    constexpr int between(int low, int high) noexcept {
        return low + static_cast<int>(below(static_cast<std::size_t>(high - low) + 1));
    }
    /// In [−1, 1), a multiple of 2^−23.
    constexpr float real() noexcept {
        return static_cast<float>(between(-(1 << 23), (1 << 23) - 1)) / 8388608.0f;
    }

private:
    std::uint64_t state_;
};

/// FNV-1a over bytes in a fixed order.
class digest {
public:
    template <class T>
    constexpr void add(T value) noexcept {
        if constexpr (sizeof(T) == 4)
            add_bytes(s3::bit_cast<std::uint32_t>(value), 4);
        else
            add_bytes(static_cast<std::uint64_t>(value), sizeof(T));
    }
    template <class T>
    constexpr void add(const std::vector<T>& values) noexcept {
        for (const T& v : values)
            add(v);
    }
    [[nodiscard]] constexpr std::uint64_t value() const noexcept { return hash_; }

private:
    constexpr void add_bytes(std::uint64_t v, std::size_t bytes) noexcept {
        for (std::size_t i = 0; i < bytes; ++i, v >>= 8)
            hash_ = (hash_ ^ (v & 255)) * 0x100000001b3u;
    }
    std::uint64_t hash_ = 0xcbf29ce484222325u;
};

} // namespace s3::test

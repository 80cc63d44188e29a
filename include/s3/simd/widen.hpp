#pragma once
// Conversion between narrow integers in memory and wider lanes:
//
//   load_widened           bytes in memory → int16 or int32 lanes; int16 → int32 lanes
//   widen_low, widen_high  the first or the second half of int16 lanes → int32 lanes
//   store_widened          int16 lanes → int32 in memory
//   store_bytes            int32 lanes → bytes in memory
//
// Each takes one instruction per vector where the machine has it; else it works lane by lane.

#include <s3/simd/lanes.hpp>

namespace s3::simd {

/// Loads as many elements as a vector has lanes of type `To`, and widens them to it.
template <class To, class Arch, class From>
S3_INLINE lanes<To, Arch> load_widened(const From* p) noexcept {
    if constexpr (std::is_same_v<To, From>)
        return load<To, Arch>(p);
    else if constexpr (requires { Arch::template load_widened<To>(p); })
        return Arch::template load_widened<To>(p);
    else
        return detail::each_lane<To, Arch>([p](std::size_t i) { return p[i]; });
}

template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> widen_low(const lanes<std::int16_t, Arch>& v) noexcept {
    if constexpr (requires { Arch::widen_low(v); }) {
        return Arch::widen_low(v);
    } else {
        const detail::lane_array<std::int16_t, Arch> narrow(v);
        return detail::each_lane<std::int32_t, Arch>([&](std::size_t i) { return narrow[i]; });
    }
}
template <class Arch>
S3_INLINE lanes<std::int32_t, Arch> widen_high(const lanes<std::int16_t, Arch>& v) noexcept {
    if constexpr (requires { Arch::widen_high(v); }) {
        return Arch::widen_high(v);
    } else {
        const detail::lane_array<std::int16_t, Arch> narrow(v);
        return detail::each_lane<std::int32_t, Arch>(
            [&](std::size_t i) { return narrow[width32<Arch> + i]; });
    }
}

/// Stores all lanes, widened to `To` where that is not their own type.
template <class Arch, class From, class To>
S3_INLINE void store_widened(To* p, const lanes<From, Arch>& v) noexcept {
    if constexpr (std::is_same_v<To, From>) {
        store<Arch>(p, v);
    } else if constexpr (sizeof(From) == 2 && requires { Arch::widen_low(v); }) {
        store<Arch>(p, widen_low<Arch>(v));
        store<Arch>(p + width32<Arch>, widen_high<Arch>(v));
    } else {
        const detail::lane_array<From, Arch> narrow(v);
        for (std::size_t i = 0; i < narrow.width; ++i)
            p[i] = static_cast<To>(narrow[i]);
    }
}

/// Whether `store_bytes` of a single vector saturates: it then takes lanes as unsigned numbers, and
/// those beyond T become T's largest value.
template <class Arch, class T>
inline constexpr bool store_saturates = [] {
    if constexpr (requires { Arch::template store_saturates<T>; })
        return Arch::template store_saturates<T>;
    else
        return false;
}();

/// Stores int32 lanes as bytes. Precondition: all lanes are values of T, unless they saturate.
template <class Arch, class T>
requires(sizeof(T) == 1) S3_INLINE
    void store_bytes(T* to, const lanes<std::int32_t, Arch>& v) noexcept {
    if constexpr (requires { Arch::store_bytes(to, v); }) {
        Arch::store_bytes(to, v);
    } else {
        const detail::lane_array<std::int32_t, Arch> wide(v);
        for (std::size_t i = 0; i < wide.width; ++i)
            to[i] = static_cast<T>(wide[i]);
    }
}

/// Does the same with four vectors, whose bytes are stored one vector after the other.
template <class Arch, class T>
requires(sizeof(T) == 1) S3_INLINE
    void store_bytes(T* to, const lanes<std::int32_t, Arch> (&v)[4]) noexcept {
    if constexpr (requires { Arch::store_bytes(to, v[0], v[1], v[2], v[3]); })
        Arch::store_bytes(to, v[0], v[1], v[2], v[3]);
    else
        for (std::size_t i = 0; i < 4; ++i)
            store_bytes<Arch>(to + i * width32<Arch>, v[i]);
}

} // namespace s3::simd

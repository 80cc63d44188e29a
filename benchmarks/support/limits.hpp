#pragma once
// What the machine can do at most: multiply-accumulates from registers, and sequential reads. Each
// limit is a short loop that is timed in the same rounds as the kernels. The same loop tells
// whether the core is shared: whatever runs on a sibling takes half of its ports.

#include <s3/simd/tiles.hpp>

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace s3::bench {

/// `run` makes `macs` multiply-accumulates from registers, in about 10 µs.
struct peak {
    const char* name;
    double macs;
    void (*run)();
};

namespace detail {

#if defined(__x86_64__)
#define S3_BENCH_REGISTER "+v"
#elif defined(__aarch64__)
#define S3_BENCH_REGISTER "+w"
#else
#define S3_BENCH_REGISTER "+m"
#endif

inline constexpr int chains = 12, rounds = 4096;

/// Independent chains, enough to hide the latency of two instructions per cycle.
template <class Vector, class Step>
S3_NOINLINE void spin(Step step) {
    Vector v[chains] = {};
    for (int i = 0; i < rounds; ++i)
        S3_UNROLL_FOR(int c = 0; c < chains; ++c) {
            v[c] = step(v[c]);
            asm volatile("" : S3_BENCH_REGISTER(v[c]));
        }
}

template <class Element, int Bytes>
using vector __attribute__((vector_size(Bytes))) = Element;

/// What the compiler makes of a·b + c.
template <class Element, int Bytes>
void spin_plain() {
    using V = vector<Element, Bytes>;
    V factor = V{} + Element{1};
    asm volatile("" : S3_BENCH_REGISTER(factor));
    spin<V>([factor](V v) { return v * factor + factor; });
}

constexpr double macs(int per_instruction) {
    return double{rounds} * chains * per_instruction;
}

} // namespace detail

/// The fastest multiply-accumulate on bytes.
template <class Arch = arch::native>
[[nodiscard]] peak integer_peak() {
    constexpr int bytes = Arch::vector_bytes;
#if defined(__AVX512VNNI__)
    if constexpr (bytes == 64)
        return {"vpdpbusd peak", detail::macs(64), [] {
                    const __m512i ones = _mm512_set1_epi8(1);
                    detail::spin<__m512i>(
                        [ones](__m512i v) { return _mm512_dpbusd_epi32(v, ones, ones); });
                }};
#endif
#if defined(__AVX512BW__)
    if constexpr (bytes == 64)
        return {"vpmaddubsw peak", detail::macs(64), [] {
                    const __m512i ones = _mm512_set1_epi8(1);
                    detail::spin<__m512i>(
                        [ones](__m512i v) { return _mm512_maddubs_epi16(v, ones); });
                }};
#endif
#if defined(__AVXVNNI__)
    if constexpr (bytes == 32)
        return {"vpdpbusd peak", detail::macs(32), [] {
                    const __m256i ones = _mm256_set1_epi8(1);
                    detail::spin<__m256i>(
                        [ones](__m256i v) { return _mm256_dpbusd_avx_epi32(v, ones, ones); });
                }};
#endif
#if defined(__AVX2__)
    if constexpr (bytes == 32)
        return {"vpmaddubsw peak", detail::macs(32), [] {
                    const __m256i ones = _mm256_set1_epi8(1);
                    detail::spin<__m256i>(
                        [ones](__m256i v) { return _mm256_maddubs_epi16(v, ones); });
                }};
#endif
#if defined(__SSSE3__)
    if constexpr (bytes == 16)
        return {"pmaddubsw peak", detail::macs(16), [] {
                    const __m128i ones = _mm_set1_epi8(1);
                    detail::spin<__m128i>([ones](__m128i v) { return _mm_maddubs_epi16(v, ones); });
                }};
#endif
    return {"int32 multiply-add peak", detail::macs(bytes / 4),
            detail::spin_plain<std::int32_t, bytes>};
}

/// The fastest multiply-accumulate on float.
template <class Arch = arch::native>
[[nodiscard]] peak float_peak() {
    constexpr int bytes = Arch::vector_bytes;
    return {"fp32 FMA peak", detail::macs(bytes / 4), detail::spin_plain<float, bytes>};
}

/// Products of tiles on a matrix unit; without a name where this build or process has none.
template <class Arch = arch::native>
[[nodiscard]] peak tile_peak() {
    if constexpr (simd::has_tiles<Arch>)
        if (simd::tiles_permitted<Arch>()) {
            constexpr int times = 512;
            return {"tdpbusd peak", 4.0 * times * 16 * 16 * 64, [] {
                        simd::tiles<Arch> unit({16, 16, 16, 16, 16, 16, 16, 16});
                        for (int i = 0; i < times; ++i) {
                            unit.template dot<0, 4, 6>();
                            unit.template dot<1, 4, 7>();
                            unit.template dot<2, 5, 6>();
                            unit.template dot<3, 5, 7>();
                        }
                    }};
        }
    return {"", 0, nullptr};
}

/// Reads `bytes` (a multiple of 512) once, in order.
inline void stream_read(const std::byte* p, std::size_t bytes) {
    using V = detail::vector < std::uint64_t,
          arch::native::vector_bytes<16 ? 16 : arch::native::vector_bytes>;
    constexpr std::size_t ahead = 8192, step = 8 * sizeof(V);
    V sum[8] = {};
    for (const std::byte* end = p + bytes / step * step; p < end; p += step) {
        S3_UNROLL_FOR(std::size_t line = 0; line < step; line += 64)
            __builtin_prefetch(p + ahead + line);
        S3_UNROLL_FOR(std::size_t i = 0; i < 8; ++i)
            sum[i] += *reinterpret_cast<const V*>(p + i * sizeof(V));
    }
    S3_UNROLL_FOR(auto& s : sum)
        asm volatile("" : S3_BENCH_REGISTER(s));
}

} // namespace s3::bench

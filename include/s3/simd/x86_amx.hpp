#pragma once
// AMX for bytes (amx-tile, amx-int8): a unit of its own multiplies tiles of 16 rows of 64 bytes,
// beside all that AVX-512 does. A process needs permission to use it (simd/tile_permission.hpp).

#include <s3/simd/x86_avx512_vbmi.hpp>

// The memory sanitizer does not see what tiles are stored to.
#if defined(__has_feature)
#define S3_SEES_TILES !__has_feature(memory_sanitizer)
#else
#define S3_SEES_TILES 1
#endif

#if S3_SEES_TILES && defined(__AMX_INT8__) && defined(__AMX_TILE__) && defined(__AVX512VBMI__) &&  \
    defined(__AVX512VNNI__) && defined(__AVX512BW__) && defined(__AVX512VL__) &&                   \
    defined(__AVX512DQ__) && defined(__x86_64__) && defined(__linux__)

namespace s3::arch {

struct amx : avx512_vbmi {
    static constexpr const char* name = "amx";
    static constexpr bool has_tiles = true;
    // Processors with this set have one unit for permutations, which dot products beat.
    static constexpr bool fast_permute16 = false;
    static constexpr bool streams_to_second_level = true;

    /// The instructions, as macros of compilers want literal numbers of tiles.
    struct tile_registers {
        /// Tiles of 64 bytes a row, with `rows[t]` rows.
        struct alignas(64) configuration {
            std::uint8_t palette = 1, start_row = 0, reserved[14] = {};
            std::uint16_t bytes[16] = {};
            std::uint8_t rows[16] = {};
        };
        static S3_INLINE void configure(const std::uint8_t (&rows)[8]) noexcept {
            configuration c;
            for (int t = 0; t < 8; ++t) {
                c.bytes[t] = 64;
                c.rows[t] = rows[t];
            }
            asm volatile("ldtilecfg %0" : : "m"(c));
        }
        static S3_INLINE void release() noexcept { asm volatile("tilerelease"); }
        template <int T>
        static S3_INLINE void load(const void* from, std::size_t stride) noexcept {
            asm volatile("tileloadd (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(from), "r"(stride), "i"(T)
                         : "memory");
        }
        template <int T>
        static S3_INLINE void load_past(const void* from, std::size_t stride) noexcept {
            asm volatile("tileloaddt1 (%0,%1,1), %%tmm%c2"
                         :
                         : "r"(from), "r"(stride), "i"(T)
                         : "memory");
        }
        template <int T>
        static S3_INLINE void store(void* to, std::size_t stride) noexcept {
            asm volatile("tilestored %%tmm%c2, (%0,%1,1)"
                         :
                         : "r"(to), "r"(stride), "i"(T)
                         : "memory");
        }
        template <int C, int A, int B>
        static S3_INLINE void dot() noexcept {
            asm volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
        }
        template <int C, int A, int B>
        static S3_INLINE void signed_dot() noexcept {
            asm volatile("tdpbssd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
        }
    };
};

} // namespace s3::arch

#endif

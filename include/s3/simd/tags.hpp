#pragma once
// Architecture tags: the types by which kernels are chosen at compile time. A tag states the facts
// of an instruction set and has static functions on raw registers for what the set does better than
// the generic primitives of this folder. It derives from the tag of the set that it includes, and
// so inherits what that one does. The sets of the table are declared here; each is defined in a
// file of its own where the compiler's flags allow its instructions.
//
// Vectors have a fixed length: `vector_bytes` is a compile-time constant from which the layouts of
// prepared weights follow. A scalable set (SVE, RVV) is a tag for one length of its vectors.

#include <s3/simd/compat.hpp>
#include <s3/simd/isa_table.hpp>
#include <s3/simd/registers.hpp>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace s3::arch {

#define S3_SET(name, ...) struct name;
S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET

struct scalar;
struct portable;

/// The facts that hold if nothing more is known of a machine. Tags restate those that differ.
struct generic {
    /// The tag with vectors of half the size, or `scalar` if there is none.
    using half = scalar;
    static constexpr std::size_t registers = simd::addressable_registers;
    /// Whether byte products and byte look-ups (simd/bytes.hpp) take only a few instructions.
    static constexpr bool has_bytes = false;
    /// Whether `quad_dot` is one instruction, so that sums kept in 16 bits would save nothing.
    static constexpr bool has_quad_dot = false;
    /// Whether `matrix_dot` is one instruction, which does the work of two `quad_dot`.
    static constexpr bool has_matrix_dot = false;
    /// Whether each 32-bit lane can be shifted by a count of its own in one instruction.
    static constexpr bool has_lane_shift = false;
    /// Entries of the largest table of floats, held in one register, that one instruction can
    /// index; 0 if there is no such instruction.
    static constexpr std::size_t float_table = 0;
    /// Whether 16-bit lanes can be permuted by a vector of indices (simd/permute.hpp).
    static constexpr bool has_permute16 = false;
    /// Whether such a permutation is so cheap that looking sums up can beat byte dot products.
    static constexpr bool fast_permute16 = false;
    /// Whether weights that are used once arrive fastest if they are prefetched into the
    /// second-level cache alone, far ahead (else into the first level, less far).
    static constexpr bool streams_to_second_level = false;
    /// Whether there is a unit that multiplies tiles of bytes (simd/tiles.hpp).
    static constexpr bool has_tiles = false;
};

/// No vectors: `lanes<T, scalar>` is T itself, and kernels compute one row at a time.
struct scalar : generic {
    static constexpr const char* name = "scalar";
    static constexpr std::size_t vector_bytes = 4;
};

#if S3_HAS_SIMD
/// What xsimd alone offers, with the widest vectors that the compiler's flags allow.
struct portable : generic {
    using simd = xsimd::default_arch;
    static constexpr const char* name = "portable";
    static constexpr std::size_t vector_bytes =
        sizeof(typename xsimd::batch<int, simd>::register_type);
};
#endif

#if XSIMD_WITH_SSE2 || XSIMD_WITH_NEON64
/// What xsimd alone offers, with the vectors of 16 bytes that every processor of the family has.
struct portable16 : generic {
#if XSIMD_WITH_SSE2
    using simd = xsimd::sse2;
#else
    using simd = xsimd::neon64;
#endif
    static constexpr const char* name = "portable16";
    static constexpr std::size_t vector_bytes = 16;
};
using smallest = portable16;
#else
using smallest = scalar;
#endif

} // namespace s3::arch

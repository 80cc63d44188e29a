#pragma once
// The table of instruction sets. Everything that enumerates them is generated from it: the tags of
// s3::arch (simd/arch.hpp), the enumeration s3::isa and its detection at run time (simd/isa.hpp),
// the CMake function s3_add_dispatch and the setting S3_ARCH (packaging/cmake/s3Dispatch.cmake
// reads this file), the architectures that tests cover, and the test matrix.
//
//   SET(name, family, includes, "compiler flags", detection)
//
//   name       the name of the tag, of the enumerator and in CMake
//   family     the family of processors: x86 or arm
//   includes   the set whose instructions this one has as well: an earlier row, or `baseline`,
//              which every processor of the family runs
//   flags      the compiler's flags beyond those of the included set; "" if it needs no more
//   detection  a condition on the processor, beyond that of the included set: S3_CPU("feature") for
//              features that the compiler has a name for, S3_CPUID(leaf, subleaf, register, bit)
//              for those that older compilers do not name, S3_HWCAP(bit) and S3_HWCAP2(bit) for Arm
//              Linux
//
// `includes` makes a tree, so the order is partial. Where a processor has two sets of which neither
// includes the other, the later row is preferred. To add a set, add a row here, a file of its own
// in this folder, and the line in simd/arch.hpp that includes that file.

// clang-format off
#define S3_INSTRUCTION_SETS(SET)                                                                   \
    SET(sse41, x86, baseline, "-msse4.1", S3_CPU("sse4.1"))                                        \
    SET(avx2, x86, sse41, "-mavx2 -mfma -mbmi -mbmi2",                                             \
        S3_CPU("avx2") && S3_CPU("fma") && S3_CPU("bmi") && S3_CPU("bmi2"))                        \
    SET(avx_vnni, x86, avx2, "-mavxvnni", S3_CPUID(7, 1, eax, 4))                                  \
    SET(avx512, x86, avx2, "-mavx512f -mavx512bw -mavx512cd -mavx512dq -mavx512vl",                \
        S3_CPU("avx512f") && S3_CPU("avx512bw") && S3_CPU("avx512cd") && S3_CPU("avx512dq") &&     \
            S3_CPU("avx512vl"))                                                                    \
    SET(avx512_vnni, x86, avx512, "-mavx512vnni", S3_CPU("avx512vnni"))                            \
    SET(avx512_vbmi, x86, avx512_vnni, "-mavx512vbmi", S3_CPU("avx512vbmi"))                       \
    SET(amx, x86, avx512_vbmi, "-mamx-tile -mamx-int8",                                            \
        S3_CPUID(7, 0, edx, 24) && S3_CPUID(7, 0, edx, 25))                                        \
    SET(neon, arm, baseline, "", S3_HWCAP(1))                                                      \
    SET(neon_dot, arm, neon, "-march=armv8.2-a+dotprod", S3_HWCAP(20))                             \
    SET(neon_i8mm, arm, neon_dot, "-march=armv8.2-a+dotprod+i8mm", S3_HWCAP2(13))
// clang-format on

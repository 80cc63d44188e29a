#pragma once
// Instruction sets known at run time, for one binary that must run on any machine. A source is
// compiled once per set, by the CMake function s3_add_dispatch, and the program picks one:
//
//   template <s3::isa> int work(int);                                     // in a header
//   template <> int work<s3::compiled_isa>(int x) { … }                   // in the source
//   s3::dispatch::with(s3::dispatch::best(), [](auto isa) { return work<isa>(1); });
//
// What is passed between the two must have the same layout for every set: the library's types but
// for those with an architecture among their template arguments (prepared weights stay inside).
// Nothing here includes xsimd or depends on the compiler's flags.

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace s3 {

/// Poorest first. `baseline` is what every processor of the family can run.
enum class isa : unsigned char { baseline, sse41, avx2, avx512, avx512_vnni, neon_dot };

/// The name by which s3_add_dispatch knows it, too.
constexpr const char* to_string(isa set) noexcept {
    constexpr const char* names[] = {"baseline", "sse41",       "avx2",
                                     "avx512",   "avx512_vnni", "neon_dot"};
    return names[static_cast<unsigned>(set)];
}

/// Whether this processor and its operating system have what s3_add_dispatch compiles for.
inline bool supports(isa set) noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
    switch (set) {
    case isa::baseline:
        return true;
    case isa::sse41:
        return __builtin_cpu_supports("sse4.1");
    case isa::avx2:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
               __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2");
    case isa::avx512:
        return supports(isa::avx2) && __builtin_cpu_supports("avx512f") &&
               __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512cd") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case isa::avx512_vnni:
        return supports(isa::avx512) && __builtin_cpu_supports("avx512vnni") &&
               __builtin_cpu_supports("avx512vbmi");
    case isa::neon_dot:
        return false;
    }
    return false;
#elif defined(__aarch64__) && defined(__linux__)
    constexpr unsigned long dot = 1ul << 20, i8mm = 1ul << 13; // HWCAP_ASIMDDP, HWCAP2_I8MM
    return set == isa::baseline || (set == isa::neon_dot && (getauxval(AT_HWCAP) & dot) != 0 &&
                                    (getauxval(AT_HWCAP2) & i8mm) != 0);
#else
    return set == isa::baseline;
#endif
}

/// Sets that a source was compiled for, poorest first, `baseline` among them.
template <isa... Sets>
struct isa_list {
    /// The richest that this machine supports.
    static isa best() noexcept {
        isa chosen = isa::baseline;
        ((chosen = supports(Sets) ? Sets : chosen), ...);
        return chosen;
    }
    /// The set of this name, if it is in the list.
    static std::optional<isa> named(std::string_view name) noexcept {
        std::optional<isa> found;
        ((name == to_string(Sets) ? void(found = Sets) : void()), ...);
        return found;
    }
    /// f(set) as a compile-time constant; `baseline` for a set that is not in the list.
    template <class Function>
    static auto with(isa set, Function&& f) {
        return pick<Sets...>(set, f);
    }

private:
    template <isa First, isa... Rest, class Function>
    static auto pick(isa set, Function& f) {
        if constexpr (sizeof...(Rest) > 0)
            if (set != First && ((set == Rest) || ...))
                return pick<Rest...>(set, f);
        return f(std::integral_constant<isa, First>{});
    }
};

#if defined(S3_DISPATCH_ISAS)
/// What s3_add_dispatch compiles this target's sources for.
using dispatch = isa_list<S3_DISPATCH_ISAS>;
#endif

#if defined(S3_COMPILED_ISA)
/// The set that this translation unit is compiled for.
constexpr isa compiled_isa = isa::S3_COMPILED_ISA;
#else
constexpr isa compiled_isa = isa::baseline;
#endif

} // namespace s3

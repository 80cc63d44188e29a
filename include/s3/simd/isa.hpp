#pragma once
// Instruction sets known at run time, for one binary that must run on any machine. A source is
// compiled once per set, by the CMake function s3_add_dispatch, and the program picks one:
//
//   template <s3::isa> int work(int);                                     // in a header
//   template <> int work<s3::compiled_isa>(int x) { … }                   // in the source
//   s3::dispatch::with(s3::dispatch::best(), [](auto isa) { return work<isa>(1); });
//
// Types that pass between the header and the sources must have the same layout for every set. The
// library's types have, except those with an architecture among their template arguments, such as
// prepared weights, which must stay inside one source. Nothing here includes xsimd or depends on
// the compiler's flags.

#include <s3/simd/isa_table.hpp>

#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <utility>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#elif defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

namespace s3 {

/// The instruction sets, in the order of the table. Every processor of the family runs `baseline`.
enum class isa : unsigned char {
    baseline,
#define S3_SET(name, ...) name,
    S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET
};

/// The name of a set, which is also its name in s3_add_dispatch.
constexpr const char* to_string(isa set) noexcept {
    constexpr const char* names[] = {"baseline",
#define S3_SET(name, ...) #name,
                                     S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET
    };
    return names[static_cast<unsigned>(set)];
}

/// Whether `set` has all instructions of `other`. It may be false both ways for two sets.
constexpr bool includes(isa set, isa other) noexcept {
    constexpr isa included[] = {isa::baseline,
#define S3_SET(name, family, set, ...) isa::set,
                                S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET
    };
    while (set != other && set != isa::baseline)
        set = included[static_cast<unsigned>(set)];
    return set == other;
}

namespace detail {
enum class cpuid_register : unsigned char { eax, ebx, ecx, edx };

#if defined(__x86_64__) || defined(__i386__)
/// Whether cpuid reports a feature. It does not tell whether the operating system saves the
/// registers that the feature uses.
inline bool cpuid(unsigned leaf, unsigned subleaf, cpuid_register word, unsigned bit) noexcept {
    unsigned words[4] = {};
    return __get_cpuid_count(leaf, subleaf, words, words + 1, words + 2, words + 3) != 0 &&
           (words[static_cast<unsigned>(word)] >> bit & 1) != 0;
}
#define S3_CPU(feature) (__builtin_cpu_supports(feature) != 0)
#define S3_CPUID(leaf, subleaf, word, bit)                                                         \
    detail::cpuid(leaf, subleaf, detail::cpuid_register::word, bit)
#elif defined(__wasm_simd128__)
// A module holds the instructions that it was compiled for, or is refused as a whole.
#define S3_CPU(feature) (std::string_view(feature) == "sse4.1")
#define S3_CPUID(leaf, subleaf, word, bit) false
#else
#define S3_CPU(feature) false
#define S3_CPUID(leaf, subleaf, word, bit) false
#endif
#if defined(__aarch64__) && defined(__linux__)
#define S3_HWCAP(bit) ((getauxval(AT_HWCAP) >> (bit)&1) != 0)
#define S3_HWCAP2(bit) ((getauxval(AT_HWCAP2) >> (bit)&1) != 0)
#else
#define S3_HWCAP(bit) false
#define S3_HWCAP2(bit) false
#endif
} // namespace detail

/// Whether this processor and its operating system support what s3_add_dispatch compiles for `set`.
inline bool supports(isa set) noexcept {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_cpu_init();
#endif
    switch (set) {
    case isa::baseline:
        return true;
#define S3_SET(name, family, included, flags, detection)                                           \
    case isa::name:                                                                                \
        return supports(isa::included) && (detection);
        S3_INSTRUCTION_SETS(S3_SET)
#undef S3_SET
    }
    return false;
}
#undef S3_CPU
#undef S3_CPUID
#undef S3_HWCAP
#undef S3_HWCAP2

/// The sets that a source was compiled for. `baseline` is among them unless s3_add_dispatch was
/// told otherwise.
template <isa... Sets>
struct isa_list {
    /// The supported set that comes last in the table, whatever the list's order. No other
    /// supported set of the list includes it. If none is supported, `baseline`.
    static isa best() noexcept {
        isa chosen = isa::baseline;
        ((chosen = Sets > chosen && supports(Sets) ? Sets : chosen), ...);
        return chosen;
    }
    /// The set of this name, or nothing if it is not in the list.
    static std::optional<isa> named(std::string_view name) noexcept {
        std::optional<isa> found;
        ((name == to_string(Sets) ? void(found = Sets) : void()), ...);
        return found;
    }
    /// Calls f(set) with the set as a compile-time constant; with the first set of the list if
    /// `set` is not in it.
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
/// The sets that s3_add_dispatch compiles this target's sources for.
using dispatch = isa_list<S3_DISPATCH_ISAS>;
#endif

#if defined(S3_COMPILED_ISA)
/// The set that this translation unit is compiled for.
constexpr isa compiled_isa = isa::S3_COMPILED_ISA;
#else
constexpr isa compiled_isa = isa::baseline;
#endif

} // namespace s3

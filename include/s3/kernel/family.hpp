#pragma once
// The families of kernels, and how a caller says at compile time which kernels may serve.

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace s3 {

/// A `shift_add` kernel has no multiplication in its inner loop; a `dot` kernel uses the machine's
/// multipliers; `automatic` takes the faster one by measured rules. `any`, as a template argument,
/// leaves the choice among these three to the options of `prepare`, and compiles all kernels that
/// they may name.
enum class family : unsigned char { automatic, dot, shift_add, any };

/// The kernels that a prepared matrix or filter may use: those of a family, or a single one by its
/// name. Only kernels that can be chosen are compiled.
struct kernel_choice {
    family among = family::automatic;
    std::uint64_t name = 0; ///< the hash of the kernel's name, or 0 for all of a family

    constexpr kernel_choice(family f) noexcept : among(f) {}
    template <std::size_t N>
    constexpr kernel_choice(const char (&named)[N]) noexcept
        : among(family::any), name(hash({named, N - 1})) {}

    /// The hash of a kernel's name: 64-bit FNV-1a.
    [[nodiscard]] static constexpr std::uint64_t hash(std::string_view text) noexcept {
        std::uint64_t h = 0xcbf29ce484222325u;
        for (const char c : text)
            h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
        return h;
    }
    friend constexpr bool operator==(const kernel_choice&, const kernel_choice&) = default;
};

/// A kernel that is named at run time; by default it names none.
struct kernel_id {
    std::uint64_t name = 0; ///< the hash of the name, or 0 for none

    constexpr kernel_id() noexcept = default;
    constexpr kernel_id(std::string_view text) noexcept
        : name(text.empty() ? 0 : kernel_choice::hash(text)) {}
    constexpr kernel_id(const char* text) noexcept : kernel_id(std::string_view(text)) {}
    friend constexpr bool operator==(const kernel_id&, const kernel_id&) = default;
};

} // namespace s3

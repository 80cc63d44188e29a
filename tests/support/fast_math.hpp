#pragma once
// Whether the build has -ffast-math. Compilers then take no number for NaN or infinite and no zero
// for negative, regroup sums and replace divisions, and set processors to take denormals for 0.
// What that breaks of the library is said in tests/README.md; tests of it are skipped there, and so
// are those whose own numbers change: TEST_CASE("…" * doctest::skip(s3::test::fast_math)).

#include <limits>

namespace s3::test {

/// Constants, because clang 19 assumes of what functions return that it is finite, too.
inline constexpr float infinity = std::numeric_limits<float>::infinity(),
                       not_a_number = std::numeric_limits<float>::quiet_NaN();

#if defined(__FAST_MATH__)
inline constexpr bool fast_math = true;
#else
inline constexpr bool fast_math = false;
#endif

} // namespace s3::test

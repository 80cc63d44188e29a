#pragma once
// The architectures that this build's compiler flags allow: all of them, or the main ones (scalar,
// native), to which most formats are held so that tests compile in reasonable time. The builds for
// other flags have other native ones, and kernel/products.cpp holds two formats to all of them;
// S3_TEST_FULL makes all of them main, S3_TEST_BRIEF native alone.

#include <s3/simd/arch.hpp>

#include "types.hpp"

#include <type_traits>

namespace s3::test {

template <class... Tags>
auto types_of(arch::tag_list<Tags...>) -> type_list<Tags...>;

using all_archs = decltype(types_of(arch::all{}));

#if defined(S3_TEST_FULL)
using main_archs = all_archs;
#elif S3_HAS_SIMD && defined(S3_TEST_BRIEF)
using main_archs = type_list<arch::native>;
#elif S3_HAS_SIMD
using main_archs = type_list<arch::scalar, arch::native>;
#else
using main_archs = type_list<arch::scalar>;
#endif

/// Whether Arch is one of the main ones.
template <class Arch, class List = main_archs>
inline constexpr bool is_main = false;
template <class Arch, class... Main>
inline constexpr bool is_main<Arch, type_list<Main...>> = (std::is_same_v<Arch, Main> || ...);

} // namespace s3::test

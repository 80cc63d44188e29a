#pragma once
// std::bit_cast, which some standard libraries lack that have the rest of what is used here
// (libc++ 13).

#include <type_traits>

namespace s3 {

template <class To, class From>
requires(sizeof(To) == sizeof(From) && std::is_trivially_copyable_v<To> &&
         std::is_trivially_copyable_v<From>) [[nodiscard]] constexpr To
    bit_cast(const From& from) noexcept {
    return __builtin_bit_cast(To, from);
}

} // namespace s3

#pragma once
// What a kernel multiplies weights with: int8 and uint8 activations, whose int32 sums are exact, or
// float ones.

#include <concepts>
#include <cstdint>

namespace s3 {

template <class X>
concept activation =
    std::same_as<X, std::int8_t> || std::same_as<X, std::uint8_t> || std::same_as<X, float>;

template <class X>
concept integer_activation = activation<X> && std::integral<X>;

} // namespace s3

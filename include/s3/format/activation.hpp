#pragma once
// The types of activations that weights are multiplied with: int8 and uint8, whose int32 sums are
// exact, and float.

#include <concepts>
#include <cstdint>

namespace s3 {

template <class X>
concept activation =
    std::same_as<X, std::int8_t> || std::same_as<X, std::uint8_t> || std::same_as<X, float>;

template <class X>
concept integer_activation = activation<X> && std::integral<X>;

} // namespace s3

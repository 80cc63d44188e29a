#pragma once
// The values of tensors in GGUF files (io/gguf.hpp).
//
//   floats   F32, F16 and BF16 as they are, row by row
//   packed   blocks as packed weights, with the file's integers and its binary16 scales:
//              Q4_0  int4_weights, groups of 32     TQ1_0, TQ2_0  ternary, groups of 256
//              Q8_0  int8_weights, groups of 32
//
// Blocks lie row by row. Q4_0 and Q8_0 begin with their scale, TQ1_0 and TQ2_0 end with it.
//   Q4_0   16 bytes; byte j has weight j + 8 in its low half, weight j + 16 + 8 in its high one
//   Q8_0   32 bytes, two's complement
//   TQ2_0  64 bytes; byte 32c + m has weights 128c + 32l + m, plus one, in bits 2l and 2l + 1
//   TQ1_0  52 bytes, each a fraction b/256 whose digits to base 3 are weights plus one: the first
//          32 bytes have five digits each, the next 16 too, the last 4 have four. Digit n of byte
//          m of a part of p bytes is weight n·p + m of the part.
// Errors: a type that is not the one asked for; a scale that is NaN or infinite; a weight 2 in
// TQ2_0, which is not ternary.

#include <s3/core/half.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/io/gguf.hpp>
#include <s3/io/stored_floats.hpp>
#include <s3/pack/pack.hpp>

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

namespace s3::gguf {

/// The values of a tensor of floats.
inline result<std::vector<float>> floats(const tensor& t) {
    for (const auto& [name, type] :
         {std::pair{"F32", scale_type::binary32}, std::pair{"F16", scale_type::binary16},
          std::pair{"BF16", scale_type::bfloat16}})
        if (std::string_view(name) == t.type->name)
            return s3::detail::stored_floats(t.data, type);
    return error(errc::unsupported, "gguf.tensor (neither F32 nor F16 nor BF16)");
}

namespace detail {

/// Weight j of the 256 of a TQ1_0 block.
[[nodiscard]] inline int base_three(const std::byte* block, std::size_t j) noexcept {
    constexpr unsigned power[] = {1, 3, 9, 27, 81};
    const std::size_t part = j < 160 ? 0 : j < 240 ? 160 : 240;
    const std::size_t bytes = part == 0 ? 32 : part == 160 ? 16 : 4;
    const std::size_t first = part == 0 ? 0 : part == 160 ? 32 : 48, k = j - part;
    const auto fraction =
        std::to_integer<unsigned>(block[first + k % bytes]) * power[k / bytes] % 256;
    return static_cast<int>(fraction * 3 / 256) - 1;
}
/// Weight j of the 256 of a TQ2_0 block: −1, 0, 1 or 2.
[[nodiscard]] inline int two_bits(const std::byte* block, std::size_t j) noexcept {
    const auto byte = std::to_integer<unsigned>(block[j / 128 * 32 + j % 32]);
    return static_cast<int>(byte >> (j % 128 / 32 * 2) & 3) - 1;
}

} // namespace detail

/// Whether a tensor's values are packed weights of format F.
template <weight_format F>
[[nodiscard]] bool holds(const tensor& t) noexcept {
    const std::string_view type = t.type->name;
    return type == "Q4_0"   ? std::is_same_v<F, int4_weights>
           : type == "Q8_0" ? std::is_same_v<F, int8_weights>
                            : (type == "TQ1_0" || type == "TQ2_0") && std::is_same_v<F, ternary>;
}

/// The weights of a quantized tensor, [rows][columns].
template <weight_format F>
result<packed_matrix<F>> packed(const tensor& t) {
    if (!holds<F>(t))
        return error(errc::unsupported, "gguf.tensor (its type has no weights of this format)");
    return s3::detail::or_out_of_memory([&]() -> result<packed_matrix<F>> {
        const std::size_t block = t.type->block, bytes = t.type->bytes;
        const bool scale_first = !std::is_same_v<F, ternary>;
        const std::byte* const data = t.data.data();
        std::vector<float> scale(t.data.size() / bytes);
        for (std::size_t b = 0; b < scale.size(); ++b)
            scale[b] = from_float16(static_cast<std::uint16_t>(
                little_endian::load(data + b * bytes + (scale_first ? 0 : bytes - 2), 2)));
        const pack_options options{0, scale, block, scale_type::binary16};
        const auto from = [&](auto weight) { // weight(block, j) is weight j of a block
            return packed_matrix<F>::from_codes(t.rows(), t.columns(), options, [=](std::size_t) {
                return [=](std::size_t i) {
                    return F::code_of(weight(data + i / block * bytes, i % block));
                };
            });
        };
        if constexpr (std::is_same_v<F, int4_weights>)
            return from([](const std::byte* at, std::size_t j) {
                const auto byte = std::to_integer<int>(at[2 + j % 16]);
                return (byte >> (j / 16 * 4) & 15) - 8;
            });
        else if constexpr (std::is_same_v<F, int8_weights>)
            return from([](const std::byte* at, std::size_t j) {
                return int{static_cast<std::int8_t>(std::to_integer<unsigned>(at[2 + j]))};
            });
        else if (t.type->number == 34)
            return from(detail::base_three);
        else
            return from(detail::two_bits);
    });
}

} // namespace s3::gguf

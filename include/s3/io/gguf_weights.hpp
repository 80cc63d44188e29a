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

#include <array>
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

[[nodiscard]] constexpr std::int8_t signed_byte(unsigned v) noexcept {
    return static_cast<std::int8_t>(static_cast<std::uint8_t>(v));
}

/// The types of blocks: their sizes, where their scale is, and their weights.
struct q4_0 {
    static constexpr std::size_t block = 32, bytes = 18, scale_at = 0;
    static void unpack(const std::byte* at, std::int8_t* w) noexcept {
        for (std::size_t j = 0; j < 16; ++j) {
            const auto byte = std::to_integer<unsigned>(at[2 + j]);
            w[j] = signed_byte((byte & 15) - 8);
            w[j + 16] = signed_byte((byte >> 4) - 8);
        }
    }
};
struct q8_0 {
    static constexpr std::size_t block = 32, bytes = 34, scale_at = 0;
    static void unpack(const std::byte* at, std::int8_t* w) noexcept {
        for (std::size_t j = 0; j < 32; ++j)
            w[j] = signed_byte(std::to_integer<unsigned>(at[2 + j]));
    }
};
struct tq1_0 {
    static constexpr std::size_t block = 256, bytes = 54, scale_at = 52;
    static void unpack(const std::byte* at, std::int8_t* w) noexcept {
        for (const auto& [size, digits] : {std::pair{32u, 5u}, {16u, 5u}, {4u, 4u}}) {
            for (unsigned n = 0, power = 1; n < digits; ++n, power *= 3)
                for (unsigned m = 0; m < size; ++m) {
                    const unsigned fraction = std::to_integer<unsigned>(at[m]) * power % 256;
                    *w++ = signed_byte(fraction * 3 / 256 - 1);
                }
            at += size;
        }
    }
};
struct tq2_0 {
    static constexpr std::size_t block = 256, bytes = 66, scale_at = 64;
    /// −1, 0, 1, or 2, which is not ternary.
    static void unpack(const std::byte* at, std::int8_t* w) noexcept {
        for (const std::byte* const end = at + 64; at != end; at += 32)
            for (unsigned shift = 0; shift < 8; shift += 2)
                for (std::size_t m = 0; m < 32; ++m)
                    *w++ = signed_byte((std::to_integer<unsigned>(at[m]) >> shift & 3) - 1);
    }
};

/// The code of each int8 in format F, or −1 where the format does not have it.
template <weight_format F>
inline constexpr auto code_of_byte = [] {
    std::array<std::int16_t, 256> code{};
    for (int v = -128; v < 128; ++v)
        code[static_cast<std::uint8_t>(v)] = static_cast<std::int16_t>(F::code_of(v));
    return code;
}();

template <weight_format F, class Block>
result<packed_matrix<F>> packed_blocks(const tensor& t) {
    return s3::detail::or_out_of_memory([&]() -> result<packed_matrix<F>> {
        const std::byte* const data = t.data.data();
        std::vector<float> scale(t.data.size() / Block::bytes);
        for (std::size_t b = 0; b < scale.size(); ++b)
            scale[b] = from_float16(static_cast<std::uint16_t>(
                little_endian::load(data + b * Block::bytes + Block::scale_at, 2)));
        const pack_options options{0, scale, Block::block, scale_type::binary16};
        return packed_matrix<F>::from_codes(t.rows(), t.columns(), options, [=](std::size_t b) {
            std::array<std::int8_t, Block::block> w;
            Block::unpack(data + b * Block::bytes, w.data());
            return [w, begin = b * Block::block](std::size_t i) -> int {
                return code_of_byte<F>[static_cast<std::uint8_t>(w[i - begin])];
            };
        });
    });
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
    if constexpr (std::is_same_v<F, int4_weights>)
        return detail::packed_blocks<F, detail::q4_0>(t);
    else if constexpr (std::is_same_v<F, int8_weights>)
        return detail::packed_blocks<F, detail::q8_0>(t);
    else if (std::string_view(t.type->name) == "TQ1_0")
        return detail::packed_blocks<F, detail::tq1_0>(t);
    else
        return detail::packed_blocks<F, detail::tq2_0>(t);
}

} // namespace s3::gguf

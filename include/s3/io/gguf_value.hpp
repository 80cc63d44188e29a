#pragma once
// The values of the metadata in GGUF files (io/gguf.hpp).

#include <s3/core/bit_cast.hpp>
#include <s3/core/little_endian.hpp>

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace s3::gguf {

enum class value_type : unsigned char {
    u8,
    i8,
    u16,
    i16,
    u32,
    i32,
    f32,
    boolean,
    text,
    array,
    u64,
    i64,
    f64
};
/// The bytes of a value of each type; 0 if they vary.
inline constexpr std::array<std::size_t, 13> value_bytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/// A value of the metadata, or an array of `count` of them.
struct value {
    value_type type = value_type::u8; ///< of each element
    bool is_array = false;
    std::size_t count = 1;
    std::span<const std::byte> data; ///< as in the file

    /// A single integer that is not negative.
    [[nodiscard]] std::optional<std::uint64_t> unsigned_integer() const noexcept {
        if (is_array || type == value_type::text || type == value_type::boolean || is_float())
            return {};
        const std::uint64_t all = little_endian::load(data.data(), data.size());
        const bool is_signed = type == value_type::i8 || type == value_type::i16 ||
                               type == value_type::i32 || type == value_type::i64;
        if (is_signed && (all >> (8 * data.size() - 1) & 1) != 0)
            return {};
        return all;
    }
    /// A single float or double.
    [[nodiscard]] std::optional<double> real() const noexcept {
        if (is_array || !is_float())
            return {};
        const std::uint64_t bits = little_endian::load(data.data(), data.size());
        return type == value_type::f64 ? bit_cast<double>(bits)
                                       : double{bit_cast<float>(static_cast<std::uint32_t>(bits))};
    }
    /// A single string.
    [[nodiscard]] std::optional<std::string_view> text() const noexcept {
        if (is_array || type != value_type::text)
            return {};
        return text_of(data.subspan(8));
    }
    /// The strings of an array; none if it has others.
    [[nodiscard]] std::vector<std::string_view> texts() const {
        std::vector<std::string_view> all;
        auto rest = data;
        for (std::size_t i = 0; is_array && type == value_type::text && i < count; ++i) {
            const auto size = static_cast<std::size_t>(little_endian::load(rest.data(), 8));
            all.push_back(text_of(rest.subspan(8, size)));
            rest = rest.subspan(8 + size);
        }
        return all;
    }

    [[nodiscard]] static std::string_view text_of(std::span<const std::byte> bytes) noexcept {
        return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
    }

private:
    [[nodiscard]] bool is_float() const noexcept {
        return type == value_type::f32 || type == value_type::f64;
    }
};

} // namespace s3::gguf

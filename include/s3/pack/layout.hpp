#pragma once
// The one format on disk, which has the same bytes on every machine. A *record* holds one packed
// tensor. All integers are little-endian. Records are written in version 2, which is
//
//        0      1      2      3      4      5      6      7
//     +------+------+------+------+------+------+-------------+
//   0 |  'S'    '3'    'W' |   2  | bits | flags| exponent    |  flags: below
//     +--------------------+------+------+------+-------------+  exponent: signed offset p, where
//   8 | rows (output channels)                                |  real weight = value · 2^p · scale
//     +-------------------------------------------------------+
//  16 | columns (weights per row)                             |
//     +---------------------------+---------------------------+
//  24 | filter height             | filter width              |  0 and 0 for a matrix; a filter's
//     +---------------------------+---------------------------+  columns run height, width, channel
//  32 | number of scales: 0, 1 (per tensor), rows, or more    |  more: one per group of a row
//     +-------------------------------------------------------+
//  40 | name of the format, padded with zeros                 |  both of format/identity.hpp:
//  48 |                                                       |  formats cannot be confused
//     +-------------------------------------------------------+
//  56 | hash of the format's codebook                         |
//     +-------------------------------------------------------+
//  64 | scales …                                              |
//     +-------------------------------------------------------+
//   … | bitstream …                                           |
//     +-------------------------------------------------------+
//
// Flags are 1 if the format has a zero, 2 if it is a shift format, and 4 or 8 if scales are
// binary16 or bfloat16 instead of binary32. If there are n scales per row, row-major, each belongs
// to columns / n consecutive weights: 32, 64, 128 or 256.
//
// The weights of the bitstream are counted row-major. Weight i has its code (format/) in the bits
// [i·bits, (i+1)·bits), where bit b of the stream is bit b%8 of byte b/8. Codes run on from row to
// row without padding, so only the last byte of a tensor can have unused bits; they are zero.
//
// Version 1, which is still read, has a 1 in byte 3 and lacks the bytes 40 … 63. Its bits and flags
// name one of the formats that existed then: shift2 … shift5, dense2 … dense5 and int8.

#include <s3/core/bit_cast.hpp>
#include <s3/core/bitstream.hpp>
#include <s3/core/half.hpp>
#include <s3/core/little_endian.hpp>
#include <s3/core/view.hpp>
#include <s3/format/identity.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace s3::layout {

inline constexpr unsigned version = 2; ///< the version that is written
inline constexpr std::size_t header_bytes = 64;

/// The size in bytes of the header of version 1 or 2.
[[nodiscard]] constexpr std::size_t header_bytes_of(unsigned some_version) noexcept {
    return some_version == 1 ? 40 : header_bytes;
}

/// The size in bytes of a bitstream of `count` weights, or SIZE_MAX where that does not fit.
[[nodiscard]] constexpr std::size_t stream_bytes(std::size_t count, int bits) noexcept {
    const std::size_t whole = saturating_mul(count / 8, static_cast<std::size_t>(bits));
    const std::size_t rest = (count % 8 * static_cast<std::size_t>(bits) + 7) / 8;
    return saturating_add(whole, rest);
}

/// How scales are stored. In memory they are floats of such a precision.
enum class scale_type : unsigned char { binary32 = 0, binary16 = 4, bfloat16 = 8 };

[[nodiscard]] constexpr std::size_t bytes_of(scale_type t) noexcept {
    return t == scale_type::binary32 ? 4 : 2;
}
[[nodiscard]] constexpr std::uint32_t to_bits(float scale, scale_type t) noexcept {
    return t == scale_type::binary32   ? bit_cast<std::uint32_t>(scale)
           : t == scale_type::binary16 ? to_float16(scale)
                                       : to_bfloat16(scale);
}
[[nodiscard]] constexpr float from_bits(std::uint32_t bits, scale_type t) noexcept {
    const auto half = static_cast<std::uint16_t>(bits);
    return t == scale_type::binary32   ? bit_cast<float>(bits)
           : t == scale_type::binary16 ? from_float16(half)
                                       : from_bfloat16(half);
}

/// Whether so many consecutive weights of a row can share a scale.
[[nodiscard]] constexpr bool is_group(std::uint64_t columns) noexcept {
    return columns == 32 || columns == 64 || columns == 128 || columns == 256;
}

struct header {
    int bits = 0;
    bool has_zero = false;
    bool is_shift = false;
    int exponent_offset = 0;
    std::uint64_t rows = 0;
    std::uint64_t columns = 0;
    std::uint32_t height = 0;
    std::uint32_t width = 0;
    std::uint64_t scales = 0;
    format_identity format = {};        ///< has no meaning in version 1
    unsigned version = layout::version; ///< the version that was read
    scale_type stored = scale_type::binary32;

    /// How many weights of a row share a scale, where there are several scales per row; else 0.
    [[nodiscard]] constexpr std::uint64_t group() const noexcept {
        return scales > 1 && scales != rows ? columns / (scales / rows) : 0;
    }
};

/// Whether the weights behind a header are of format F.
template <weight_format F>
[[nodiscard]] constexpr bool holds(const header& h) noexcept {
    if (h.bits != F::bits || h.has_zero != F::has_zero || h.is_shift != F::is_shift)
        return false;
    // In version 1, int8 was the only format without shifts.
    constexpr bool old = F::is_shift || (F::bits == 8 && F::decoding == decode::twos_complement);
    return h.version == 1 ? old : h.format == identity_of<F>;
}

/// Writes `header_bytes` bytes.
constexpr void write(const header& h, std::byte* to) noexcept {
    constexpr char magic[] = "S3W";
    for (int i = 0; i < 3; ++i)
        to[i] = static_cast<std::byte>(magic[i]);
    little_endian::store(to + 3, version, 1);
    little_endian::store(to + 4, static_cast<std::uint64_t>(h.bits), 1);
    little_endian::store(
        to + 5, (h.has_zero ? 1u : 0u) | (h.is_shift ? 2u : 0u) | static_cast<unsigned>(h.stored),
        1);
    little_endian::store(to + 6, static_cast<std::uint16_t>(h.exponent_offset), 2);
    little_endian::store(to + 8, h.rows, 8);
    little_endian::store(to + 16, h.columns, 8);
    little_endian::store(to + 24, h.height, 4);
    little_endian::store(to + 28, h.width, 4);
    little_endian::store(to + 32, h.scales, 8);
    for (std::size_t i = 0; i < h.format.name.size(); ++i)
        to[40 + i] = static_cast<std::byte>(h.format.name[i]);
    little_endian::store(to + 56, h.format.codebook, 8);
}

/// The header of a record. Errors: `truncated` (too short for a header), `foreign` (not a record,
/// or of an unknown version), `shape_mismatch` (a number of scales that is not 0, 1, rows, or rows
/// times groups).
inline result<header> read(std::span<const std::byte> record) {
    const auto truncated = [&record](std::size_t needed) {
        return error(errc::truncated, "record").got(record.size()).needs(needed);
    };
    if (record.size() < header_bytes_of(1))
        return truncated(header_bytes);
    const std::byte* p = record.data();
    if (little_endian::load(p, 3) != little_endian::load(std::as_bytes(std::span("S3W")).data(), 3))
        return error(errc::foreign, "record.magic");
    const auto found = static_cast<unsigned>(little_endian::load(p + 3, 1));
    if (found < 1 || found > version)
        return error(errc::foreign, "record.version").got(found).limit(version);
    if (record.size() < header_bytes_of(found))
        return truncated(header_bytes_of(found));
    header h;
    h.version = found;
    h.bits = static_cast<int>(little_endian::load(p + 4, 1));
    const auto flags = little_endian::load(p + 5, 1);
    if (const std::uint64_t most = found == 1 ? 3 : 11; flags > most)
        return error(errc::foreign, "record.flags").got(flags).limit(most);
    h.stored = static_cast<scale_type>(flags & 12);
    h.has_zero = (flags & 1) != 0;
    h.is_shift = (flags & 2) != 0;
    h.exponent_offset = static_cast<std::int16_t>(little_endian::load(p + 6, 2));
    h.rows = little_endian::load(p + 8, 8);
    h.columns = little_endian::load(p + 16, 8);
    h.height = static_cast<std::uint32_t>(little_endian::load(p + 24, 4));
    h.width = static_cast<std::uint32_t>(little_endian::load(p + 28, 4));
    h.scales = little_endian::load(p + 32, 8);
    for (std::size_t i = 0; found != 1 && i < h.format.name.size(); ++i)
        h.format.name[i] = static_cast<char>(p[40 + i]);
    h.format.codebook = found == 1 ? 0 : little_endian::load(p + 56, 8);
    if (h.scales > 1 && h.scales != h.rows) {
        const bool groups = found != 1 && h.rows != 0 && h.scales % h.rows == 0 &&
                            h.columns % (h.scales / h.rows) == 0 && is_group(h.group());
        if (!groups)
            return error(errc::shape_mismatch, "record.scales").got(h.scales).needs(h.rows);
    }
    return h;
}

} // namespace s3::layout

#pragma once
// The one format on disk, the same bytes on every machine. A *record* holds one packed tensor:
//
//   offset  size  content (all integers little-endian)
//        0     3  "S3W"
//        3     1  version of this layout: 1
//        4     1  bits per weight
//        5     1  flags: 1 = the format has a zero, 2 = shift weights (else plain integers)
//        6     2  exponent offset p (signed): real weight = value · 2^p · scale
//        8     8  rows (output channels)
//       16     8  columns (weights per row)
//       24     4  filter height  (0 for a matrix; a filter's columns run height, width, channel)
//       28     4  filter width   (0 for a matrix)
//       32     8  number of scales: 0, 1 (per tensor) or rows (per output channel)
//       40   4·n  scales, IEEE-754 binary32
//        …     …  the bitstream: weight i, counted row-major, has its code (format/) in the
//                 bits [i·bits, (i+1)·bits), bit b being bit b%8 of byte b/8. One tail per tensor:
//                 the unused bits of the last byte are zero.

#include <s3/core/bitstream.hpp>
#include <s3/core/little_endian.hpp>
#include <s3/core/view.hpp>
#include <s3/format/weight_format.hpp>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <span>

namespace s3::layout {

inline constexpr unsigned version = 1;
inline constexpr std::size_t header_bytes = 40;

/// Bytes of the bitstream of `count` weights; SIZE_MAX where that does not fit.
[[nodiscard]] constexpr std::size_t stream_bytes(std::size_t count, int bits) noexcept {
    const std::size_t whole = saturating_mul(count / 8, static_cast<std::size_t>(bits));
    const std::size_t rest = (count % 8 * static_cast<std::size_t>(bits) + 7) / 8;
    return whole > std::numeric_limits<std::size_t>::max() - rest ? whole : whole + rest;
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
};

/// Writes `header_bytes` bytes.
constexpr void write(const header& h, std::byte* to) noexcept {
    constexpr char magic[] = "S3W";
    for (int i = 0; i < 3; ++i)
        to[i] = static_cast<std::byte>(magic[i]);
    little_endian::store(to + 3, version, 1);
    little_endian::store(to + 4, static_cast<std::uint64_t>(h.bits), 1);
    little_endian::store(to + 5, (h.has_zero ? 1u : 0u) | (h.is_shift ? 2u : 0u), 1);
    little_endian::store(to + 6, static_cast<std::uint16_t>(h.exponent_offset), 2);
    little_endian::store(to + 8, h.rows, 8);
    little_endian::store(to + 16, h.columns, 8);
    little_endian::store(to + 24, h.height, 4);
    little_endian::store(to + 28, h.width, 4);
    little_endian::store(to + 32, h.scales, 8);
}

/// The header of a record, if it is one of ours, of this version and consistent in itself.
inline result<header> read(std::span<const std::byte> record) {
    if (record.size() < header_bytes)
        return error(errc::truncated, "record").got(record.size()).needs(header_bytes);
    const std::byte* p = record.data();
    if (little_endian::load(p, 3) != little_endian::load(std::as_bytes(std::span("S3W")).data(), 3))
        return error(errc::foreign, "record.magic");
    const auto ver = little_endian::load(p + 3, 1);
    if (ver != version)
        return error(errc::foreign, "record.version").got(ver).needs(version);
    header h;
    h.bits = static_cast<int>(little_endian::load(p + 4, 1));
    const auto flags = little_endian::load(p + 5, 1);
    if (flags > 3)
        return error(errc::foreign, "record.flags").got(flags).limit(3);
    h.has_zero = (flags & 1) != 0;
    h.is_shift = (flags & 2) != 0;
    h.exponent_offset = static_cast<std::int16_t>(little_endian::load(p + 6, 2));
    h.rows = little_endian::load(p + 8, 8);
    h.columns = little_endian::load(p + 16, 8);
    h.height = static_cast<std::uint32_t>(little_endian::load(p + 24, 4));
    h.width = static_cast<std::uint32_t>(little_endian::load(p + 28, 4));
    h.scales = little_endian::load(p + 32, 8);
    if (h.scales > 1 && h.scales != h.rows)
        return error(errc::shape_mismatch, "record.scales").got(h.scales).needs(h.rows);
    return h;
}

} // namespace s3::layout

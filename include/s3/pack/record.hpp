#pragma once
// Packed tensors to and from the records of pack/layout.hpp. Reading is safe on hostile bytes:
// every length is checked against the bytes that are there before anything is allocated.

#include <s3/core/bit_cast.hpp>
#include <s3/pack/pack.hpp>

#include <cstddef>
#include <span>
#include <vector>

namespace s3 {

namespace detail {

template <weight_format F>
[[nodiscard]] std::vector<std::byte> serialize(const packed_matrix<F>& m, std::size_t height,
                                               std::size_t width) {
    const auto stream = m.stream();
    const std::size_t scale_bytes = layout::bytes_of(m.stored());
    std::vector<std::byte> record(layout::header_bytes + scale_bytes * m.scale().size() +
                                  stream.size());
    layout::write({F::bits, F::has_zero, F::is_shift, m.exponent_offset(), m.rows(), m.columns(),
                   static_cast<std::uint32_t>(height), static_cast<std::uint32_t>(width),
                   m.scale().size(), identity_of<F>, layout::version, m.stored()},
                  record.data());
    std::byte* p = record.data() + layout::header_bytes;
    for (const float s : m.scale()) {
        little_endian::store(p, layout::to_bits(s, m.stored()), scale_bytes);
        p += scale_bytes;
    }
    std::copy_n(std::as_bytes(stream).data(), stream.size(), p);
    return record;
}

template <weight_format F>
result<packed_matrix<F>> deserialize(std::span<const std::byte> record, layout::header& h,
                                     stream_memory memory) {
    auto read = layout::read(record);
    if (!read)
        return read.error();
    h = *read;
    if (!layout::holds<F>(h))
        return error(errc::foreign, "record.format").got(h.bits).needs(F::bits);
    const std::size_t header = layout::header_bytes_of(h.version);
    const std::size_t rest = record.size() - header;
    const std::size_t scale_bytes = layout::bytes_of(h.stored);
    if (h.scales > rest / scale_bytes)
        return error(errc::truncated, "record.scale").got(rest);
    const auto scale_count = static_cast<std::size_t>(h.scales);
    constexpr std::size_t most = std::numeric_limits<std::size_t>::max();
    if (h.columns > most)
        return error(errc::truncated, "record.columns").got(h.columns);
    if (h.rows > most || (h.columns != 0 && h.rows > most / h.columns))
        return error(errc::truncated, "record.rows").got(h.rows);
    auto scale = buffer<float>::make(scale_count);
    if (!scale)
        return scale.error();
    const std::byte* p = record.data() + header;
    for (std::size_t i = 0; i < scale_count; ++i)
        (*scale)[i] = layout::from_bits(
            static_cast<std::uint32_t>(little_endian::load(p + scale_bytes * i, scale_bytes)),
            h.stored);
    const std::span stream(reinterpret_cast<const std::uint8_t*>(p + scale_bytes * scale_count),
                           rest - scale_bytes * scale_count);
    // The stream of a matrix without columns is empty and does not bound its number of rows, whose
    // sums cost memory: many such records in one file would ask for much more than its size.
    constexpr std::size_t rows_of_nothing = 256;
    if (h.columns == 0 && h.rows > rows_of_nothing)
        return error(errc::truncated, "record.rows").got(h.rows).limit(rows_of_nothing);
    return packed_matrix<F>::from_stream(
        static_cast<std::size_t>(h.rows), static_cast<std::size_t>(h.columns), stream,
        {h.exponent_offset, scale->span(), static_cast<std::size_t>(h.group()), h.stored}, memory);
}

} // namespace detail

/// The record of a matrix, as bytes for a file.
template <weight_format F>
[[nodiscard]] std::vector<std::byte> serialize(const packed_matrix<F>& matrix) {
    return detail::serialize(matrix, 0, 0);
}
/// The record of a filter, as bytes for a file.
template <weight_format F>
[[nodiscard]] std::vector<std::byte> serialize(const packed_filter<F>& filter) {
    return detail::serialize(filter.matrix, filter.shape.height, filter.shape.width);
}

/// The matrix that a record holds. Errors: `errc::foreign` if it holds another format, or a filter;
/// those of `layout::read` and `packed_matrix::from_stream`. With `stream_memory::borrow` the
/// weights stay in the record, which must outlive the matrix.
template <weight_format F>
result<packed_matrix<F>> deserialize(std::span<const std::byte> record, stream_memory memory = {}) {
    layout::header h;
    auto matrix = detail::deserialize<F>(record, h, memory);
    if (matrix && (h.height != 0 || h.width != 0))
        return error(errc::foreign, "record.height").got(h.height).needs(0);
    return matrix;
}
/// The filter that a record holds. Errors: as for `deserialize`, with `errc::foreign` for a matrix.
template <weight_format F>
result<packed_filter<F>> deserialize_filter(std::span<const std::byte> record,
                                            stream_memory memory = {}) {
    layout::header h;
    auto matrix = detail::deserialize<F>(record, h, memory);
    if (!matrix)
        return matrix.error();
    const std::size_t taps = saturating_mul(h.height, h.width);
    if (taps == 0)
        return error(errc::foreign, "record.height").got(h.height);
    if (matrix->columns() % taps != 0)
        return error(errc::shape_mismatch, "record.columns").got(matrix->columns()).needs(taps);
    const filter_shape shape{matrix->rows(), h.height, h.width, matrix->columns() / taps};
    return packed_filter<F>{*std::move(matrix), shape};
}

} // namespace s3

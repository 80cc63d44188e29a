#pragma once
// Packed weights: exactly `F::bits` bits each, row-major, with the sums of each row's weights and
// of their absolute values, which kernels need in order to be exact.
//
//   pack     values in the format (times 2^exponent_offset) → packed_matrix [rows][columns]
//   unpack   its exact inverse
//   packed_filter   a matrix whose row is one output channel, [height][width][input channel]
//
// Errors: a weight outside the format (index and value), NaN or infinity, sizes that do not fit.
// A `scale` that is given is recorded beside the weights but not applied to them.

#include <s3/core/bit_cast.hpp>
#include <s3/core/buffer.hpp>
#include <s3/core/conv.hpp>
#include <s3/core/is_finite.hpp>
#include <s3/format/bounds.hpp>
#include <s3/format/list.hpp>
#include <s3/pack/layout.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <span>
#include <type_traits>
#include <utility>

namespace s3 {

using layout::scale_type;

struct pack_options {
    /// The real weight that a packed value stands for is value · 2^exponent_offset · scale.
    int exponent_offset = 0;
    /// No scale (empty), one for the whole tensor, one per row, or one per group of each row. Each
    /// is rounded to `stored`; it must then be finite, and so must its product with
    /// 2^exponent_offset, which may not vanish either.
    std::span<const float> scale = {};
    /// How many consecutive weights of a row share a scale: 32, 64, 128 or 256, a divisor of the
    /// number of columns. 0 where rows are not divided.
    std::size_t group = 0;
    scale_type stored = scale_type::binary32;
};

/// Whether a matrix keeps a copy of its bitstream or refers to the caller's, for example in a
/// mapped file. A borrowed stream must outlive the matrix and not change.
enum class stream_memory : unsigned char { copy, borrow };

template <weight_format F>
class packed_matrix {
public:
    using format = F;

    packed_matrix() = default;

    /// Makes a matrix from a bitstream as pack/layout.hpp describes it. Refuses reserved codes, and
    /// unused bits behind the last code that are not zero.
    static result<packed_matrix> from_stream(std::size_t rows, std::size_t columns,
                                             std::span<const std::uint8_t> stream,
                                             const pack_options& options = {},
                                             stream_memory memory = {}) {
        const std::size_t needed = layout::stream_bytes(saturating_mul(rows, columns), F::bits);
        if (stream.size() != needed)
            return error(stream.size() < needed ? errc::truncated : errc::shape_mismatch, "stream")
                .got(stream.size())
                .needs(needed);
        const bool borrow = memory == stream_memory::borrow;
        auto made = allocate(rows, columns, options, borrow ? 0 : needed);
        if (!made)
            return made.error();
        if (borrow)
            made->borrowed_ = stream;
        else
            std::copy(stream.begin(), stream.end(), made->stream_.data());
        const std::size_t used = rows * columns * F::bits % 8;
        if (used != 0 && stream[needed - 1] >> used != 0)
            return error(errc::reserved_code, "stream.tail").at(needed - 1);
        const status summed = made->sum_rows();
        if (!summed)
            return summed.error();
        return made;
    }

    /// Makes a matrix from codes, row by row, or group by group where `options.group` is not 0:
    /// codes(n) returns a function for the n-th of them which, called with a weight's number
    /// i = row · columns + column, returns its code, or −1 to refuse the weight. Callers that turn
    /// values into codes use this; for a refused weight the function is called twice.
    template <class Codes>
    static result<packed_matrix> from_codes(std::size_t rows, std::size_t columns,
                                            const pack_options& options, Codes&& codes) {
        const std::size_t bytes = layout::stream_bytes(saturating_mul(rows, columns), F::bits);
        auto made = allocate(rows, columns, options, bytes);
        if (!made)
            return made;
        // Codes are packed in groups of eight, because eight codes always fill whole bytes.
        constexpr std::size_t most = 256;
        std::uint8_t held[most];
        std::size_t count = 0;
        std::uint8_t* to = made->stream_.data();
        const std::size_t run = options.group == 0 ? columns : options.group;
        for (std::size_t i = 0, part = 0; i < rows * columns; ++part) {
            const auto code_of = codes(part);
            const std::size_t r = i / columns;
            for (const std::size_t end = i + run; i < end;) {
                const std::size_t n = std::min(most - count, end - i);
                int all = 0;
                for (std::size_t j = 0; j < n; ++j) {
                    const int code = code_of(i + j);
                    held[count + j] = static_cast<std::uint8_t>(code);
                    all |= code;
                }
                for (std::size_t j = 0; all < 0; ++j)
                    if (code_of(i + j) < 0)
                        return error(errc::not_in_format, "weights").at(i + j);
                made->add(r, std::span(held + count, n));
                count += n;
                i += n;
                if (count == most) {
                    put_codes(held, most, to);
                    to += most / 8 * F::bits;
                    count = 0;
                }
            }
        }
        put_codes(held, count, to);
        return made;
    }

    /// A copy of the rows [begin, begin + count) as a matrix of its own. Precondition: they exist.
    result<packed_matrix> slice(std::size_t begin, std::size_t count) const {
        pack_options options{exponent_offset_, scale(), group_, stored_};
        if (scale().size() > 1)
            options.scale = scale().subspan(begin * scales_per_row(), count * scales_per_row());
        auto part =
            allocate(count, columns_, options, layout::stream_bytes(count * columns_, F::bits));
        if (!part)
            return part;
        const std::uint8_t* const from = stream().data();
        for (std::size_t i = 0; i < count * columns_; ++i)
            layout::put<F::bits>(part->stream_.data(), i,
                                 layout::get<F::bits>(from, begin * columns_ + i));
        for (std::size_t r = 0; r < count; ++r) {
            part->abs_sums_[r] = abs_sums_[begin + r];
            part->sums_[r] = sums_[begin + r];
        }
        return part;
    }

    [[nodiscard]] std::size_t rows() const noexcept { return rows_; }
    [[nodiscard]] std::size_t columns() const noexcept { return columns_; }
    [[nodiscard]] std::size_t size() const noexcept { return rows_ * columns_; }
    /// The bitstream: `F::bits` bits per weight, row-major, padded with zero bits to whole bytes.
    [[nodiscard]] std::span<const std::uint8_t> stream() const noexcept {
        return borrowed_.data() != nullptr ? borrowed_ : stream_.span();
    }
    [[nodiscard]] unsigned code(std::size_t row, std::size_t column) const noexcept {
        return layout::get<F::bits>(stream().data(), row * columns_ + column);
    }
    /// The weight's integer value, not multiplied by 2^exponent_offset or the scale.
    [[nodiscard]] int value(std::size_t row, std::size_t column) const noexcept {
        return F::value(code(row, column));
    }
    /// Σ|w| of each row, which bounds the sums that an accumulator must hold.
    [[nodiscard]] std::span<const std::int64_t> abs_sums() const noexcept {
        return abs_sums_.span();
    }
    /// Σw of each row.
    [[nodiscard]] std::span<const std::int64_t> sums() const noexcept { return sums_.span(); }
    [[nodiscard]] int exponent_offset() const noexcept { return exponent_offset_; }
    [[nodiscard]] std::span<const float> scale() const noexcept { return scale_.span(); }
    /// How many consecutive weights of a row share a scale; 0 if all of a row do.
    [[nodiscard]] std::size_t group() const noexcept { return group_; }
    [[nodiscard]] std::size_t scales_per_row() const noexcept {
        return group_ == 0 ? 1 : columns_ / group_;
    }
    [[nodiscard]] scale_type stored() const noexcept { return stored_; }
    /// The factor that turns the integer values of a row, or of one of its groups, into the real
    /// weights.
    [[nodiscard]] float real_scale(std::size_t row, std::size_t group = 0) const noexcept {
        const std::size_t i = row * scales_per_row() + group;
        const float s = scale_.size() == 0 ? 1.0f : scale_[scale_.size() == 1 ? 0 : i];
        return std::ldexp(s, exponent_offset_);
    }

private:
    static result<packed_matrix> allocate(std::size_t rows, std::size_t columns,
                                          const pack_options& options, std::size_t stream_bytes) {
        const std::size_t scales = options.scale.size();
        if (options.group != 0) {
            if (!layout::is_group(options.group))
                return error(errc::bad_option, "group").outside(options.group, 32, 256);
            if (columns % options.group != 0)
                return error(errc::shape_mismatch, "group").got(options.group).divides(columns);
            const std::size_t needed = saturating_mul(rows, columns / options.group);
            if (scales != needed)
                return error(errc::shape_mismatch, "scale").got(scales).needs(needed);
        } else if (scales > 1 && scales != rows) {
            return error(errc::shape_mismatch, "scale").got(scales).needs(rows);
        }
        if (options.exponent_offset < -126 || options.exponent_offset > 126)
            return error(errc::bad_option, "exponent_offset")
                .outside(options.exponent_offset, -126, 126);
        for (std::size_t i = 0; i < scales; ++i) {
            const float given = options.scale[i], s = rounded(given, options.stored);
            const float real = std::ldexp(s, options.exponent_offset);
            if (!is_finite_result(s) || !is_finite_result(real))
                return error(errc::not_finite, "scale").at(i).got(given);
            if (real == 0 && given != 0) // it is too small for its type
                return error(errc::bad_option, "scale").at(i).got(given);
        }
        packed_matrix m;
        m.rows_ = rows;
        m.columns_ = columns;
        m.exponent_offset_ = options.exponent_offset;
        m.group_ = options.group == columns ? 0 : options.group; // one group is the row
        m.stored_ = options.stored;
        auto stream = buffer<std::uint8_t>::make(stream_bytes);
        auto abs_sums = buffer<std::int64_t>::make(rows);
        auto sums = buffer<std::int64_t>::make(rows);
        auto scale = buffer<float>::copy_of(options.scale);
        if (!stream)
            return stream.error();
        if (!abs_sums)
            return abs_sums.error();
        if (!sums)
            return sums.error();
        if (!scale)
            return scale.error();
        m.stream_ = *std::move(stream);
        m.abs_sums_ = *std::move(abs_sums);
        m.sums_ = *std::move(sums);
        m.scale_ = *std::move(scale);
        for (std::size_t i = 0; i < scales; ++i)
            m.scale_[i] = rounded(m.scale_[i], options.stored);
        return m;
    }
    [[nodiscard]] static float rounded(float scale, scale_type stored) noexcept {
        return layout::from_bits(layout::to_bits(scale, stored), stored);
    }

    status sum_rows() noexcept {
        for (std::size_t r = 0; r < rows_; ++r)
            for (std::size_t c = 0; c < columns_; ++c) {
                const unsigned k = code(r, c);
                if (!F::valid(k))
                    return error(errc::reserved_code, "weights").at(r * columns_ + c).got(k);
                const auto k8 = static_cast<std::uint8_t>(k);
                add(r, std::span(&k8, 1));
            }
        return {};
    }
    /// Adds the values of at most 256 valid codes to the two sums of a row.
    void add(std::size_t row, std::span<const std::uint8_t> some) noexcept {
        int sum = 0, abs_sum = 0; // 256 values of at most 16 bits fit an int
        for (const std::uint8_t k : some) {
            const int v = values[k];
            sum += v;
            abs_sum += v < 0 ? -v : v;
        }
        sums_[row] += sum;
        abs_sums_[row] += abs_sum;
    }
    /// Packs `count` codes into the stream from the byte `to` on. Sets the codes beyond `count` up
    /// to the next multiple of eight to 0: the array must have room for them.
    static void put_codes(std::uint8_t* codes, std::size_t count, std::uint8_t* to) noexcept {
        std::fill(codes + count, codes + (count + 7) / 8 * 8, std::uint8_t{0});
        for (std::size_t i = 0; i < count; i += 8) {
            std::uint64_t eight = 0;
            for (std::size_t j = 0; j < 8; ++j)
                eight |= std::uint64_t{codes[i + j]} << (j * F::bits);
            const std::size_t bytes =
                std::min<std::size_t>(F::bits, ((count - i) * F::bits + 7) / 8);
            for (std::size_t b = 0; b < bytes; ++b, eight >>= 8)
                *to++ = static_cast<std::uint8_t>(eight);
        }
    }

    /// The value of each code as a table: comparing codes instead would take branches that a
    /// processor cannot predict, because weights are as good as random.
    static constexpr auto values = [] {
        std::array<int, static_cast<std::size_t>(F::codes)> all{};
        for (unsigned k = 0; k < unsigned{F::codes}; ++k)
            all[k] = F::value(k);
        return all;
    }();

    std::size_t rows_ = 0;
    std::size_t columns_ = 0;
    int exponent_offset_ = 0;
    std::size_t group_ = 0;
    scale_type stored_ = scale_type::binary32;
    buffer<std::uint8_t> stream_;
    std::span<const std::uint8_t> borrowed_; ///< used instead of `stream_` if its data is not null
    buffer<std::int64_t> abs_sums_;
    buffer<std::int64_t> sums_;
    buffer<float> scale_;
};

/// Packs `rows`·`columns` weights, given row-major, each of which must be a value of the format
/// times 2^exponent_offset. A floating-point −0.0 is packed as zero.
template <weight_format F, class T>
requires std::is_arithmetic_v<T> result<packed_matrix<F>> pack(std::span<const T> weights,
                                                               std::size_t rows,
                                                               std::size_t columns,
                                                               const pack_options& options = {}) {
    if (weights.size() != saturating_mul(rows, columns))
        return error(errc::shape_mismatch, "weights")
            .got(weights.size())
            .needs(saturating_mul(rows, columns));
    const double unit = 1 / std::ldexp(1.0, options.exponent_offset);
    auto packed = packed_matrix<F>::from_codes(rows, columns, options, [=](std::size_t) {
        return [=](std::size_t i) {
            // A product that overflows to infinity, or underflows to zero, is not a value of the
            // format.
            const double real = static_cast<double>(weights[i]), value = real * unit;
            const bool inside = is_finite(real) && value >= F::min_value && value <= F::max_value;
            const int whole = inside ? static_cast<int>(value) : 0;
            const bool exact = inside && static_cast<double>(whole) == value &&
                               (whole != 0 || bit_cast<std::uint64_t>(real) << 1 == 0);
            return exact ? F::code_of(whole) : -1;
        };
    });
    if (!packed && packed.error().code == errc::not_in_format) {
        const auto i = static_cast<std::size_t>(packed.error().index);
        const double real = static_cast<double>(weights[i]);
        if (!is_finite(real))
            return error(errc::not_finite, "weights").at(i).got(real);
        return error(errc::not_in_format, "weights")
            .at(i)
            .got(real)
            .limit(real < F::min_value ? F::min_value : F::max_value);
    }
    return packed;
}

template <weight_format F, class Range>
requires requires(const Range& r) {
    std::span(r);
}
[[nodiscard]] auto pack(const Range& weights, std::size_t rows, std::size_t columns,
                        const pack_options& options = {}) {
    using T = std::remove_cv_t<typename decltype(std::span(weights))::element_type>;
    return pack<F, T>(std::span<const T>(weights), rows, columns, options);
}

/// Writes value · 2^exponent_offset of every weight, row-major: the exact inverse of `pack`. A
/// target of integers requires exponent_offset = 0. The target's type must be able to hold every
/// weight; else nothing is written.
template <weight_format F, class T>
requires std::is_arithmetic_v<T> status unpack(const packed_matrix<F>& packed,
                                               std::span<T> weights) {
    if (weights.size() != packed.size())
        return error(errc::shape_mismatch, "weights").got(weights.size()).needs(packed.size());
    if (std::is_integral_v<T> && packed.exponent_offset() != 0)
        return error(errc::bad_option, "exponent_offset").got(packed.exponent_offset()).needs(0);
    const auto value = [&](std::size_t i) {
        return F::value(layout::get<F::bits>(packed.stream().data(), i));
    };
    const auto real = [&](std::size_t i) {
        return std::ldexp(static_cast<double>(value(i)), packed.exponent_offset());
    };
    for (std::size_t i = 0; i < weights.size(); ++i) {
        bool fits = true;
        if constexpr (std::is_integral_v<T>)
            fits = static_cast<int>(static_cast<T>(value(i))) == value(i) &&
                   (std::is_signed_v<T> || value(i) >= 0);
        else
            fits = std::abs(real(i)) <= std::numeric_limits<T>::max();
        if (!fits)
            return error(errc::not_in_format, "weights").at(i).got(real(i));
    }
    for (std::size_t i = 0; i < weights.size(); ++i)
        if constexpr (std::is_integral_v<T>)
            weights[i] = static_cast<T>(value(i));
        else
            weights[i] = static_cast<T>(real(i));
    return {};
}

/// The order in which the caller's weights lie in memory: this library's (ohwi) or PyTorch's
/// (oihw).
enum class filter_order : unsigned char { ohwi, oihw };

/// The weights of a convolution, packed as a matrix whose rows are [height][width][in_channels],
/// one row for each output channel.
template <weight_format F>
struct packed_filter {
    using format = F;
    packed_matrix<F> matrix;
    filter_shape shape;
};

template <weight_format F, class Range>
requires requires(const Range& r) {
    std::span(r);
}
result<packed_filter<F>> pack_filter(const Range& weights, const filter_shape& shape,
                                     filter_order order = filter_order::ohwi,
                                     const pack_options& options = {}) {
    using T = std::remove_cv_t<typename decltype(std::span(weights))::element_type>;
    const std::span<const T> given(weights);
    const std::size_t count = saturating_mul(shape.out_channels, shape.columns());
    if (given.size() != count)
        return error(errc::shape_mismatch, "weights").got(given.size()).needs(count);
    const auto finish = [&](std::span<const T> w) -> result<packed_filter<F>> {
        auto matrix = pack<F, T>(w, shape.out_channels, shape.columns(), options);
        if (!matrix)
            return matrix.error();
        return packed_filter<F>{*std::move(matrix), shape};
    };
    if (order == filter_order::ohwi)
        return finish(given);
    auto permuted = buffer<T>::make(count);
    if (!permuted)
        return permuted.error();
    const std::size_t taps = shape.height * shape.width;
    for (std::size_t o = 0, i = 0; o < shape.out_channels; ++o)
        for (std::size_t c = 0; c < shape.in_channels; ++c)
            for (std::size_t t = 0; t < taps; ++t, ++i)
                (*permuted)[(o * taps + t) * shape.in_channels + c] = given[i];
    return finish(permuted->span());
}

} // namespace s3

#pragma once
// The order of the rows of a query's or key's weights, which rotary embedding depends on: it turns
// components i and i + w/2 of a head of width w together (half-split, as Hugging Face's checkpoints
// have them) or 2i and 2i + 1 (interleaved). llama.cpp interleaves the rows of models of the
// architecture "llama" when it writes GGUF files, and leaves those of most others as they were: the
// file's metadata do not say so, its architecture does.

#include <s3/pack/pack.hpp>

namespace s3::importing {

/// The interleaved row that becomes half-split row `row`.
[[nodiscard]] constexpr std::size_t interleaved_row(std::size_t row,
                                                    std::size_t head_width) noexcept {
    const std::size_t head = row / head_width, i = row % head_width, half = head_width / 2;
    return head * head_width + (i < half ? 2 * i : 2 * (i - half) + 1);
}

/// The same weights and scales with their interleaved rows in half-split order. Errors: a width
/// that is odd or does not divide the rows; no memory.
template <weight_format F>
result<packed_matrix<F>> half_split_rows(const packed_matrix<F>& w, std::size_t head_width) {
    if (head_width == 0 || head_width % 2 != 0 || w.rows() % head_width != 0)
        return error(errc::shape_mismatch, "head_width").got(head_width).needs(w.rows());
    const std::size_t per_row = w.scales_per_row();
    auto scale = buffer<float>::copy_of(w.scale());
    if (!scale)
        return scale.error();
    if (w.scale().size() > 1)
        for (std::size_t row = 0; row < w.rows(); ++row)
            for (std::size_t g = 0; g < per_row; ++g)
                (*scale)[row * per_row + g] =
                    w.scale()[interleaved_row(row, head_width) * per_row + g];
    const auto code = [&w, head_width](std::size_t i) {
        const std::size_t row = i / w.columns(), column = i % w.columns();
        return static_cast<int>(w.code(interleaved_row(row, head_width), column));
    };
    return packed_matrix<F>::from_codes(w.rows(), w.columns(),
                                        {w.exponent_offset(), scale->span(), w.group(), w.stored()},
                                        [&code](std::size_t) { return code; });
}

} // namespace s3::importing

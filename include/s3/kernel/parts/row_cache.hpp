#pragma once
// The image rows under a line of output windows, as unsigned bytes (signed ones + 128) that include
// padding. A row that needs neither padding nor another sign is read in place. Other rows are
// copied once, and copies are kept while lines of outputs further down need them, too.

#include <s3/core/conv.hpp>
#include <s3/core/view.hpp>
#include <s3/format/activation.hpp>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace s3::kernel {

/// `Filter` has a `shape`, row_bytes(), the size of a copied row, and read_bytes(count), the bytes
/// that tiles read of a row for `count` outputs, including those behind the last pixel.
template <activation X, class Filter>
class row_cache {
    /// The contents of a copied row: the pixels under the windows of `count` outputs.
    struct place {
        std::size_t image = 0, row = 0, left = 0, count = 0;
        friend bool operator==(const place&, const place&) = default;
    };

    const Filter& filter;
    const image_view<const X>& x;
    const conv_options& options;
    std::uint8_t* copies;
    const std::uint8_t** at;
    place* held;

public:
    static std::size_t bytes(const Filter& f) noexcept {
        return f.shape.height * (f.row_bytes() + sizeof(place) + sizeof(void*));
    }
    /// `memory` is aligned to 64 bytes and has bytes(f) bytes.
    row_cache(const Filter& f, const image_view<const X>& image, const conv_options& o,
              std::byte* memory) noexcept
        : filter(f), x(image), options(o), copies(reinterpret_cast<std::uint8_t*>(memory)) {
        at = reinterpret_cast<const std::uint8_t**>(copies + f.shape.height * f.row_bytes());
        held = reinterpret_cast<place*>(at + f.shape.height);
        std::fill_n(held, f.shape.height, place{});
    }

    /// Pointers to the rows under `count` outputs, the first of which has this window.
    const std::uint8_t* const* rows(const s3::detail::pixel_window& window,
                                    std::size_t count) noexcept {
        const std::size_t height = filter.shape.height;
        for (std::size_t r = 0; r < height; ++r) {
            const std::size_t row = window.row(r, options);
            const place wanted{window.image, row, window.left, count};
            at[r] = in_place(wanted);
            if (at[r] != nullptr)
                continue;
            // With dilation 1, a row has the same slot for all lines, so the next line's windows
            // find its copy.
            const std::size_t slot =
                options.dilation.height == 1 ? (row + options.padding.height) % height : r;
            std::uint8_t* const copy_at = copies + slot * filter.row_bytes();
            at[r] = copy_at;
            if (held[slot] != wanted)
                copy(wanted, copy_at);
            held[slot] = wanted;
        }
        return at;
    }

private:
    /// The row's place in the image if it can be read there, as far as tiles read it; else null.
    const std::uint8_t* in_place(const place& p) const noexcept {
        if (std::is_signed_v<X> || p.row >= x.height || p.left >= x.width ||
            pixels(p.count) > x.width - p.left)
            return nullptr;
        const std::size_t first = x.index(p.image, p.row, p.left, 0);
        return filter.read_bytes(p.count) <= x.data.size() - first
                   ? reinterpret_cast<const std::uint8_t*>(x.data.data()) + first
                   : nullptr;
    }
    /// The number of image pixels that lie under `count` outputs.
    std::size_t pixels(std::size_t count) const noexcept {
        return (count - 1) * options.stride.width + filter.shape.width;
    }
    void copy(const place& p, std::uint8_t* to) const noexcept {
        const std::size_t channels = filter.shape.in_channels, wanted = pixels(p.count);
        constexpr std::uint8_t flip = std::is_signed_v<X> ? 128 : 0;
        const auto pad =
            static_cast<std::uint8_t>(static_cast<std::uint8_t>(options.padding_value) ^ flip);
        // Column numbers below zero wrap, so columns left of the image seem larger than any in it.
        const bool starts_left = p.left > x.width;
        const std::size_t before = p.row >= x.height ? wanted
                                   : starts_left     ? std::min(wanted, std::size_t{0} - p.left)
                                                     : 0;
        const std::size_t first = starts_left ? 0 : p.left;
        const std::size_t inside = std::min(wanted - before, x.width - std::min(first, x.width));
        to = std::fill_n(to, before * channels, pad);
        if (inside != 0) {
            const X* from = x.data.data() + x.index(p.image, p.row, first, 0);
            for (std::size_t i = 0; i < inside * channels; ++i)
                to[i] = static_cast<std::uint8_t>(static_cast<std::uint8_t>(from[i]) ^ flip);
            to += inside * channels;
        }
        std::fill_n(to, (wanted - before - inside) * channels, pad);
    }
};

} // namespace s3::kernel

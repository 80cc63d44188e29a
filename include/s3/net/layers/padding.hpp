#pragma once
// A border around each image, of the zero point, which stands for the real number 0: for
// convolutions whose padding differs from side to side, as TensorFlow's with a stride does, and for
// those that see only the past of a sequence. y has the scale and zero point of the input.

#include <s3/net/layer.hpp>

#include <cstring>

namespace s3::net {

struct padding {
    value_id input = {};
    extent before = 0; ///< rows above, and columns to the left
    extent after = 0;  ///< rows below, and columns to the right

    static constexpr std::array names{"padding"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("input", l.input);
        f("before", l.before);
        f("after", l.after);
    }

    result<value_info> infer(const layer_site& s) const {
        const value_info& in = s[input];
        const auto padded = [](std::size_t size, std::size_t first, std::size_t last) {
            return saturating_add(saturating_add(size, first), last);
        };
        return detail::resized(in,
                               {padded(in.height, before.height, after.height),
                                padded(in.width, before.width, after.width)},
                               in.channels);
    }
    status check(const layer_site& s) const {
        return detail::check_same_numbers(s.out(), s[input]);
    }

    /// From the last row to the first, y may be written over the input: no row of y lies before the
    /// row of the input that it is made of.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site&, write_order order) const {
        if (order == write_order::any)
            return {};
        return {input};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        const value_info &in = s[input], &out = s.out();
        const auto x = s.bytes(input);
        const auto zero = static_cast<std::uint8_t>(in.zero_point);
        const std::size_t left = before.width * in.channels, inner = in.width * in.channels,
                          right = after.width * in.channels;
        s.in_pieces(s.batch * out.height, [&](std::size_t begin, std::size_t end) {
            for (std::size_t n = end; n-- > begin;) {
                const std::size_t row = n % out.height - before.height; // above the image it wraps
                std::uint8_t* const to = y + n * (left + inner + right);
                if (row >= in.height) {
                    std::fill_n(to, left + inner + right, zero);
                    continue;
                }
                std::memmove(to + left, x.data() + (n / out.height * in.height + row) * inner,
                             inner);
                std::fill_n(to, left, zero);
                std::fill_n(to + left + inner, right, zero);
            }
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        const auto x = s.image(input);
        const auto to = s.output(y);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t pixel = i / to.channels, image = pixel / (to.height * to.width);
            const std::size_t h = pixel / to.width % to.height, w = pixel % to.width;
            const bool inside = h >= before.height && h < before.height + x.height &&
                                w >= before.width && w < before.width + x.width;
            y[i] =
                inside
                    ? x.data[x.index(image, h - before.height, w - before.width, i % to.channels)]
                    : s[input].zero_point;
        }
    }

    template <class Writer>
    void emit(Writer& w) const {
        w.call("pad", {w.number(before.height), w.number(before.width), w.shape(input),
                       w.shape_out(), w.value(input), w.number(w[input].zero_point), w.result()});
    }
};

} // namespace s3::net

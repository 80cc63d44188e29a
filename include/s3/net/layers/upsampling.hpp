#pragma once
// Nearest neighbours: each pixel becomes factor.height × factor.width equal ones. y has the scale
// and zero point of the input.
//
//   y[h][w] = x[h / factor.height][w / factor.width]

#include <s3/net/layer.hpp>

#include <cstring>

namespace s3::net {

struct upsampling {
    value_id input = {};
    extent factor = 2;

    static constexpr std::array names{"upsampling"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("input", l.input);
        f("factor", l.factor);
    }

    result<value_info> infer(const layer_site& s) const {
        if (factor.height == 0 || factor.width == 0)
            return error(errc::bad_option, "factor").got(0);
        const value_info& in = s[input];
        return detail::resized(
            in, {saturating_mul(in.height, factor.height), saturating_mul(in.width, factor.width)},
            in.channels);
    }
    status check(const layer_site& s) const {
        return detail::check_same_numbers(s.out(), s[input]);
    }

    /// From the last pixel to the first, y may be written over the input: no pixel of y lies before
    /// the pixel of the input that it equals.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site&, write_order order) const {
        if (order == write_order::any)
            return {};
        return {input};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        const value_info &in = s[input], &out = s.out();
        const auto x = s.bytes(input);
        const std::size_t from_row = in.width * in.channels, to_row = out.width * out.channels;
        s.in_pieces(s.batch * out.height, [&](std::size_t begin, std::size_t end) {
            for (std::size_t row = end; row-- > begin;) { // over all images of the batch
                const std::uint8_t* const from = x.data() + row / factor.height * from_row;
                std::uint8_t* to = y + (row + 1) * to_row;
                for (std::size_t w = in.width; w-- > 0;)
                    for (std::size_t i = 0; i < factor.width; ++i)
                        std::memmove(to -= in.channels, from + w * in.channels, in.channels);
            }
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        const auto x = s.image(input);
        const auto to = s.output(y);
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t pixel = i / to.channels, row = pixel / to.width;
            y[i] = x.data[x.index(row / to.height, row % to.height / factor.height,
                                  pixel % to.width / factor.width, i % to.channels)];
        }
    }

    template <class Writer>
    void emit(Writer& w) const {
        w.call("upsample", {w.number(factor.height), w.number(factor.width), w.shape(input),
                            w.value(input), w.result()});
    }
};

} // namespace s3::net

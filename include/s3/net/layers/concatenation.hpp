#pragma once
// The channels of several values, one value after the other, at each pixel. Every input brings a
// scale of its own:
//
//   y = clamp(round((q − zero point of the input)·scale) + zero point of y) to y's bits

#include <s3/net/layer.hpp>
#include <s3/ops/store.hpp>

namespace s3::net {

struct concatenation {
    std::vector<scaled_input> inputs = {}; ///< at least one; scale of the input / scale of y

    static constexpr std::array names{"concatenation"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("inputs", l.inputs);
    }

    result<value_info> infer(const layer_site& s) const {
        if (inputs.empty())
            return error(errc::bad_option, "inputs").got(0);
        value_info shape = s[inputs[0].value];
        std::size_t channels = 0;
        for (const scaled_input& from : inputs) {
            const value_info& in = s[from.value];
            shape.channels = in.channels;
            if (auto same = detail::check_shape(in, shape); !same)
                return same.error();
            channels = saturating_add(channels, in.channels);
        }
        return detail::resized(shape, shape.image_size(), channels);
    }
    status check(const layer_site&) const {
        for (const scaled_input& from : inputs)
            if (auto s = detail::check_scale(from.scale, "inputs.scale"); !s)
                return s;
        return {};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        const value_info& out = s.out();
        s.in_pieces(s.batch * out.height * out.width, [&](std::size_t begin, std::size_t end) {
            std::size_t first = 0; // the channel of y where the next input begins
            for (const scaled_input& from : inputs) {
                place(s, from, first, begin, end, y);
                first += s[from.value].channels;
            }
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        const value_info& out = s.out();
        std::size_t first = 0;
        for (const scaled_input& from : inputs) {
            const std::size_t channels = s[from.value].channels;
            for (std::size_t i = 0; i < s.computed[from.value].size(); ++i)
                y[i / channels * out.channels + first + i % channels] =
                    std::clamp(scale_round(s.centered(from.value, i), from.scale) + out.zero_point,
                               0, out.top());
            first += channels;
        }
    }

    template <class Writer>
    void emit(Writer& w) const {
        const auto& out = w.out();
        std::size_t first = 0;
        for (const scaled_input& from : inputs) {
            w.call("place", {w.number(out.height * out.width), w.number(w[from.value].channels),
                             w.number(out.channels), w.scaled(from.value, from.scale),
                             w.range(0, out.top()), w.result() + " + " + w.number(first)});
            first += w[from.value].channels;
        }
    }

private:
    /// Writes pixels [begin, end) of an input to the channels of y from `first` on.
    template <architecture Arch>
    static void place(const run_site<Arch>& s, const scaled_input& from, std::size_t first,
                      std::size_t begin, std::size_t end, std::uint8_t* y) {
        constexpr std::size_t chunk = 64;
        const value_info &in = s[from.value], &out = s.out();
        const std::uint8_t* const x = s.bytes(from.value).data();
        if (from.scale == 1 && in.zero_point == out.zero_point && in.bits <= out.bits) {
            for (std::size_t n = begin; n < end; ++n)
                std::copy_n(x + n * in.channels, in.channels, y + n * out.channels + first);
            return;
        }
        const epilogue e{.scale = {&from.scale, 1},
                         .zero_point = out.zero_point,
                         .clamp_low = 0,
                         .clamp_high = out.top()};
        const s3::detail::integer_store<Arch, std::uint8_t> sink{
            y, {1, out.channels, 0, 1, first}, e};
        for (std::size_t n = begin; n < end; ++n)
            for (std::size_t c = 0; c < in.channels; c += chunk) {
                std::int32_t sums[chunk];
                const std::size_t count = std::min(chunk, in.channels - c);
                for (std::size_t i = 0; i < count; ++i)
                    sums[i] = x[n * in.channels + c + i] - in.zero_point;
                sink(n, c, count, sums);
            }
    }
};

} // namespace s3::net

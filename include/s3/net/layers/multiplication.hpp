#pragma once
// The product of two values, element by element. b has the shape of a, or is one value per channel
// (height and width are 1), as squeeze-and-excite needs (Hu et al., CVPR 2018):
//
//   y = clamp(round((a − zero point of a)·(b − zero point of b)·scale) + zero point of y,
//             clamp_low, clamp_high)
//
// The product of the two differences, at most 255², is an exact integer, and so an exact float; it
// is multiplied once by `scale` and rounded half to even (core/requantize.hpp).

#include <s3/net/layer.hpp>
#include <s3/ops/store.hpp>

namespace s3::net {

struct multiplication {
    value_id a = {};
    value_id b = {};
    float scale = 1; ///< scale of a · scale of b / scale of y
    std::int32_t clamp_low = 0;
    std::int32_t clamp_high = 255;

    static constexpr std::array names{"multiplication"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("a", l.a);
        f("b", l.b);
        f("scale", l.scale);
        f("low", l.clamp_low);
        f("high", l.clamp_high);
    }

    result<value_info> infer(const layer_site& s) const {
        value_info wanted = s[a];
        if (is_per_channel(s))
            wanted.height = wanted.width = 1;
        if (auto same = detail::check_shape(s[b], wanted); !same)
            return same.error();
        return s[a];
    }
    status check(const layer_site& s) const {
        return detail::first_of({detail::check_scale(scale, "scale"),
                                 detail::check_limits(clamp_low, clamp_high, s.out())});
    }

    /// Elements of a are read just before the same elements of y are written, and those of b unless
    /// they are one per channel.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site& s, write_order) const {
        if (is_per_channel(s))
            return {a};
        return {a, b};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        constexpr std::size_t chunk = 64;
        const auto from_a = s.bytes(a), from_b = s.bytes(b);
        const std::int32_t a_zero = s[a].zero_point, b_zero = s[b].zero_point;
        const value_info& out = s.out();
        const epilogue e{.scale = {&scale, 1},
                         .zero_point = out.zero_point,
                         .clamp_low = clamp_low,
                         .clamp_high = clamp_high};
        const s3::detail::integer_store<Arch, std::uint8_t> sink{y, {}, e};
        // Work is counted in runs of elements that lie one after the other in a, b and y: the
        // channels of a pixel or, where b has the shape of a, whole images.
        const bool per_channel = is_per_channel(s);
        const std::size_t length = per_channel ? out.channels : out.size();
        const std::size_t chunks = (length + chunk - 1) / chunk, runs = from_a.size() / length;
        const std::size_t runs_of_b = per_channel ? out.height * out.width : 1;
        s.in_pieces(runs * chunks, [&](std::size_t begin, std::size_t end) {
            for (std::size_t p = begin; p < end; ++p) {
                const std::size_t first = p % chunks * chunk, run = p / chunks;
                const std::size_t count = std::min(chunk, length - first);
                const std::uint8_t* const pa = from_a.data() + run * length + first;
                const std::uint8_t* const pb = from_b.data() + run / runs_of_b * length + first;
                std::int32_t products[chunk];
                for (std::size_t i = 0; i < count; ++i)
                    products[i] = (pa[i] - a_zero) * (pb[i] - b_zero);
                sink(0, run * length + first, count, products);
            }
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        const value_info& out = s.out();
        for (std::size_t i = 0; i < y.size(); ++i) {
            const std::size_t image = i / out.size();
            const std::size_t j = is_per_channel(s) ? image * out.channels + i % out.channels : i;
            y[i] =
                std::clamp(scale_round(s.centered(a, i) * s.centered(b, j), scale) + out.zero_point,
                           clamp_low, clamp_high);
        }
    }

    template <class Writer>
    void emit(Writer& w) const {
        const bool per_channel = w[b].height * w[b].width == 1;
        w.call("multiply", {w.number(w.out().height * w.out().width), w.number(w.out().channels),
                            w.value(a), w.number(w[a].zero_point), w.value(b),
                            w.number(w[b].zero_point), w.number(per_channel ? 0 : w.out().channels),
                            w.real(scale), w.range(clamp_low, clamp_high), w.result()});
    }

private:
    [[nodiscard]] bool is_per_channel(const layer_site& s) const {
        return s[b].height == 1 && s[b].width == 1;
    }
};

} // namespace s3::net

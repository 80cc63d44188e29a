#pragma once
// The sum of two values of the same shape, each with a scale of its own, element by element:
//
//   y = clamp(round((a − zero point of a)·a_scale) + zero point of y
//             + round((b − zero point of b)·b_scale), clamp_low, clamp_high)

#include <s3/net/layer.hpp>
#include <s3/ops/store.hpp>

namespace s3::net {

struct addition {
    value_id a = {};
    value_id b = {};
    float a_scale = 1;
    float b_scale = 1;
    std::int32_t clamp_low = 0;
    std::int32_t clamp_high = 255;

    static constexpr std::array names{"addition"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("a", l.a);
        f("b", l.b);
        f("a_scale", l.a_scale);
        f("b_scale", l.b_scale);
        f("low", l.clamp_low);
        f("high", l.clamp_high);
    }

    result<value_info> infer(const layer_site& s) const {
        if (auto same = detail::check_shape(s[b], s[a]); !same)
            return same.error();
        return s[a];
    }
    status check(const layer_site& s) const {
        return detail::first_of({detail::check_scale(a_scale, "a_scale"),
                                 detail::check_scale(b_scale, "b_scale"),
                                 detail::check_limits(clamp_low, clamp_high, s.out())});
    }

    /// Each element of a and b is read just before the same element of y is written.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site&, write_order) const {
        return {a, b};
    }

    /// Element by element, a is the sum in an epilogue whose residual is b.
    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        constexpr std::size_t chunk = 64;
        const auto from = s.bytes(a);
        const std::int32_t a_zero = s[a].zero_point;
        const epilogue e{.scale = {&a_scale, 1},
                         .zero_point = s.out().zero_point,
                         .clamp_low = clamp_low,
                         .clamp_high = clamp_high,
                         .residual = s.bytes(b),
                         .residual_scale = b_scale,
                         .residual_zero_point = s[b].zero_point};
        const s3::detail::integer_store<Arch, std::uint8_t> sink{y, {}, e};
        s.in_pieces((from.size() + chunk - 1) / chunk, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin * chunk; i < std::min(end * chunk, from.size());
                 i += chunk) {
                std::int32_t sums[chunk];
                const std::size_t count = std::min(chunk, from.size() - i);
                for (std::size_t j = 0; j < count; ++j)
                    sums[j] = from[i + j] - a_zero;
                sink(0, i, count, sums);
            }
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        for (std::size_t i = 0; i < y.size(); ++i)
            y[i] = std::clamp(scale_round(s.centered(a, i), a_scale) + s.out().zero_point +
                                  scale_round(s.centered(b, i), b_scale),
                              clamp_low, clamp_high);
    }

    template <class Writer>
    void emit(Writer& w) const {
        w.call("add", {w.number(w.out().size()), w.scaled(a, a_scale), w.scaled(b, b_scale),
                       w.range(clamp_low, clamp_high), w.result()});
    }
};

} // namespace s3::net

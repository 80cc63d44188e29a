#pragma once
// Small networks at random: every kind of layer, any format of a list, values of 8, 6 and 4 bits,
// residuals and sums of whatever fits; and the comparison of `net::run` with the interpreter, with
// guard pages around all memory, which has exactly the size that was asked for.

#include <s3/net/program.hpp>
#include <s3/net/reference.hpp>

#include "guarded.hpp"
#include "random.hpp"
#include "threads.hpp"
#include "weights.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <sstream>
#include <string>
#include <vector>

namespace s3::test {

template <class Formats>
class network_maker;
template <weight_format... F>
class network_maker<format_list<F...>> {
public:
    explicit network_maker(random& r) : r_(r) {}

    /// A network of at least so many layers.
    [[nodiscard]] net::model make(std::size_t layers) {
        m_ = {};
        m_.output_scale = 0.125f;
        const std::size_t channels[] = {1, 3, 4, 8, 17, 32, 64};
        m_.values.push_back(value({1 + r_.below(9), 1 + r_.below(9), channels[r_.below(7)]}));
        while (m_.layers.size() < layers)
            add(m_.layers.size() + 1 == layers);
        return std::move(m_);
    }

private:
    [[nodiscard]] net::value_info value(net::value_info v) {
        const int bits[] = {8, 8, 6, 4};
        v.bits = bits[r_.below(4)];
        v.scale = 0.5f + static_cast<float>(r_.below(64)) / 64;
        v.zero_point = r_.below(2) == 0 ? 0 : r_.between(0, v.top());
        return v;
    }
    void push(net::value_info v, net::layer_list::any operation) {
        m_.values.push_back(v);
        m_.layers.push_back({"layer " + std::to_string(m_.layers.size()), std::move(operation)});
    }
    /// Mostly a recent value.
    [[nodiscard]] std::size_t some_value() {
        const std::size_t last = m_.values.size() - 1;
        return r_.below(3) == 0 ? r_.below(last + 1) : last;
    }
    [[nodiscard]] std::vector<std::size_t> like(const net::value_info& shape) const {
        std::vector<std::size_t> found;
        for (std::size_t v = 0; v < m_.values.size(); ++v)
            if (m_.values[v].height == shape.height && m_.values[v].width == shape.width &&
                m_.values[v].channels == shape.channels)
                found.push_back(v);
        return found;
    }
    void limits(std::int32_t& low, std::int32_t& high, const net::value_info& v) {
        low = r_.below(2) == 0 ? 0 : v.zero_point;
        high = r_.below(3) == 0 ? r_.between(low, v.top()) : v.top();
    }

    void add(bool last) {
        const std::size_t input = some_value();
        const net::value_info in = m_.values[input];
        switch (r_.below(13)) {
        case 0:
            return add_pooling(input, in);
        case 1:
            return add_sum(input, in);
        case 2:
            return add_table(input, in);
        case 3:
            return add_product(input, in);
        case 4:
            return add_concatenation(input, in);
        case 5:
            return add_upsampling(input, in);
        case 6:
            return add_padding(input, in);
        default:
            return add_convolution(input, in, last && r_.below(2) == 0);
        }
    }

    void add_pooling(std::size_t input, const net::value_info& in) {
        net::pooling p;
        p.input = input;
        p.kind = r_.below(2) == 0 ? net::pooling_kind::max : net::pooling_kind::mean;
        p.window = {1 + r_.below(std::min<std::size_t>(in.height, 4)),
                    1 + r_.below(std::min<std::size_t>(in.width, 4))};
        p.stride = {1 + r_.below(3), 1 + r_.below(3)};
        p.padding = {r_.below(p.window.height), r_.below(p.window.width)};
        if (r_.below(3) == 0)
            p = {.input = input, .kind = p.kind, .window = {in.height, in.width}};
        const extent out =
            *output_extent(in.height, in.width, {1, p.window.height, p.window.width, 1},
                           {.stride = p.stride, .padding = p.padding});
        net::value_info v = value({out.height, out.width, in.channels});
        if (p.kind == net::pooling_kind::max) {
            v.bits = in.bits;
            v.scale = in.scale;
            v.zero_point = in.zero_point;
        }
        p.scale = in.scale / v.scale / static_cast<float>(p.window.height * p.window.width);
        push(v, p);
    }

    void add_sum(std::size_t a, const net::value_info& in) {
        const auto partners = like(in);
        net::addition s;
        s.a = a;
        s.b = partners[r_.below(partners.size())];
        s.a_scale = r_.real();
        s.b_scale = 2 * r_.real();
        const net::value_info v = value({in.height, in.width, in.channels});
        limits(s.clamp_low, s.clamp_high, v);
        push(v, s);
    }

    void add_table(std::size_t input, const net::value_info& in) {
        const net::value_info v = value({in.height, in.width, in.channels});
        net::table t{input, {}};
        for (int q = 0; q <= in.top(); ++q)
            t.entries.push_back(static_cast<std::uint8_t>(r_.between(0, v.top())));
        push(v, std::move(t));
    }

    /// Of two values of one shape, or of a value and the mean of each of its channels.
    void add_product(std::size_t a, net::value_info in) {
        std::size_t b = a;
        if (r_.below(2) == 0) {
            b = m_.values.size();
            net::pooling mean{
                .input = a, .kind = net::pooling_kind::mean, .window = {in.height, in.width}};
            const net::value_info v = value({1, 1, in.channels});
            mean.scale = in.scale / v.scale / static_cast<float>(in.height * in.width);
            push(v, mean);
        } else {
            const auto partners = like(in);
            b = partners[r_.below(partners.size())];
        }
        const net::value_info v = value({in.height, in.width, in.channels});
        net::multiplication p{a, b, 8 * r_.real() / static_cast<float>(v.top())};
        limits(p.clamp_low, p.clamp_high, v);
        push(v, p);
    }

    void add_concatenation(std::size_t input, const net::value_info& in) {
        std::vector<std::size_t> partners;
        for (std::size_t i = 0; i < m_.values.size(); ++i)
            if (m_.values[i].height == in.height && m_.values[i].width == in.width)
                partners.push_back(i);
        net::value_info v = value({in.height, in.width, in.channels});
        net::concatenation c{{{input, r_.real() + 1.5f}}};
        if (r_.below(2) == 0) { // bytes that are copied
            c.inputs[0].scale = 1;
            v.zero_point = std::min(in.zero_point, v.top());
        }
        for (std::size_t more = r_.below(4); more > 0; --more) {
            const std::size_t i = partners[r_.below(partners.size())];
            if (v.channels + m_.values[i].channels > 150)
                break;
            v.channels += m_.values[i].channels;
            c.inputs.push_back({i, 2 * r_.real()});
        }
        std::rotate(c.inputs.begin(),
                    c.inputs.begin() + static_cast<std::ptrdiff_t>(r_.below(c.inputs.size())),
                    c.inputs.end());
        push(v, std::move(c));
    }

    void add_upsampling(std::size_t input, const net::value_info& in) {
        const std::size_t most = in.size() > 4000 ? 1 : 3; // so that networks stay small
        const net::upsampling u{input, {1 + r_.below(most), 1 + r_.below(most)}};
        net::value_info v = in;
        v.element = net::element_type::uint8;
        v.height *= u.factor.height;
        v.width *= u.factor.width;
        push(v, u);
    }

    void add_padding(std::size_t input, const net::value_info& in) {
        const net::padding p{input, {r_.below(3), r_.below(3)}, {r_.below(3), r_.below(3)}};
        net::value_info v = in;
        v.element = net::element_type::uint8;
        v.height += p.before.height + p.after.height;
        v.width += p.before.width + p.after.width;
        push(v, p);
    }

    void add_convolution(std::size_t input, const net::value_info& in, bool raw) {
        net::convolution c;
        c.input = input;
        filter_shape f;
        const std::size_t outputs[] = {1, 2, 5, 8, 16, 33, 64};
        f.out_channels = outputs[r_.below(7)];
        f.in_channels = in.channels;
        for (;;) {
            f.height = 1 + r_.below(3);
            f.width = 1 + r_.below(3);
            c.options.stride = {1 + r_.below(2), 1 + r_.below(2)};
            c.options.dilation = {1 + r_.below(2), 1 + r_.below(2)};
            c.options.padding = {r_.below(3), r_.below(3)};
            if (r_.below(6) == 0) { // after a flatten
                f.height = in.height;
                f.width = in.width;
                c.options = {};
            } else if (r_.below(4) == 0) { // 3 × 3 that keeps the shape, so that sums find partners
                f.height = f.width = 3;
                f.out_channels = in.channels;
                c.options = {.padding = 1};
            }
            if (output_extent(in.height, in.width, f, c.options))
                break;
        }
        c.options.padding_value = in.zero_point;
        if (r_.below(4) == 0 && in.channels > 1) { // depthwise, or a few groups
            c.options.groups = r_.below(2) == 0 || in.channels % 2 != 0 ? in.channels : 2;
            f.in_channels = in.channels / c.options.groups;
            f.out_channels = c.options.groups * (1 + r_.below(2));
        }
        const extent out = *output_extent(in.height, in.width, f, c.options);
        net::value_info v = value({out.height, out.width, f.out_channels});
        do { // 5-bit weights may add up to more than the kernels' proof allows
            std::size_t chosen = r_.below(sizeof...(F));
            (void)((chosen-- == 0 ? (c.filter = draw_filter<F>(f), true) : false) || ...);
        } while (largest_sum(c.filter) > 8'000'000);
        c.raw = raw;
        for (std::size_t m = 0; m < f.out_channels; ++m) {
            c.bias.push_back(r_.between(-300, 300));
            // Outputs spread over the bits, and some saturate.
            const auto sum = std::visit(
                [m](const auto& p) { return static_cast<float>(p.matrix.abs_sums()[m]); },
                c.filter);
            const float likely = (1 + sum) * static_cast<float>(in.top()) /
                                 std::sqrt(static_cast<float>(f.columns()));
            if (!raw)
                c.scale.push_back((r_.real() + 1.2f) * static_cast<float>(v.top()) / likely *
                                  (r_.below(5) == 0 ? -1.0f : 1.0f));
        }
        if (r_.below(4) == 0)
            c.bias.clear();
        if (raw) {
            v.element = net::element_type::int32;
            return push(v, std::move(c));
        }
        limits(c.clamp_low, c.clamp_high, v);
        const auto partners = like(v);
        if (!partners.empty() && r_.below(2) == 0)
            c.residual = {partners[r_.below(partners.size())], r_.real()};
        push(v, std::move(c));
    }

    [[nodiscard]] static std::int64_t largest_sum(const net::any_filter& filter) {
        return std::visit(
            [](const auto& f) {
                const auto sums = f.matrix.abs_sums();
                return *std::max_element(sums.begin(), sums.end());
            },
            filter);
    }
    template <weight_format G>
    [[nodiscard]] packed_filter<G> draw_filter(const filter_shape& f) {
        return *pack_filter<G>(random_weights<G>(r_, f.out_channels * f.columns()), f);
    }

    random& r_;
    net::model m_;
};

inline std::string describe(const net::model& m) {
    std::ostringstream s;
    for (std::size_t v = 0; v < m.values.size(); ++v) {
        const net::value_info& i = m.values[v];
        s << (v == 0 ? "" : " -> ");
        if (v != 0)
            net::detail::each_input_of(m.layers[v - 1],
                                       [&](std::size_t from) { s << from << ","; });
        s << i.height << "x" << i.width << "x" << i.channels << ":" << i.bits;
    }
    return s.str();
}

template <class Formats, class Archs>
class network_suite {
public:
    explicit network_suite(std::uint64_t seed) : seed_(seed), random_(seed) {}

    void run(int networks) {
        for (int i = 0; i < networks; ++i)
            check(network_maker<Formats>(random_).make(1 + random_.below(7)), random_.below(4));
        INFO("seed ", seed_, ", first: ", first_);
        CHECK(mismatches_ == 0);
        CHECK(runs_ > 0);
    }

private:
    void check(const net::model& m, std::size_t batch) {
        const side where = random_.below(2) == 0 ? side::lower : side::upper;
        const net::value_info& in = m.input();
        const auto x = input_.take<std::uint8_t>(batch * in.size(), where);
        for (auto& q : x)
            q = static_cast<std::uint8_t>(random_.between(0, in.top()));
        const auto values = net::reference::run(m, x, batch);
        INFO("seed ", seed_, ": ", describe(m));
        REQUIRE_MESSAGE(values, values.error().message());
        const auto& expected = values->back();
        const image_view<const std::uint8_t> images{x, batch, in.height, in.width, in.channels};
        Archs::each([&]<class Arch>() {
            for (const family kernels : {family::automatic, family::shift_add})
                for (const std::size_t workers : {1u, 2u}) {
                    const auto p = net::prepare<Formats, Arch>(
                        m, {.batch = 1 + random_.below(4), .kernels = kernels});
                    REQUIRE_MESSAGE(p, p.error().message());
                    const bool sums = m.output().element == net::element_type::int32;
                    const auto& last = m.output();
                    if (sums)
                        compare<std::int32_t>(*p, images, expected, where, workers, m,
                                              [](std::int32_t e) { return e; });
                    else
                        compare<std::uint8_t>(
                            *p, images, expected, where, workers, m,
                            [](std::int32_t e) { return static_cast<std::uint8_t>(e); });
                    compare<float>(*p, images, expected, where, workers, m, [&](std::int32_t e) {
                        return sums ? static_cast<float>(e) * m.output_scale
                                    : static_cast<float>(e - last.zero_point) * last.scale;
                    });
                }
        });
    }

    template <class Y, class Program, class Expected>
    void compare(const Program& p, const image_view<const std::uint8_t>& x,
                 const std::vector<std::int32_t>& expected, side where, std::size_t workers,
                 const net::model& m, Expected&& convert) {
        const auto y = output_.take<Y>(expected.size(), where);
        std::memset(static_cast<void*>(y.data()), 0x5a, y.size_bytes());
        const auto arena = arena_.take<std::byte>(p.arena_bytes(x.batch, workers), where);
        std::memset(arena.data(), 0x77, arena.size());
        const status done = workers == 1 ? net::run(p, x, y, arena)
                                         : net::run(p, x, y, arena, thread_executor{workers});
        ++runs_;
        std::string what;
        if (!done)
            what = done.error().message();
        for (std::size_t i = 0; what.empty() && i < y.size(); ++i)
            if (y[i] != convert(expected[i]))
                what = "y[" + std::to_string(i) + "] = " + std::to_string(y[i]) + " instead of " +
                       std::to_string(convert(expected[i]));
        if (!what.empty() && mismatches_++ == 0)
            first_ = describe(m) + ", " + std::to_string(workers) + " workers: " + what;
    }

    std::uint64_t seed_;
    random random_;
    guarded_memory input_{1 << 20}, output_{1 << 20}, arena_{1 << 25};
    std::size_t runs_ = 0, mismatches_ = 0;
    std::string first_;
};

} // namespace s3::test

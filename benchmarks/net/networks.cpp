// Whole networks, batch 1, one thread: ResNets with random 3-bit weights (first and last layer
// int8) beside oneDNN int8, driven layer by layer over the same convolutions and poolings, each
// with its memory already in place and without the residual sums. A row for the whole, and one per
// layer, timed where it stands in the network.

#include "../support/operations.hpp"
#include "../support/resnet.hpp"

#include <s3/net/program.hpp>

namespace {

using namespace s3;
using namespace s3::bench;

using used_formats = format_list<shift3, int8_weights>;

#if defined(S3_HAS_ONEDNN)
[[nodiscard]] call onednn_pooling(const net::pooling& l, const net::value_info& in,
                                  const net::value_info& out) {
    using namespace bench::detail;
    auto c = std::make_shared<onednn_call>();
    const auto desc = [](const net::value_info& v) {
        return dnnl::memory::desc({1, dim(v.channels), dim(v.height), dim(v.width)}, type::u8,
                                  tag::nhwc);
    };
    const auto x = desc(in), y = desc(out);
    const auto algorithm = l.kind == net::pooling_kind::max
                               ? dnnl::algorithm::pooling_max
                               : dnnl::algorithm::pooling_avg_include_padding;
    const dims strides{dim(l.stride.height), dim(l.stride.width)};
    const dims window{dim(l.window.height), dim(l.window.width)};
    const dims before{dim(l.padding.height), dim(l.padding.width)};
    const auto after = [](std::size_t size, std::size_t count, std::size_t stride, std::size_t w,
                          std::size_t padding) {
        return dim((count - 1) * stride + w) - dim(size) - dim(padding);
    };
    const dims behind{
        after(in.height, out.height, l.stride.height, l.window.height, l.padding.height),
        after(in.width, out.width, l.stride.width, l.window.width, l.padding.width)};
    constexpr auto forward = dnnl::prop_kind::forward_inference;
#if DNNL_VERSION_MAJOR >= 3
    c->primitive = dnnl::pooling_forward(dnnl::pooling_forward::primitive_desc(
        c->engine, forward, algorithm, x, y, strides, window, {0, 0}, before, behind));
#else
    c->primitive = dnnl::pooling_forward(dnnl::pooling_forward::primitive_desc(
        dnnl::pooling_forward::desc(forward, algorithm, x, y, strides, window, before, behind),
        c->engine));
#endif
    const auto source = c->allocate(x), destination = c->allocate(y);
    c->arguments.push_back({{DNNL_ARG_SRC, source}, {DNNL_ARG_DST, destination}});
    return [c] { (*c)(); };
}
#else
[[nodiscard]] call onednn_pooling(const net::pooling&, const net::value_info&,
                                  const net::value_info&) {
    return {};
}
#endif

/// A network, its memory, and what oneDNN does in the place of each layer.
class contender {
public:
    explicit contender(const net::model& m)
        : model_(m), program_(require(net::prepare<used_formats>(m))),
          arena_(program_.arena_bytes(1)), x_(random_activations<std::uint8_t>(m.input().size())),
          y_(m.output().size() * sizeof(std::int32_t)) {
        for (std::size_t i = 0; i < m.layers.size(); ++i)
            peers_.push_back(peer(i));
    }

    template <class Observer = net::detail::no_observer>
    void operator()(Observer&& after = {}) const {
        const net::value_info& in = model_.input();
        succeed(net::run(program_,
                         image_view<const std::uint8_t>{x_.as<const std::uint8_t>(), 1, in.height,
                                                        in.width, in.channels},
                         y_.as<std::int32_t>(), arena_.span(), inline_executor{}, after));
    }
    template <class Observer = net::detail::no_observer>
    void run_peer(Observer&& after = {}) const {
        for (std::size_t i = 0; i < peers_.size(); ++i) {
            if (peers_[i])
                peers_[i]();
            after(i);
        }
    }
    [[nodiscard]] bool has_peer() const { return bool(peers_[0]); }
    [[nodiscard]] const char* kernel_name(std::size_t layer) const {
        return program_.kernel_name(layer);
    }
    [[nodiscard]] std::string layer_text(std::size_t i) const {
        const auto& l = model_.layers[i];
        if (const auto* conv = std::get_if<net::convolution>(&l.operation))
            return l.name + " " + conv_text(problem(*conv));
        return l.name;
    }

private:
    [[nodiscard]] conv_problem problem(const net::convolution& l) const {
        const net::value_info& in = model_.values[l.input];
        return {net::shape_of(l.filter), in.height, in.width, l.options};
    }
    [[nodiscard]] call peer(std::size_t i) const {
        const auto& operation = model_.layers[i].operation;
        if (const auto* conv = std::get_if<net::convolution>(&operation))
            return onednn_conv2d(problem(*conv), true);
        if (const auto* pooling = std::get_if<net::pooling>(&operation))
            return onednn_pooling(*pooling, model_.values[pooling->input], model_.values[i + 1]);
        return {};
    }

    const net::model& model_;
    net::program<used_formats> program_;
    memory arena_, x_, y_;
    std::vector<call> peers_;
};

/// Median seconds of each layer in `run(observer)`, over some runs.
template <class Run>
[[nodiscard]] std::vector<double> layer_times(std::size_t layers, Run&& run) {
    std::vector<std::vector<double>> times(layers);
    for (int n = 0; n < (quick() ? 21 : 101); ++n) {
        double last = now();
        run([&](std::size_t i) {
            const double t = now();
            times[i].push_back(t - last);
            last = t;
        });
    }
    std::vector<double> medians;
    for (auto& t : times)
        medians.push_back(median(std::move(t)));
    return medians;
}

void write_layers(const std::string& regime, const net::model& m, const contender& c) {
    const auto own = layer_times(m.layers.size(), [&](auto&& after) { c(after); });
    const auto peer = layer_times(m.layers.size(), [&](auto&& after) { c.run_peer(after); });
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const subject s{.regime = regime + ", layer by layer",
                        .shape = c.layer_text(i),
                        .kernel = c.kernel_name(i),
                        .gmacs = macs(m, i) * 1e-9,
                        .gbytes = 0,
                        .run = {}};
        const rival r{"oneDNN int8", 0, "us", 0, 0, {}};
        std::fprintf(stderr, "  %-44s %-16s %8.1f us %8.1f us %6.2f\n", s.shape.c_str(),
                     s.kernel.c_str(), own[i] * 1e6, peer[i] * 1e6, peer[i] / own[i]);
        if (c.has_peer())
            write_row(s, r, {{own[i], peer[i]}, true}, own[i] * 1e6, peer[i] * 1e6,
                      peer[i] / own[i]);
    }
}

void add_network(int depth, int bits, double target) {
    const std::string name = text("ResNet-%d", depth);
    add(text("network/%s/%d bits", name.c_str(), bits), [=] {
        const auto m = std::make_shared<net::model>(resnet<shift3>({.depth = depth, .bits = bits}));
        const auto c = std::make_shared<contender>(*m);
        const std::string regime =
            text("network, 3-bit weights, activations of %d bits, %s", bits, name.c_str());
        write_layers(regime, *m, *c);
        const double bytes = static_cast<double>(net::weight_bytes(*m));
        std::fprintf(stderr, "  weights: %.0f bytes, %.4f of fp32; arena: %zu bytes\n", bytes,
                     bytes / 4 / static_cast<double>(weights(*m)),
                     require(net::prepare<used_formats>(*m)).arena_bytes(1));
        subject s{.regime = regime,
                  .shape = text("1x%zux%zux3", m->input().height, m->input().width),
                  .kernel = "net::run shift3·uint8",
                  .gmacs = macs(*m) * 1e-9,
                  .gbytes = bytes * 1e-9,
                  .run = [m, c] { (*c)(); },
                  .weight_bits = 3};
        if (c->has_peer())
            s.against("oneDNN int8, layer by layer", target, [m, c] { c->run_peer(); });
        return s;
    });
}

const int registered = [] {
    add_network(18, 8, 0.93);
    add_network(18, 6, 1.2);
    add_network(50, 8, 0);
    add_network(20, 8, 0);
    return 0;
}();

} // namespace

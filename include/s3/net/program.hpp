#pragma once
// A network that runs: every layer's kernel chosen and its weights laid out once, all memory
// planned before the first image comes.
//
//   auto p = s3::net::prepare(model, {.batch = 1});
//   arena of p->arena_bytes(batch, workers) bytes, from wherever the host likes
//   s3::net::run(*p, images, outputs, arena, executor);      no allocation
//
// `Formats` lists the weight formats that are compiled in: formats<shift3, int8_weights> compiles
// in a fraction of the time of all_formats. Outputs are the same bytes on every architecture, for
// any batch and number of workers (but for a float_linear, which promises no bits).
//
// Errors: those of check.hpp and of each layer's `prepare`, with the layer as index; a format that
// is not in the list is `unsupported`. `run` refuses images of another shape, activations beyond
// the input's bits, and buffers that are too small; then it writes nothing.

#include <s3/kernel/pooling.hpp>
#include <s3/net/check.hpp>
#include <s3/net/plan.hpp>
#include <s3/ops/conv2d.hpp>

namespace s3::net {

/// What is known when a network is prepared.
struct program_options {
    std::size_t batch = 1; ///< images per run that the kernels are chosen for; any batch runs
    /// shift_add: convolutions without multiplications, wherever the format has such kernels.
    family kernels = family::automatic;
};

namespace detail {

template <class Formats, class Arch>
struct prepared_any;
template <weight_format... F, class Arch>
struct prepared_any<formats<F...>, Arch> {
    using type = std::variant<prepared_filter<F, std::uint8_t, Arch, family::any>...>;
};

template <class Formats, class Arch>
struct prepared_convolution {
    std::size_t input;
    typename prepared_any<Formats, Arch>::type filter;
    std::vector<float> scale;
    std::vector<std::int32_t> bias;
    std::optional<residual_input> residual;
    std::int32_t low, high;
};

} // namespace detail

template <class Formats = all_formats, architecture Arch = arch::native>
class program {
public:
    using convolution_step = detail::prepared_convolution<Formats, Arch>;
    using step = std::variant<convolution_step, pooling, addition, float_linear>;

    [[nodiscard]] const value_info& input() const noexcept { return values_.front(); }
    [[nodiscard]] const value_info& output() const noexcept { return values_.back(); }
    [[nodiscard]] std::span<const value_info> values() const noexcept { return values_; }
    [[nodiscard]] std::span<const step> steps() const noexcept { return steps_; }
    [[nodiscard]] output_kind kind() const noexcept { return kind_; }
    [[nodiscard]] float output_scale() const noexcept { return output_scale_; }
    [[nodiscard]] const memory_plan& plan() const noexcept { return plan_; }

    [[nodiscard]] const char* kernel_name(std::size_t layer) const {
        if (const auto* conv = std::get_if<convolution_step>(&steps_[layer]))
            return std::visit([](const auto& f) { return f.kernel_name(); }, conv->filter);
        return std::holds_alternative<pooling>(steps_[layer])    ? "pooling"
               : std::holds_alternative<addition>(steps_[layer]) ? "addition"
                                                                 : "float";
    }

    /// Scratch of the convolutions, which they share.
    [[nodiscard]] std::size_t scratch_bytes(std::size_t batch, std::size_t workers = 1) const {
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < steps_.size(); ++i)
            if (const auto* conv = std::get_if<convolution_step>(&steps_[i]))
                bytes =
                    std::max(bytes, std::visit(
                                        [&](const auto& f) {
                                            return s3::scratch_bytes(
                                                f, batch, detail::size_of(values_[i + 1]), workers);
                                        },
                                        conv->filter));
        return (bytes + 63) / 64 * 64;
    }
    /// Memory for a run: scratch, then values.
    [[nodiscard]] std::size_t arena_bytes(std::size_t batch, std::size_t workers = 1) const {
        return scratch_bytes(batch, workers) + saturating_mul(batch, plan_.bytes) + 63;
    }

private:
    template <class G, architecture A>
    friend result<program<G, A>> prepare(const model&, const program_options&);

    result<convolution_step> prepare_convolution(const convolution& l,
                                                 const prepare_options& g) const {
        return std::visit(
            [&]<weight_format F>(const packed_filter<F>& filter) -> result<convolution_step> {
                if constexpr (Formats::template has<F>) {
                    prepare_options fitting = g;
                    if (!F::is_shift && g.kernels == family::shift_add)
                        fitting.kernels = family::automatic;
                    auto prepared =
                        s3::prepare<std::uint8_t, family::any, Arch>(filter, l.options, fitting);
                    if (!prepared)
                        return prepared.error();
                    return convolution_step{l.input,    *std::move(prepared),
                                            l.scale,    l.bias,
                                            l.residual, l.raw ? std::int32_t{0} : l.low,
                                            l.high};
                } else {
                    return error(errc::unsupported, "format").got(F::bits);
                }
            },
            l.filter);
    }

    std::vector<value_info> values_;
    std::vector<step> steps_;
    memory_plan plan_;
    output_kind kind_ = output_kind::bytes;
    float output_scale_ = 1;
};

/// A network whose model is no longer needed.
template <class Formats = all_formats, architecture Arch = arch::native>
result<program<Formats, Arch>> prepare(const model& m, const program_options& options = {}) {
    if (auto s = check(m); !s)
        return s.error();
    program<Formats, Arch> p;
    p.values_ = m.values;
    p.plan_ = plan(m);
    p.kind_ = output_of(m);
    p.output_scale_ = m.output_scale;
    for (std::size_t i = 0; i < m.layers.size(); ++i) {
        const auto* conv = std::get_if<convolution>(&m.layers[i].operation);
        if (conv == nullptr) {
            std::visit(
                [&]<class L>(const L& l) {
                    if constexpr (!std::is_same_v<L, convolution>)
                        p.steps_.emplace_back(l);
                },
                m.layers[i].operation);
            continue;
        }
        const value_info& out = m.values[i + 1];
        const prepare_options g{.batch = saturating_mul(options.batch, out.height * out.width),
                                .kernels = options.kernels,
                                .activation_bits = m.values[conv->input].bits};
        auto prepared = p.prepare_convolution(*conv, g);
        if (!prepared)
            return prepared.error().at(i);
        p.steps_.emplace_back(*std::move(prepared));
    }
    return p;
}

namespace detail {

/// Runs f(begin, end) over pieces of `units`.
template <executor Executor, class Function>
void in_pieces(std::size_t units, Executor& ex, Function&& f) {
    const std::size_t workers = ex.concurrency();
    const std::size_t tasks = std::min(units, workers == 1 ? 1 : 4 * workers);
    ex.run(tasks,
           [&](std::size_t t, std::size_t) { f(units * t / tasks, units * (t + 1) / tasks); });
}

/// One run: where its values lie, and how each kind of layer computes one.
template <class Program, class Arch, class Executor>
struct runner {
    const Program& p;
    std::size_t batch;
    const std::uint8_t* input;
    std::span<std::byte> scratch;
    std::byte* base;
    Executor& ex;

    [[nodiscard]] std::byte* place(std::size_t v) const noexcept {
        return base + batch * p.plan().offset[v];
    }
    [[nodiscard]] std::span<const std::uint8_t> bytes(std::size_t v) const noexcept {
        return {v == 0 ? input : reinterpret_cast<const std::uint8_t*>(place(v)),
                batch * p.values()[v].size()};
    }
    [[nodiscard]] image_view<const std::uint8_t> image(std::size_t v) const noexcept {
        const value_info& i = p.values()[v];
        return {bytes(v), batch, i.height, i.width, i.channels};
    }

    template <std::integral Y>
    status operator()(const typename Program::convolution_step& l, std::size_t v, Y* y) const {
        const value_info& out = p.values()[v];
        epilogue e{.bias = l.bias};
        if constexpr (sizeof(Y) == 1) {
            e.scale = l.scale;
            e.zero_point = out.zero_point;
            e.low = l.low;
            e.high = l.high;
            if (l.residual) {
                e.residual = bytes(l.residual->value);
                e.residual_scale = l.residual->scale;
                e.residual_zero_point = p.values()[l.residual->value].zero_point;
            }
        }
        const image_view<Y> to{{y, batch * out.size()}, batch, out.height, out.width, out.channels};
        return std::visit(
            [&](const auto& f) { return conv2d(f, image(l.input), to, e, scratch, ex); }, l.filter);
    }

    status operator()(const pooling& l, std::size_t v, std::uint8_t* y) const {
        const value_info &in = p.values()[l.input], &out = p.values()[v];
        const auto x = image(l.input);
        const conv_options o{.stride = l.stride, .padding = l.padding};
        const epilogue e{.scale = {&l.scale, 1}, .zero_point = out.zero_point, .high = out.top()};
        const s3::detail::integer_store<Arch, std::uint8_t> sink{y, {1, out.channels, 0, 1, 0}, e};
        in_pieces(batch * out.height * out.width, ex, [&](std::size_t begin, std::size_t end) {
            if (l.kind == pooling_kind::max)
                kernel::max_pool<Arch>(x, l.window, size_of(out), o, begin, end, y);
            else
                kernel::sum_pool<Arch>(x, l.window, size_of(out), o, in.zero_point, begin, end,
                                       sink);
        });
        return {};
    }

    /// a is the sum of an epilogue whose residual is b.
    status operator()(const addition& l, std::size_t v, std::uint8_t* y) const {
        constexpr std::size_t chunk = 64;
        const auto a = bytes(l.a);
        const std::int32_t a_zero = p.values()[l.a].zero_point;
        const epilogue e{.scale = {&l.a_scale, 1},
                         .zero_point = p.values()[v].zero_point,
                         .low = l.low,
                         .high = l.high,
                         .residual = bytes(l.b),
                         .residual_scale = l.b_scale,
                         .residual_zero_point = p.values()[l.b].zero_point};
        const s3::detail::integer_store<Arch, std::uint8_t> sink{y, {}, e};
        const std::size_t chunks = (a.size() + chunk - 1) / chunk;
        in_pieces(chunks, ex, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin * chunk; i < std::min(end * chunk, a.size()); i += chunk) {
                std::int32_t values[chunk];
                const std::size_t count = std::min(chunk, a.size() - i);
                for (std::size_t j = 0; j < count; ++j)
                    values[j] = a[i + j] - a_zero;
                sink(0, i, count, values);
            }
        });
        return {};
    }

    status operator()(const float_linear& l, std::size_t v, float* y) const {
        const value_info &in = p.values()[l.input], &out = p.values()[v];
        const auto x = bytes(l.input);
        in_pieces(batch * out.channels, ex, [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i) {
                const std::size_t m = i % out.channels, first = i / out.channels * in.size();
                float sum = 0;
                for (std::size_t k = 0; k < in.size(); ++k)
                    sum += static_cast<float>(x[first + k] - in.zero_point) *
                           l.weights[m * in.size() + k];
                y[i] = sum * in.step + (l.bias.empty() ? 0.0f : l.bias[m]);
            }
        });
        return {};
    }

    /// The output kind decides which types a layer may have to write.
    template <class L, class Y>
    status layer(const L& l, std::size_t v, Y* y) const {
        if constexpr (requires { (*this)(l, v, y); })
            return (*this)(l, v, y);
        else
            return error(errc::unsupported, "y");
    }
};

inline status check_activations(std::span<const std::uint8_t> x, int top) {
    for (std::size_t i = 0; top < 255 && i < x.size(); ++i)
        if (x[i] > top)
            return error(errc::bad_option, "input").at(i).got(x[i]).limit(top);
    return {};
}

/// Does nothing after a layer.
struct no_observer {
    void operator()(std::size_t) const noexcept {}
};

} // namespace detail

/// Types that a network's output may be asked for: its own, or real numbers.
template <class Y>
concept network_output =
    std::same_as<Y, std::uint8_t> || std::same_as<Y, std::int32_t> || std::same_as<Y, float>;

/// `y` is [batch][height][width][channels]: bytes, sums (of a `raw` last layer), or real numbers of
/// any network. `after(layer)` is called when a layer is done.
template <class Formats, architecture Arch, network_output Y, executor Executor = inline_executor,
          class Observer = detail::no_observer>
status run(const program<Formats, Arch>& p, const image_view<const std::uint8_t>& x, std::span<Y> y,
           std::span<std::byte> arena, Executor ex = {}, Observer&& after = {}) {
    const value_info &in = p.input(), &out = p.output();
    if (auto s = x.check("input"); !s)
        return s;
    if (x.order != image_order::nhwc)
        return error(errc::unsupported, "input.order");
    if (x.height != in.height)
        return error(errc::shape_mismatch, "input.height").got(x.height).needs(in.height);
    if (x.width != in.width)
        return error(errc::shape_mismatch, "input.width").got(x.width).needs(in.width);
    if (x.channels != in.channels)
        return error(errc::shape_mismatch, "input.channels").got(x.channels).needs(in.channels);
    constexpr output_kind kind_of_y = std::same_as<Y, std::uint8_t>   ? output_kind::bytes
                                      : std::same_as<Y, std::int32_t> ? output_kind::sums
                                                                      : output_kind::real;
    if (kind_of_y != output_kind::real && kind_of_y != p.kind())
        return error(errc::unsupported, "y");
    const std::size_t count = saturating_mul(x.batch, out.size());
    if (y.size() < count)
        return error(errc::buffer_too_small, "y").got(y.size()).needs(count);
    const std::size_t needed = p.arena_bytes(x.batch, ex.concurrency());
    if (arena.size() < needed)
        return error(errc::buffer_too_small, "arena").got(arena.size()).needs(needed);
    if (auto s = detail::check_activations(x.data.first(x.size()), in.top()); !s)
        return s;
    if (x.batch == 0)
        return {};

    std::byte* const start = s3::detail::align_up(arena.data());
    const std::size_t scratch = p.scratch_bytes(x.batch, ex.concurrency());
    const detail::runner<program<Formats, Arch>, Arch, Executor> r{
        p, x.batch, x.data.data(), {start, scratch}, start + scratch, ex};
    const std::size_t last = p.steps().size();
    const auto compute = [&](std::size_t v, auto* to) {
        return std::visit([&](const auto& l) { return r.layer(l, v, to); }, p.steps()[v - 1]);
    };
    for (std::size_t v = 1; v < last; ++v) {
        if (auto s = compute(v, reinterpret_cast<std::uint8_t*>(r.place(v))); !s)
            return s.error().at(v - 1);
        after(v - 1);
    }
    // The output goes to its caller's memory, unless it must become real numbers first.
    const auto finish = [&]<class Own>(Own*, float step, int zero_point) -> status {
        if constexpr (std::same_as<Y, Own>) {
            return compute(last, y.data());
        } else if constexpr (std::same_as<Y, float>) {
            auto* const own = reinterpret_cast<Own*>(r.place(last));
            if (auto s = compute(last, own); !s)
                return s;
            for (std::size_t i = 0; i < count; ++i)
                y[i] = static_cast<float>(own[i] - zero_point) * step;
            return {};
        } else {
            return error(errc::unsupported, "y");
        }
    };
    const status done = p.kind() == output_kind::sums
                            ? finish(static_cast<std::int32_t*>(nullptr), p.output_scale(), 0)
                        : p.kind() == output_kind::bytes
                            ? finish(static_cast<std::uint8_t*>(nullptr), out.step, out.zero_point)
                            : finish(static_cast<float*>(nullptr), 1, 0);
    if (!done)
        return done.error().at(last - 1);
    after(last - 1);
    return {};
}

/// The same with memory allocated for this call.
template <class Formats, architecture Arch, network_output Y, executor Executor = inline_executor>
status run(const program<Formats, Arch>& p, const image_view<const std::uint8_t>& x, std::span<Y> y,
           Executor ex = {}) {
    auto arena = buffer<std::byte>::make(p.arena_bytes(x.batch, ex.concurrency()));
    if (!arena)
        return arena.error();
    return run(p, x, y, arena->span(), ex);
}

} // namespace s3::net

#pragma once
// A network that runs. Each layer's kernel is chosen and its weights are laid out once, and all
// memory is planned before the first image comes.
//
//   auto p = s3::net::prepare(model, {.batch = 1});
//   arena of p->arena_bytes(batch, workers) bytes, from wherever the host likes
//   s3::net::run(*p, images, outputs, arena, executor);      no allocation
//
// `Formats` lists the weight formats that are compiled in: format_list<shift3, int8_weights>
// compiles in a fraction of the time of all_formats. Outputs are the same bytes on every
// architecture, for any batch and any number of workers (except for a float_linear, which promises
// no bits).
//
// Errors: those of net/check.hpp and of each layer's `prepare`, with the layer as index; a format
// that is not in the list is `unsupported`. `run` refuses images of another shape, activations
// beyond the input's bits, and buffers that are too small; it then has written nothing.

#include <s3/core/out_of_memory.hpp>
#include <s3/net/check.hpp>
#include <s3/net/plan.hpp>

namespace s3::net {

template <class Formats = all_formats, architecture Arch = arch::native>
class program {
public:
    using layer = layer_list::prepared<Formats, Arch>;

    [[nodiscard]] const value_info& input() const noexcept { return values_.front(); }
    [[nodiscard]] const value_info& output() const noexcept { return values_.back(); }
    [[nodiscard]] std::span<const value_info> values() const noexcept { return values_; }
    [[nodiscard]] std::span<const layer> layers() const noexcept { return layers_; }
    [[nodiscard]] float output_scale() const noexcept { return output_scale_; }
    /// The plan of a run: one worker alone may write layers over their inputs that several may not.
    [[nodiscard]] const memory_plan& plan(std::size_t workers = 1) const noexcept {
        return workers == 1 ? plan_ : plan_of_many_;
    }

    /// The name of the kernel that computes layer i, or of the layer itself if it has no choice of
    /// kernels.
    [[nodiscard]] const char* kernel_name(std::size_t i) const {
        return std::visit(
            [](const auto& l) {
                if constexpr (requires { l.kernel_name(); })
                    return l.kernel_name();
                else
                    return name_of(l);
            },
            layers_[i]);
    }

    /// The bytes of scratch memory of a run, which its layers share.
    [[nodiscard]] std::size_t scratch_bytes(std::size_t batch, std::size_t workers = 1) const {
        std::size_t bytes = 0;
        for (std::size_t i = 0; i < layers_.size(); ++i)
            std::visit(
                [&](const auto& l) {
                    if constexpr (requires { l.scratch_bytes(values_[i + 1], batch, workers); })
                        bytes = std::max(bytes, l.scratch_bytes(values_[i + 1], batch, workers));
                },
                layers_[i]);
        return whole_lines(bytes);
    }
    /// The bytes of memory that a run needs, for scratch and values; SIZE_MAX if no memory is that
    /// large.
    [[nodiscard]] std::size_t arena_bytes(std::size_t batch, std::size_t workers = 1) const {
        return saturating_add(saturating_add(scratch_bytes(batch, workers), 63),
                              saturating_mul(batch, plan(workers).bytes));
    }

    /// Makes the program that `prepare` returns.
    static result<program> make(const model& m, const program_options& options) {
        if (auto s = check(m); !s)
            return s.error();
        program p;
        p.values_ = m.values;
        p.plan_ = s3::net::plan(m, {.order = write_order::in_turn});
        p.plan_of_many_ = s3::net::plan(m);
        if (p.plan_of_many_.bytes < p.plan_.bytes)
            p.plan_ = p.plan_of_many_;
        p.output_scale_ = m.output_scale;
        for (std::size_t i = 0; i < m.layers.size(); ++i) {
            const status added = std::visit(
                [&](const auto& l) { return p.add(l, m.site(i), options); }, m.layers[i].operation);
            if (!added)
                return added.error().at(i);
        }
        return p;
    }

private:
    template <class L>
    status add(const L& l, const layer_site& site, const program_options& o) {
        if constexpr (requires { l.template prepare<Formats, Arch>(site, o); }) {
            auto prepared = l.template prepare<Formats, Arch>(site, o);
            if (!prepared)
                return prepared.error();
            layers_.emplace_back(*std::move(prepared));
        } else {
            layers_.emplace_back(l);
        }
        return {};
    }

    std::vector<value_info> values_;
    std::vector<layer> layers_;
    memory_plan plan_, plan_of_many_;
    float output_scale_ = 1;
};

/// Prepares a network. The model is no longer needed afterwards.
template <class Formats = all_formats, architecture Arch = arch::native>
result<program<Formats, Arch>> prepare(const model& m, const program_options& options = {}) {
    return s3::detail::or_out_of_memory([&] { return program<Formats, Arch>::make(m, options); });
}

namespace detail {

inline status check_activations(std::span<const std::uint8_t> x, int top) {
    for (std::size_t i = 0; top < 255 && i < x.size(); ++i)
        if (x[i] > top)
            return error(errc::bad_option, "input").at(i).got(x[i]).limit(top);
    return {};
}

/// Checks that images have the shape of a network's input.
inline status check_images(const image_view<const std::uint8_t>& x, const value_info& in) {
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
    return {};
}

/// Computes a layer's output with elements of type Y, or returns `unsupported` if the layer cannot
/// write that type.
template <class L, class Site, class Y>
status run_layer(const L& l, const Site& site, Y* y) {
    if constexpr (requires { l.run(site, y); })
        return l.run(site, y);
    else
        return error(errc::unsupported, "y");
}

/// Calls f with a null pointer whose type is that of a value's elements.
template <class Function>
status with_element(element_type e, Function&& f) {
    switch (e) {
    case element_type::uint8:
        return f(static_cast<std::uint8_t*>(nullptr));
    case element_type::int32:
        return f(static_cast<std::int32_t*>(nullptr));
    case element_type::float32:
        return f(static_cast<float*>(nullptr));
    }
    return error(errc::unsupported, "y");
}

/// An observer that does nothing after a layer.
struct no_observer {
    void operator()(std::size_t) const noexcept {}
};

template <class Formats, architecture Arch, class Y, class Observer>
status run(const program<Formats, Arch>& p, const image_view<const std::uint8_t>& x, std::span<Y> y,
           std::span<std::byte> arena, executor_ref ex, Observer& after) {
    const value_info& out = p.output();
    if (auto s = detail::check_images(x, p.input()); !s)
        return s;
    constexpr element_type type_of_y = std::same_as<Y, std::uint8_t>   ? element_type::uint8
                                       : std::same_as<Y, std::int32_t> ? element_type::int32
                                                                       : element_type::float32;
    if (type_of_y != element_type::float32 && type_of_y != out.element)
        return error(errc::unsupported, "y");
    const std::size_t count = saturating_mul(x.batch, out.size());
    if (y.size() < count)
        return error(errc::buffer_too_small, "y").got(y.size()).needs(count);
    const std::size_t workers = ex.concurrency();
    const std::size_t needed = p.arena_bytes(x.batch, workers);
    if (arena.size() < needed)
        return error(errc::buffer_too_small, "arena").got(arena.size()).needs(needed);
    if (auto s = detail::check_activations(x.data.first(x.size()), p.input().top()); !s)
        return s;
    if (x.batch == 0)
        return {};

    std::byte* const start = s3::detail::align_up(arena.data());
    const std::size_t scratch = p.scratch_bytes(x.batch, workers);
    const memory_plan& plan = p.plan(workers);
    run_site<Arch> site{{p.values(), 0},  x.batch, x.data.data(), plan.offset, start + scratch,
                        {start, scratch}, ex};
    const auto compute = [&](std::size_t i, auto* to) -> status {
        site.index = i;
        const status done = std::visit(
            [&](const auto& l) { return detail::run_layer(l, site, to); }, p.layers()[i]);
        return done ? done : status(done.error().at(i));
    };
    const std::size_t last = p.layers().size() - 1;
    for (std::size_t i = 0; i < last; ++i) {
        const status done = detail::with_element(p.values()[i + 1].element, [&]<class Own>(Own*) {
            return compute(i, reinterpret_cast<Own*>(site.place(i + 1)));
        });
        if (!done)
            return done;
        after(i);
    }
    // The output is written to the caller's memory directly, unless it must first become real
    // numbers.
    const status done = detail::with_element(out.element, [&]<class Own>(Own*) -> status {
        if constexpr (std::same_as<Y, Own>) {
            return compute(last, y.data());
        } else if constexpr (std::same_as<Y, float>) {
            constexpr bool bytes = std::same_as<Own, std::uint8_t>;
            const float scale = bytes ? out.scale : p.output_scale();
            const int zero_point = bytes ? out.zero_point : 0;
            auto* const own = reinterpret_cast<Own*>(site.place(last + 1));
            if (auto s = compute(last, own); !s)
                return s;
            for (std::size_t i = 0; i < count; ++i)
                y[i] = static_cast<float>(own[i] - zero_point) * scale;
            return {};
        } else {
            return error(errc::unsupported, "y");
        }
    });
    if (!done)
        return done;
    after(last);
    return {};
}

} // namespace detail

/// Ranges that a network's output may be written to: of its own element type, or of real numbers.
template <class Range>
concept network_output = s3::detail::contiguous<Range> &&
    (std::same_as<s3::detail::element_of<Range>, std::uint8_t> ||
     std::same_as<s3::detail::element_of<Range>, std::int32_t> ||
     std::same_as<s3::detail::element_of<Range>, float>);

/// Runs a network. `y` is [batch][height][width][channels], with elements of the output's own type,
/// or float, for the real numbers of any network's output. after(layer) is called when a layer is
/// done.
template <class Formats, architecture Arch, class Range, class Observer = detail::no_observer>
requires network_output<Range&> status run(const program<Formats, Arch>& p,
                                           const image_view<const std::uint8_t>& x, Range&& y,
                                           std::span<std::byte> arena, executor_ref ex = {},
                                           Observer&& after = {}) {
    return detail::run(p, x, std::span<s3::detail::element_of<Range&>>(y), arena, ex, after);
}

/// The same, with memory that is allocated for this call.
template <class Formats, architecture Arch, class Range>
requires network_output<Range&> status run(const program<Formats, Arch>& p,
                                           const image_view<const std::uint8_t>& x, Range&& y,
                                           executor_ref ex = {}) {
    auto arena = buffer<std::byte>::make(p.arena_bytes(x.batch, ex.concurrency()));
    if (!arena)
        return arena.error();
    return run(p, x, y, arena->span(), ex);
}

} // namespace s3::net

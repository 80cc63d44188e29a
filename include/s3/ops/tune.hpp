#pragma once
// `tune` measures which kernel is the fastest for a matrix or a convolution on this machine, where
// `prepare` only estimates. The caller remembers the result and passes it on:
//
//   prepare_options o{.batch = 16};
//   o.kernel = *s3::tune<std::uint8_t>(weights, o);
//   const auto w = s3::prepare<std::uint8_t>(weights, o);
//
// All kernels that are compiled for the choice and serve the request are measured, on activations
// of zeros, which take as long as any others. A layout of the weights is allocated for each of
// them; activations, outputs and scratch are too, unless the caller brings memory for them. Errors:
// those of `prepare` and of running a kernel; unsupported if no kernel serves; buffer_too_small,
// with what is needed, for the caller's memory.

#include <s3/ops/conv2d.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <optional>

namespace s3 {

struct tune_options {
    double seconds = 0.05; ///< for all kernels together; each runs three times in any case
    /// For activations, outputs and scratch; allocated if empty.
    std::span<std::byte> memory = {};
};

/// A clock: the seconds since some fixed moment.
struct steady_seconds {
    double operator()() const noexcept {
        return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch())
            .count();
    }
};

namespace detail {

/// A kernel that is measured.
struct entrant {
    const char* name = "";
    s3::family family = family::dot;
};
template <class... Kernels>
constexpr std::array<entrant, sizeof...(Kernels)> entrants(kernel::kernel_list<Kernels...>) {
    return {entrant{Kernels::name, Kernels::family}...};
}

/// Activations X and outputs Y, and behind them the scratch of a kernel: in the caller's memory, or
/// allocated.
template <class X, class Y>
class tune_memory {
public:
    tune_memory(std::span<std::byte> callers, std::size_t x_count, std::size_t y_count) noexcept
        : callers_(callers), x_count_(x_count), y_count_(y_count) {
        lay_out(nullptr);
    }
    /// Makes room for this much scratch. Activations are zeros afterwards.
    status make_room(std::size_t scratch_bytes) {
        const std::size_t needed = saturating_add(saturating_add(fixed_, scratch_bytes), 63);
        std::span<std::byte> all = callers_;
        if (all.empty()) {
            if (own_.size() < needed) {
                auto larger = buffer<std::byte>::make(needed);
                if (!larger)
                    return larger.error();
                own_ = *std::move(larger);
            }
            all = own_.span();
        }
        if (all.size() < needed)
            return error(errc::buffer_too_small, "options.memory").got(all.size()).needs(needed);
        std::byte* const base = align_up(all.data());
        lay_out(base);
        std::fill(x.begin(), x.end(), X{});
        scratch = all.subspan(static_cast<std::size_t>(base - all.data()) + fixed_);
        return {};
    }

    std::span<X> x;
    std::span<Y> y;
    std::span<std::byte> scratch;

private:
    void lay_out(std::byte* base) noexcept {
        arena parts{base};
        x = parts.take<X>(x_count_);
        y = parts.take<Y>(y_count_);
        fixed_ = parts.used;
    }

    std::span<std::byte> callers_;
    std::size_t x_count_, y_count_, fixed_ = 0; ///< bytes of x and y
    buffer<std::byte> own_;
};

/// The name of the fastest kernel of `all`. prepare(kernel) returns what run(prepared) runs.
/// Kernels take turns, so that disturbances hit all of them, and those that are far behind leave.
template <std::size_t Count, class Now, class Prepare, class Run>
result<const char*> fastest(const std::array<entrant, Count>& all, family wanted,
                            const tune_options& o, Now& now, Prepare&& prepare, Run&& run) {
    using prepared = typename std::remove_cvref_t<decltype(prepare(kernel_id{}))>::value_type;
    constexpr double shortest = 1e-4, far_behind = 1.3;
    std::array<std::optional<prepared>, Count> taking_part;
    std::array<double, Count> best, expected{};
    best.fill(std::numeric_limits<double>::max());
    const auto seconds_of = [&](std::size_t i, std::size_t times) -> result<double> {
        const double start = now();
        for (std::size_t t = 0; t < times; ++t)
            if (auto s = run(*taking_part[i]); !s)
                return s.error();
        return (now() - start) / static_cast<double>(times);
    };
    const bool open = wanted == family::automatic || wanted == family::any;
    for (std::size_t i = 0; i < Count; ++i) {
        if (!open && all[i].family != wanted)
            continue;
        auto p = prepare(kernel_id(all[i].name));
        if (!p && p.error().code == errc::unsupported)
            continue;
        if (!p)
            return p.error();
        taking_part[i] = *std::move(p);
        const auto first = seconds_of(i, 1); // the first run touches all memory
        if (!first)
            return first.error();
        expected[i] = *first;
    }
    const double end = now() + o.seconds;
    double least = std::numeric_limits<double>::max();
    for (int round = 0; round < 2 || now() < end; ++round)
        for (std::size_t i = 0; i < Count; ++i) {
            if (!taking_part[i] || (round >= 2 && best[i] > far_behind * least))
                continue;
            const auto seconds = seconds_of(
                i, static_cast<std::size_t>(std::clamp(shortest / expected[i], 1.0, 1000.0)));
            if (!seconds)
                return seconds.error();
            expected[i] = best[i] = std::min(best[i], *seconds);
            least = std::min(least, best[i]);
        }
    const auto winner = std::min_element(best.begin(), best.end());
    if (winner == best.end() || *winner == std::numeric_limits<double>::max())
        return error(errc::unsupported, "options.kernels");
    return all[static_cast<std::size_t>(winner - best.begin())].name;
}

} // namespace detail

/// The name of the fastest kernel for `o.batch` activation vectors. `now` returns the time in
/// seconds.
template <activation X = std::uint8_t, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native, weight_format F, class Now = steady_seconds>
result<const char*> tune(const packed_matrix<F>& packed, const prepare_options& o,
                         const tune_options& t = {}, Now now = {}) {
    using prepared = prepared_matrix<F, X, Arch, Choice>;
    using Y = typename prepared::sum;
    if (auto s = detail::check_scales(packed); !s) // no kernel serves them
        return s.error();
    detail::tune_memory<X, Y> memory(t.memory, saturating_mul(o.batch, packed.columns()),
                                     saturating_mul(o.batch, packed.rows()));
    return detail::fastest(
        detail::entrants(detail::product_candidates<F, X, Arch, Choice>{}), o.kernels, t, now,
        [&](kernel_id kernel) -> result<prepared> {
            prepare_options one = o;
            one.kernel = kernel;
            one.integers_only = true; // sums are stored, to which no scale applies
            auto w = prepared::make(packed, one);
            if (w)
                if (auto s = memory.make_room(scratch_bytes(*w, o.batch)); !s)
                    return s.error();
            return w;
        },
        [&](const prepared& w) {
            return matmul(w, matrix_view<const X>(memory.x, o.batch, packed.columns()),
                          matrix_view<Y>(memory.y, o.batch, packed.rows()), {}, memory.scratch);
        });
}

/// The name of the fastest kernel for `images` NHWC images of this size. Outputs have the type of
/// the activations. `t` and `now` are as above.
template <activation X = std::uint8_t, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native, weight_format F, class Now = steady_seconds>
result<const char*> tune(const packed_filter<F>& packed, const conv_options& options,
                         std::size_t images, const extent& image, const prepare_options& o,
                         const tune_options& t = {}, Now now = {}) {
    using prepared = prepared_filter<F, X, Arch, Choice>;
    const std::size_t channels = saturating_mul(packed.shape.in_channels, options.groups);
    if (auto s = detail::check_window(packed.shape, options); !s)
        return s.error();
    if (auto s = detail::check_scales(packed.matrix); !s)
        return s.error();
    const auto out = output_extent(image.height, image.width, packed.shape, options);
    if (!out)
        return out.error();
    const auto elements = [images](const extent& size, std::size_t c) {
        return saturating_mul(saturating_mul(images, size.height), saturating_mul(size.width, c));
    };
    detail::tune_memory<X, X> memory(t.memory, elements(image, channels),
                                     elements(*out, packed.shape.out_channels));
    const float scale = 1;
    epilogue_for<X> e;
    e.scale = {&scale, 1};
    using direct = kernel::candidates<Choice, kernel::direct_convolutions<F, X, Arch>>;
    using all = decltype(direct{} + detail::product_candidates<F, X, Arch, Choice>{});
    return detail::fastest(
        detail::entrants(all{}), o.kernels, t, now,
        [&](kernel_id kernel) -> result<prepared> {
            prepare_options one = o;
            one.kernel = kernel;
            auto w = prepared::make(packed, options, one);
            if (w)
                if (auto s = memory.make_room(scratch_bytes(*w, images, *out)); !s)
                    return s.error();
            return w;
        },
        [&](const prepared& w) {
            return conv2d(
                w, image_view<const X>{memory.x, images, image.height, image.width, channels},
                image_view<X>{memory.y, images, out->height, out->width, packed.shape.out_channels},
                e, memory.scratch);
        });
}

} // namespace s3

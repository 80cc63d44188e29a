#pragma once
// `prepare` for a convolution: one prepared matrix per group for the product behind the gather,
// and, where one serves, a kernel that convolves NHWC images directly: depthwise loops, windows of
// few channels, or Winograd for 3 × 3 filters whose activations are promised to have at most 6
// bits.

#include <s3/kernel/dot_bytes_depthwise.hpp>
#include <s3/kernel/dot_bytes_direct.hpp>
#include <s3/kernel/dot_bytes_winograd.hpp>
#include <s3/kernel/dot_words_depthwise.hpp>
#include <s3/kernel/shift_add_words_depthwise.hpp>
#include <s3/ops/prepare.hpp>
#include <s3/ops/store_pixels.hpp>

#include <variant>
#include <vector>

namespace s3 {

namespace detail {

/// Stands for a kernel that a format, activation or machine does not have.
template <int>
struct no_kernel {
    struct filter {};
};

template <weight_format F, activation X, architecture Arch>
struct direct_kernels {
    using dot = kernel::depthwise<F, X, false>;
    template <class G>
    static auto by_shifts() {
        if constexpr (kernel::has_depthwise_shift<G, X, Arch>)
            return type_tag<kernel::depthwise_shift<G, X, Arch>>{};
        else if constexpr (G::is_shift)
            return type_tag<kernel::depthwise<G, X, true>>{};
        else
            return type_tag<no_kernel<0>>{};
    }
    template <class G>
    static auto transformed() {
        if constexpr (std::is_same_v<X, std::uint8_t> && kernel::has_winograd<G, Arch>)
            return type_tag<kernel::winograd<G, Arch>>{};
        else
            return type_tag<no_kernel<1>>{};
    }
    template <class A, int Id>
    static auto windowed() {
        if constexpr (kernel::has_window<F, X, A>)
            return type_tag<kernel::window<F, X, A>>{};
        else
            return type_tag<no_kernel<Id>>{};
    }
    template <class A>
    static auto by_bytes() {
        if constexpr (kernel::has_depthwise_bytes<F, X, A>)
            return type_tag<kernel::depthwise_bytes<F, X, A>>{};
        else
            return type_tag<no_kernel<4>>{};
    }
    using bytes = typename decltype(by_bytes<Arch>())::type;
    using shift_add = typename decltype(by_shifts<F>())::type;
    using winograd = typename decltype(transformed<F>())::type;

    using window = typename decltype(windowed<Arch, 2>())::type;
    /// For filters whose channels would leave half of a vector empty.
    using narrow_window = typename decltype(windowed<simd::half<Arch>, 3>())::type;

    using filter = std::variant<std::monostate, typename dot::filter, typename shift_add::filter,
                                typename winograd::filter, typename window::filter,
                                typename narrow_window::filter, typename bytes::filter>;

    /// Calls f(type_tag<Kernel>{}, filter) for the kernel that was prepared, if any.
    template <class Function>
    static void visit(const filter& prepared, Function&& f) {
        if (auto* w = std::get_if<1>(&prepared))
            f(type_tag<dot>{}, *w);
        if constexpr (F::is_shift)
            if (auto* w = std::get_if<2>(&prepared))
                f(type_tag<shift_add>{}, *w);
        if constexpr (!std::is_same_v<winograd, no_kernel<1>>)
            if (auto* w = std::get_if<3>(&prepared))
                f(type_tag<winograd>{}, *w);
        if constexpr (!std::is_same_v<window, no_kernel<2>>)
            if (auto* w = std::get_if<4>(&prepared))
                f(type_tag<window>{}, *w);
        if constexpr (!std::is_same_v<narrow_window, no_kernel<3>>)
            if (auto* w = std::get_if<5>(&prepared))
                f(type_tag<narrow_window>{}, *w);
        if constexpr (!std::is_same_v<bytes, no_kernel<4>>)
            if (auto* w = std::get_if<6>(&prepared))
                f(type_tag<bytes>{}, *w);
    }
};

} // namespace detail

template <weight_format F, activation X, architecture Arch = arch::native>
class prepared_filter {
public:
    using format = F;
    using direct_kernels = detail::direct_kernels<F, X, Arch>;

    [[nodiscard]] const filter_shape& shape() const noexcept { return shape_; }
    [[nodiscard]] const conv_options& options() const noexcept { return options_; }
    [[nodiscard]] const geometry& prepared_for() const noexcept { return geometry_; }
    [[nodiscard]] std::span<const std::int64_t> abs_sums() const noexcept { return abs_sums_; }
    /// For the product behind a gather; none where all images go to `direct`.
    [[nodiscard]] std::span<const prepared_matrix<F, X, Arch>> groups() const noexcept {
        return groups_;
    }
    /// What convolves NHWC images without a gather, if anything.
    [[nodiscard]] const typename direct_kernels::filter& direct() const noexcept { return direct_; }
    [[nodiscard]] const char* kernel_name() const noexcept {
        const char* name = groups_.empty() ? "none" : groups_[0].kernel_name();
        direct_kernels::visit(direct_,
                              [&](auto k, const auto&) { name = decltype(k)::type::name; });
        return name;
    }
    /// Height and width of the output for an image of this size.
    result<extent> output_shape(std::size_t height, std::size_t width) const {
        return output_extent(height, width, shape_, options_);
    }

private:
    template <activation Y, architecture A, weight_format G>
    friend result<prepared_filter<G, Y, A>> prepare(const packed_filter<G>&, const conv_options&,
                                                    const geometry&);
    status prepare_direct(const packed_filter<F>& filter, const geometry& g) {
        const auto keep = [&](auto kernel) -> status {
            auto prepared = decltype(kernel)::type::prepare(filter, options_);
            if (!prepared)
                return prepared.error();
            direct_ = *std::move(prepared);
            return {};
        };
        const bool depthwise = options_.groups > 1 && options_.groups == shape_.out_channels &&
                               shape_.in_channels == 1;
        if constexpr (F::is_shift)
            if (depthwise && g.kernels == family::shift_add)
                return keep(detail::type_tag<typename direct_kernels::shift_add>{});
        if constexpr (!std::is_same_v<typename direct_kernels::bytes, detail::no_kernel<4>>)
            if (depthwise && direct_kernels::bytes::serves(shape_, options_))
                return keep(detail::type_tag<typename direct_kernels::bytes>{});
        if (depthwise)
            return keep(detail::type_tag<typename direct_kernels::dot>{});
        if constexpr (!std::is_same_v<typename direct_kernels::winograd, detail::no_kernel<1>>)
            if (worth_transforming(g))
                return keep(detail::type_tag<typename direct_kernels::winograd>{});
        if constexpr (!std::is_same_v<typename direct_kernels::narrow_window, detail::no_kernel<3>>)
            if (worth_windows(g) && shape_.out_channels <= simd::width32<simd::half<Arch>>)
                return keep(detail::type_tag<typename direct_kernels::narrow_window>{});
        if constexpr (!std::is_same_v<typename direct_kernels::window, detail::no_kernel<2>>)
            if (worth_windows(g))
                return keep(detail::type_tag<typename direct_kernels::window>{});
        return {};
    }
    /// Winograd does 16 products for 36, but transforms; that pays from 64 channels on.
    [[nodiscard]] bool worth_transforming(const geometry& g) const noexcept {
        return g.activation_bits <= 6 && g.kernels != family::shift_add && shape_.height == 3 &&
               shape_.width == 3 && options_.stride == extent(1) &&
               options_.dilation == extent(1) && options_.groups == 1 && shape_.in_channels >= 64 &&
               shape_.out_channels >= 64;
    }

    /// Where pointers to the taps of each pixel cost more than tiles of a line, the last of which
    /// is seldom full, and decoded weights and a staged band stay in the cache.
    [[nodiscard]] bool worth_windows(const geometry& g) const noexcept {
        const bool pointwise = shape_.height * shape_.width == 1;
        const bool short_lines = options_.stride.width > 1 && g.columns < 64;
        const bool few_channels = std::min(shape_.in_channels, shape_.out_channels) < 64;
        return (pointwise ? !short_lines : few_channels || shape_.height == 1) &&
               *detail::choose<F, X, Arch>(shape_.out_channels, g) == detail::kernel_id::dot &&
               options_.groups == 1 && (options_.dilation.width == 1 || shape_.width == 1) &&
               shape_.columns() != 0 && shape_.out_channels != 0 &&
               shape_.columns() <= (std::size_t{1} << 18) / shape_.out_channels &&
               saturating_mul(options_.stride.width, shape_.height * shape_.in_channels) <= 2048;
    }

    filter_shape shape_;
    conv_options options_;
    geometry geometry_;
    std::vector<std::int64_t> abs_sums_;
    std::vector<prepared_matrix<F, X, Arch>> groups_;
    typename direct_kernels::filter direct_;
};

/// Fixes kernel and layout for one convolution. Errors as for a matrix, and groups that do not
/// divide the output channels.
template <activation X = std::uint8_t, architecture Arch = arch::native, weight_format F>
result<prepared_filter<F, X, Arch>> prepare(const packed_filter<F>& filter,
                                            const conv_options& options, const geometry& g = {}) {
    const filter_shape& shape = filter.shape;
    if (options.groups == 0 || options.groups > std::max<std::size_t>(shape.out_channels, 1) ||
        shape.out_channels % options.groups != 0)
        return error(errc::bad_option, "groups").got(options.groups).limit(shape.out_channels);
    if (const auto id = detail::choose<F, X, Arch>(shape.out_channels, g); !id)
        return id.error();
    if constexpr (std::integral<X>) {
        // Padding is an activation too, and kept to what was promised of them.
        const int least = std::numeric_limits<X>::min() / (1 << (8 - g.activation_bits));
        const int most = std::numeric_limits<X>::max() >> (8 - g.activation_bits);
        if (options.padding_value < least || options.padding_value > most)
            return error(errc::bad_option, "padding_value").got(options.padding_value).limit(most);
    }
    if (auto s = detail::check_depth<X>(filter.matrix, g); !s)
        return s.error();
    prepared_filter<F, X, Arch> p;
    p.shape_ = shape;
    p.options_ = options;
    p.geometry_ = g;
    p.abs_sums_.assign(filter.matrix.abs_sums().begin(), filter.matrix.abs_sums().end());
    if (auto s = p.prepare_direct(filter, g); !s)
        return s.error();
    const bool direct = std::integral<X> && !std::holds_alternative<std::monostate>(p.direct_);
    if (direct && g.nhwc_only)
        return p;
    // Beside a direct kernel too: NCHW images and floats go through the gather.
    for (std::size_t i = 0, rows = shape.out_channels / options.groups; i < options.groups; ++i) {
        auto part = filter.matrix.slice(i * rows, rows);
        if (!part)
            return part.error();
        auto prepared = prepare<X, Arch>(*part, g);
        if (!prepared)
            return prepared.error();
        p.groups_.push_back(*std::move(prepared));
    }
    return p;
}

} // namespace s3

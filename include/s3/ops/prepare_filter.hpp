#pragma once
// `prepare` for a convolution: one prepared matrix per group for the product behind a gather, or,
// where one serves, a kernel that convolves NHWC images directly (kernel/registry.hpp).
//
// Errors as for a matrix, and options of the convolution that make no sense.

#include <s3/ops/prepare.hpp>
#include <s3/ops/store_pixels.hpp>

#include <memory>
#include <new>
#include <variant>

namespace s3 {

namespace detail {

/// Windows that have pixels, and some distance between them: what no image can mend.
inline status check_window(const filter_shape& f, const conv_options& o) noexcept {
    if (f.height == 0 || f.width == 0)
        return error(errc::bad_option, "filter.shape").got(0).limit(1);
    if (o.stride.height == 0 || o.stride.width == 0)
        return error(errc::bad_option, "stride").got(0).limit(1);
    if (o.dilation.height == 0 || o.dilation.width == 0)
        return error(errc::bad_option, "dilation").got(0).limit(1);
    return {};
}

/// Whether the matrix of a filter, which a host may have put together, has the filter's shape.
template <weight_format F>
status check_shape(const packed_filter<F>& filter) {
    const auto& [matrix, shape] = filter;
    if (matrix.rows() != shape.out_channels)
        return error(errc::shape_mismatch, "filter.shape.out_channels")
            .got(shape.out_channels)
            .needs(matrix.rows());
    if (matrix.columns() != shape.columns())
        return error(errc::shape_mismatch, "filter.shape")
            .got(shape.columns())
            .needs(matrix.columns());
    return {};
}

/// Everything that can be wrong with a convolution before any image is known.
template <weight_format F, activation X, kernel_choice Choice>
status check_filter(const packed_filter<F>& filter, const conv_options& options,
                    const prepare_options& o) {
    const filter_shape& shape = filter.shape;
    if (auto s = check_shape(filter); !s)
        return s;
    if (auto s = check_window(shape, options); !s)
        return s;
    if (options.groups == 0 || options.groups > std::max<std::size_t>(shape.out_channels, 1) ||
        shape.out_channels % options.groups != 0)
        return error(errc::bad_option, "groups").got(options.groups).divides(shape.out_channels);
    if (auto s = check<F, Choice>(o); !s)
        return s;
    if constexpr (std::integral<X>) {
        // Padding is an activation too, and kept to what was promised of them.
        const int least = std::numeric_limits<X>::min() / (1 << (8 - o.activation_bits));
        const int most = std::numeric_limits<X>::max() >> (8 - o.activation_bits);
        if (options.padding_value < least || options.padding_value > most)
            return error(errc::bad_option, "padding_value")
                .outside(options.padding_value, least, most);
    }
    if (auto s = check_scales(filter.matrix); !s)
        return s;
    return check_depth<X>(filter.matrix, o);
}

} // namespace detail

template <weight_format F, activation X, architecture Arch = arch::native,
          kernel_choice Choice = family::automatic>
class prepared_filter {
    using candidates = kernel::candidates<Choice, kernel::direct_convolutions<F, X, Arch>>;

public:
    using format = F;
    using matrix = prepared_matrix<F, X, Arch, Choice>;

    static result<prepared_filter> make(const packed_filter<F>& filter, const conv_options& options,
                                        const prepare_options& o) {
        const filter_shape& shape = filter.shape;
        if (auto s = detail::check_filter<F, X, Choice>(filter, options, o); !s)
            return s.error();
        prepared_filter p;
        p.shape_ = shape;
        p.options_ = options;
        p.prepared_for_ = o;
        if (auto s = p.copy_channels(filter.matrix); !s)
            return s.error();
        const auto chosen = p.choose();
        if (!chosen)
            return chosen.error();
        if (auto s = p.prepare_direct(filter, chosen->direct); !s)
            return s.error();
        if (p.direct_.index() == 0 || o.any_order)
            if (auto s = p.prepare_groups(filter, chosen->product); !s)
                return s.error();
        return p;
    }

    [[nodiscard]] const filter_shape& shape() const noexcept { return shape_; }
    [[nodiscard]] const conv_options& options() const noexcept { return options_; }
    [[nodiscard]] const prepare_options& prepared_for() const noexcept { return prepared_for_; }
    [[nodiscard]] std::span<const std::int64_t> abs_sums() const noexcept {
        return abs_sums_.span();
    }
    /// Of every output channel; empty for 1.
    [[nodiscard]] std::span<const float> real_scale() const noexcept { return real_scale_.span(); }
    /// For the product behind a gather; none where all images are convolved directly.
    [[nodiscard]] std::span<const matrix> groups() const noexcept {
        return {groups_.get(), groups_ == nullptr ? 0 : options_.groups};
    }
    /// f(std::type_identity<Loop>{}, filter) for what convolves NHWC images directly, if anything
    /// does, and whether it does.
    template <class Function>
    bool visit_direct(Function&& f) const {
        return visit_filter(f, candidates{});
    }
    [[nodiscard]] const char* kernel_name() const noexcept {
        if constexpr (candidates::size != 0)
            if (direct_.index() != 0)
                return candidates::visit(direct_.index() - 1,
                                         [](auto k) { return decltype(k)::type::name; });
        return groups_ == nullptr ? "none" : groups_[0].kernel_name();
    }
    /// Height and width of the output for an image of this size.
    result<extent> output_shape(std::size_t height, std::size_t width) const {
        return output_extent(height, width, shape_, options_);
    }

private:
    template <class... Kernels>
    static auto filter_of(kernel::kernel_list<Kernels...>)
        -> std::variant<std::monostate, typename kernel::loop_of<Kernels>::filter...>;

    /// The kernels of a filter.
    struct kernels {
        std::size_t direct;      ///< number among the candidates; their count for none
        prepare_options product; ///< of the one behind a gather
    };
    /// One that the options name is either direct or a product; else both are estimated.
    result<kernels> choose() const {
        kernels chosen{candidates::size, prepared_for_};
        kernel::convolution_request request;
        request.shape = shape_;
        request.options = options_;
        request.batch = prepared_for_.batch;
        request.activation_bits = prepared_for_.activation_bits;
        request.abs_sum = largest_abs_sum();
        const bool named = prepared_for_.kernel != kernel_id{};
        if (named) {
            chosen.direct = candidates::find(request, prepared_for_.kernel);
            if (chosen.direct != candidates::size)
                chosen.product.kernel = {};
        }
        const auto product =
            detail::choose<F, X, Arch, Choice>(shape_.out_channels, chosen.product);
        if (!product)
            return product.error();
        if (!named) {
            int rival = 0;
            detail::product_candidates<F, X, Arch, Choice>::visit(*product, [&](auto k) {
                using kernel = typename decltype(k)::type;
                request.product = kernel::family;
                rival = kernel::rank(
                    {shape_.out_channels, prepared_for_.batch, prepared_for_.activation_bits});
            });
            chosen.direct = candidates::best(request, prepared_for_.kernels, rival);
        }
        return chosen;
    }
    status prepare_direct([[maybe_unused]] const packed_filter<F>& filter, std::size_t direct) {
        if constexpr (candidates::size != 0)
            if (direct != candidates::size)
                return keep(direct, filter, candidates{});
        return {};
    }
    template <class... Kernels>
    status keep(std::size_t best, const packed_filter<F>& filter, kernel::kernel_list<Kernels...>) {
        status done;
        std::size_t index = 0;
        const auto try_one = [&]<class Kernel>(std::type_identity<Kernel>) {
            ++index;
            if (index != best + 1)
                return;
            auto prepared = kernel::loop_of<Kernel>::prepare(filter, options_);
            if (prepared)
                direct_.template emplace<typename kernel::loop_of<Kernel>::filter>(
                    *std::move(prepared));
            else
                done = prepared.error();
        };
        (try_one(std::type_identity<Kernels>{}), ...);
        return done;
    }
    template <class Function, class... Kernels>
    bool visit_filter(Function& f, kernel::kernel_list<Kernels...>) const {
        [[maybe_unused]] const auto try_one = [&]<class Kernel>(std::type_identity<Kernel>) {
            using loop = kernel::loop_of<Kernel>;
            static_assert(kernel::direct_loop<loop>);
            const auto* filter = std::get_if<typename loop::filter>(&direct_);
            if (filter != nullptr)
                f(std::type_identity<loop>{}, *filter);
            return filter != nullptr;
        };
        return (try_one(std::type_identity<Kernels>{}) || ...);
    }
    [[nodiscard]] std::int64_t largest_abs_sum() const noexcept {
        const auto sums = abs_sums_.span();
        return sums.empty() ? 0 : *std::max_element(sums.begin(), sums.end());
    }
    /// What belongs to output channels.
    status copy_channels(const packed_matrix<F>& packed) {
        auto abs_sums = buffer<std::int64_t>::make(packed.rows());
        auto real_scale = buffer<float>::make(
            detail::has_real_scale<X>(packed, prepared_for_) ? packed.rows() : 0);
        if (!abs_sums)
            return abs_sums.error();
        if (!real_scale)
            return real_scale.error();
        std::copy(packed.abs_sums().begin(), packed.abs_sums().end(), abs_sums->data());
        for (std::size_t m = 0; m < real_scale->size(); ++m)
            (*real_scale)[m] = packed.real_scale(m);
        abs_sums_ = *std::move(abs_sums);
        real_scale_ = *std::move(real_scale);
        return {};
    }
    status prepare_groups(const packed_filter<F>& filter, const prepare_options& o) {
        std::unique_ptr<matrix[]> groups(new (std::nothrow) matrix[options_.groups]);
        if (groups == nullptr)
            return error(errc::out_of_memory, "groups").got(options_.groups);
        const std::size_t rows = shape_.out_channels / options_.groups;
        for (std::size_t i = 0; i < options_.groups; ++i) {
            auto part = filter.matrix.slice(i * rows, rows);
            if (!part)
                return part.error();
            auto prepared = matrix::make(*part, o);
            if (!prepared)
                return prepared.error();
            groups[i] = *std::move(prepared);
        }
        groups_ = std::move(groups);
        return {};
    }

    filter_shape shape_;
    conv_options options_;
    prepare_options prepared_for_;
    buffer<std::int64_t> abs_sums_;
    buffer<float> real_scale_;
    std::unique_ptr<matrix[]> groups_;
    decltype(filter_of(candidates{})) direct_;
};

/// Fixes kernel and layout for one convolution.
template <activation X = std::uint8_t, kernel_choice Choice = family::automatic,
          architecture Arch = arch::native, weight_format F>
result<prepared_filter<F, X, Arch, Choice>> prepare(const packed_filter<F>& filter,
                                                    const conv_options& options,
                                                    const prepare_options& o = {}) {
    return prepared_filter<F, X, Arch, Choice>::make(filter, options, o);
}

} // namespace s3

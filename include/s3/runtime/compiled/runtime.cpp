// The choice of an instruction set and an activation type. This file is compiled once, for any
// machine.

#include <s3/runtime/compiled/factories.hpp>

namespace s3::runtime {
namespace {

using built_formats = format_list<S3_RUNTIME_FORMATS>;

template <class... X>
struct activation_types {
    /// Calls f(X{}) for the type that is asked for, or returns `unsupported` if the library is not
    /// built for it.
    template <class T, class Function>
    static result<T> with([[maybe_unused]] activation_type type, [[maybe_unused]] Function&& f) {
        result<T> made = error(errc::unsupported, "options.activations");
        (void)((type == activation_type_of<X> && (made = f(X{}), true)) || ...);
        return made;
    }
};
using built_activations = activation_types<S3_RUNTIME_ACTIVATIONS>;

template <isa... Sets>
std::span<const isa> list(isa_list<Sets...>) noexcept {
    static constexpr isa all[] = {Sets...};
    return all;
}

/// The set that is asked for, or the best one. A library without the baseline may have none that
/// this machine supports.
result<isa> choose(const std::optional<isa>& asked) {
    if (asked && dispatch::named(to_string(*asked)) && supports(*asked))
        return *asked;
    if (asked)
        return error(errc::unsupported, "options.set");
    const isa best = dispatch::best();
    if (!dispatch::named(to_string(best)))
        return error(errc::unsupported, "options.set");
    return best;
}

/// T(f(set), set) for the set that is asked for.
template <class T, class Function>
result<T> with_set(const std::optional<isa>& asked, Function&& f) {
    const auto set = choose(asked);
    if (!set)
        return set.error();
    auto made = dispatch::with(*set, f);
    if (!made)
        return made.error();
    return T(*std::move(made), *set);
}

} // namespace

std::span<const isa> instruction_sets() noexcept {
    return list(dispatch());
}

result<isa> find(std::string_view name) {
    const auto set = dispatch::named(name);
    if (!set)
        return error(errc::bad_option, "options.set");
    if (!supports(*set))
        return error(errc::unsupported, "options.set");
    return *set;
}

result<linear> detail::prepare(any_matrix weights, const options& o) {
    return std::visit(
        [&]<weight_format F>(const packed_matrix<F>* w) -> result<linear> {
            if constexpr (built_formats::has<F>)
                return with_set<linear>(o.set, [&](auto set) {
                    return built_activations::with<std::unique_ptr<const linear_kernel>>(
                        o.activations,
                        [&]<class X>(X) { return make_linear<set, X>(*w, o.prepare); });
                });
            else
                return error(errc::unsupported, "weights.format").got(F::bits);
        },
        weights);
}

result<conv2d> detail::prepare(any_filter filter, const conv_options& shape, const options& o) {
    return std::visit(
        [&]<weight_format F>(const packed_filter<F>* w) -> result<conv2d> {
            if constexpr (built_formats::has<F>)
                return with_set<conv2d>(o.set, [&](auto set) {
                    return built_activations::with<std::unique_ptr<const conv2d_kernel>>(
                        o.activations,
                        [&]<class X>(X) { return make_conv2d<set, X>(*w, shape, o.prepare); });
                });
            else
                return error(errc::unsupported, "filter.format").got(F::bits);
        },
        filter);
}

result<linear_layer> linear_layer::make_any(detail::any_matrix weights,
                                            const linear_layer_options& o) {
    return with_set<linear_layer>(
        o.set, [&](auto set) { return detail::make_linear_layer<set>(weights, o); });
}

result<program> prepare(const net::model& model, const program_options& o) {
    return with_set<program>(o.set, [&](auto set) { return detail::make_program<set>(model, o); });
}

result<std::vector<std::string>> tune(const net::model& model, const program_options& o,
                                      double seconds, const layer_observer& after) {
    const auto set = choose(o.set);
    if (!set)
        return set.error();
    return dispatch::with(
        *set, [&](auto of) { return detail::tune_program<of>(model, o, seconds, after); });
}

} // namespace s3::runtime

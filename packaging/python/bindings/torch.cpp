// The library's training and packing for PyTorch: functions over tensors, by format name. The
// Python side (module/__init__.py) makes modules and optimizers of them.
//
// `fields` are a weight's latents in the library's order: sign, sparse (in formats with zero),
// shift_1 … shift_T; the format "absmean" (BitNet b1.58) has one. Errors are RuntimeErrors that
// name the argument.

#include <s3/interop/torch_absmean.hpp>
#include <s3/interop/torch_passes.hpp>
#include <s3/pack/record.hpp>
#include <s3/train/init.hpp>

#include <torch/csrc/utils/pybind.h>

namespace {

namespace hosts = s3::libtorch;
using hosts::Tensor;
using hosts::tensors;

/// body(F{}) for the shift format of this name.
template <class Body>
auto with_format(const std::string& name, const Body& body) {
    using namespace s3;
    if (name == "shift2")
        return body(shift2{});
    if (name == "shift3")
        return body(shift3{});
    if (name == "shift4")
        return body(shift4{});
    if (name == "dense2")
        return body(dense2{});
    if (name == "dense3")
        return body(dense3{});
    TORCH_CHECK(name == "dense4", "s3: no format is named ", name);
    return body(dense4{});
}

/// A straight-through estimator by name, with its limit or δ.
struct estimator_choice {
    std::string name;
    float parameter;

    /// Without a parameter, the estimator's own default.
    estimator_choice(std::string n, std::optional<float> given) : name(std::move(n)) {
        TORCH_CHECK(name == "identity" || name == "clipped" || name == "ewgs",
                    "s3: no estimator is named ", name);
        parameter = given               ? *given
                    : name == "clipped" ? s3::straight_through::clipped{}.limit
                    : name == "ewgs"    ? s3::straight_through::ewgs{}.delta
                                        : 0;
    }
};
template <class Body>
void with_estimator(const estimator_choice& choice, const Body& body) {
    if (choice.name == "identity")
        return body(s3::straight_through::identity{});
    if (choice.name == "clipped")
        return body(s3::straight_through::clipped{choice.parameter});
    return body(s3::straight_through::ewgs{choice.parameter});
}

/// body(surrogate) for the surrogate of this name; "published" and "recommended" depend on the
/// format.
template <class F, class Body>
void with_surrogate(const std::string& name, const Body& body) {
    if (name == "published")
        return body(s3::surrogate::published<F>{});
    if (name == "recommended")
        return body(s3::surrogate::recommended<F>{});
    if (name == "authors")
        return body(s3::surrogate::authors{});
    if (name == "square_root")
        return body(s3::surrogate::square_root{});
    if (name == "flat")
        return body(s3::surrogate::flat{});
    TORCH_CHECK(name == "direct", "s3: no surrogate is named ", name);
    return body(s3::surrogate::direct{});
}

const std::string absmean = "absmean";

const Tensor& one(const tensors& fields) {
    TORCH_CHECK(fields.size() == 1, "s3: absmean has one latent, not ", fields.size());
    return fields[0];
}
std::span<const float> read(const Tensor& t, const char* name) {
    return hosts::floats(t, name);
}

/// Names in state dicts, the S3 authors'.
std::vector<std::string> names(const std::string& format) {
    if (format == absmean)
        return {"weight"};
    return with_format(format, []<class F>(F) {
        std::vector<std::string> all;
        for (std::size_t k = 0; k < s3::latents_per_weight<F>; ++k)
            all.push_back(s3::parameter_name<F>(k));
        return all;
    });
}

Tensor realize(const std::string& format, const tensors& fields) {
    if (format == absmean)
        return hosts::realized_absmean(one(fields));
    return with_format(format, [&]<class F>(F) { return hosts::realized<F>(fields); });
}

/// Throws if the format has no surrogate of this name.
void check_surrogate(const std::string& format, const std::string& name) {
    TORCH_CHECK(format != absmean || name == "published", "s3: absmean has no surrogates");
    if (format != absmean)
        with_surrogate<s3::shift3>(name, [](const auto&) {});
}

tensors backward(const std::string& format, const tensors& fields, const Tensor& grad_weights,
                 const std::string& surrogate_name, const estimator_choice& choice) {
    check_surrogate(format, surrogate_name);
    tensors grads;
    with_estimator(choice, [&](const auto& estimate) {
        if (format == absmean)
            grads = {hosts::backward_absmean(one(fields), grad_weights, estimate)};
        else
            with_format(format, [&]<class F>(F) {
                with_surrogate<F>(surrogate_name, [&](const auto& surrogate) {
                    grads = hosts::backward<F>(fields, grad_weights, surrogate, estimate);
                });
            });
    });
    return grads;
}

template <class Optimizer>
void step(const Optimizer& optimizer, const std::string& format, const tensors& fields,
          const std::vector<tensors>& moments, const Tensor& grad_weights, const Tensor& weights,
          float dense, const std::string& surrogate_name, const estimator_choice& choice) {
    with_estimator(choice, [&](const auto& estimate) {
        with_format(format, [&]<class F>(F) {
            with_surrogate<F>(surrogate_name, [&](const auto& surrogate) {
                hosts::step<F>(optimizer, fields, moments, grad_weights, weights, dense, surrogate,
                               estimate);
            });
        });
    });
}

/// Sets latents to realize what float weights round to; returns the weights' unit.
float initialize_from(const std::string& format, const Tensor& weights, const tensors& fields) {
    if (format != absmean)
        return with_format(format,
                           [&]<class F>(F) { return hosts::initialize_from<F>(weights, fields); });
    const Tensor& latent = one(fields);
    const Tensor w = hosts::laid_out_as(latent, weights);
    const auto values = hosts::floats(w, "weights", latent, "weight");
    (void)hosts::value(s3::detail::checked_absmean_scale(values, "weights"));
    latent.copy_(w); // its own latent, at its own scale
    return 1;
}

void validate(const std::string& format, const tensors& given) {
    const tensors fields = hosts::aligned(given);
    if (format == absmean)
        return with_format("dense2", [&]<class F>(F) { // any format: the latents alone count
            hosts::check(s3::validate(hosts::latents_of<F>({one(fields), one(fields)})));
        });
    with_format(format,
                [&]<class F>(F) { hosts::check(s3::validate(hosts::latents_of<F>(fields))); });
}

/// The record (pack/layout.hpp) of discrete weights: [out, in] or [out, in, height, width].
pybind11::bytes pack_record(const std::string& format, const Tensor& given, float scale) {
    const Tensor weights = given.detach().contiguous();
    const auto w = read(weights, "weights");
    const auto size = [&](int d) { return static_cast<std::size_t>(weights.size(d)); };
    TORCH_CHECK(weights.dim() == 2 || weights.dim() == 4, "s3: weights have ", weights.dim(),
                " dimensions, 2 or 4 are needed");
    const s3::pack_options options{0, scale == 1 ? std::span<const float>()
                                                 : std::span<const float>(&scale, 1)};
    const auto record = with_format(format == absmean ? "shift2" : format, [&]<class F>(F) {
        if (weights.dim() == 2)
            return s3::serialize(hosts::value(s3::pack<F>(w, size(0), size(1), options)));
        return s3::serialize(hosts::value(s3::pack_filter<F>(
            w, {size(0), size(2), size(3), size(1)}, s3::filter_order::oihw, options)));
    });
    return {reinterpret_cast<const char*>(record.data()), record.size()};
}

/// The inverse: discrete weights of a record, without its scale.
Tensor unpack_record(const std::string& format, const std::string& bytes) {
    const auto record = std::as_bytes(std::span(bytes));
    return with_format(format == absmean ? "shift2" : format, [&]<class F>(F) {
        const auto count = [](std::size_t n) { return static_cast<std::int64_t>(n); };
        if (const auto matrix = s3::deserialize<F>(record)) {
            const Tensor w = torch::empty({count(matrix->rows()), count(matrix->columns())});
            hosts::check(s3::unpack(*matrix, hosts::floats(w, "weights")));
            return w;
        }
        const auto filter = hosts::value(s3::deserialize_filter<F>(record));
        const auto& s = filter.shape;
        const auto taps = filter.matrix.columns() / (s.height * s.width);
        const Tensor w = torch::empty(
            {count(filter.matrix.rows()), count(s.height), count(s.width), count(taps)});
        hosts::check(s3::unpack(filter.matrix, hosts::floats(w, "weights")));
        return w.permute({0, 3, 1, 2}).contiguous();
    });
}

} // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
    namespace py = pybind11;
    const auto free = py::call_guard<py::gil_scoped_release>();
    py::class_<estimator_choice>(m, "Estimator")
        .def(py::init<std::string, std::optional<float>>(), py::arg("name") = "identity",
             py::arg("parameter") = py::none())
        .def_readonly("name", &estimator_choice::name)
        .def_readonly("parameter", &estimator_choice::parameter)
        .def(py::pickle(
            [](const estimator_choice& e) { return py::make_tuple(e.name, e.parameter); },
            [](const py::tuple& t) {
                return estimator_choice{t[0].cast<std::string>(), t[1].cast<float>()};
            }));
    m.def("names", &names);
    m.def("check_surrogate", &check_surrogate);
    m.def("realize", &realize, free);
    m.def("backward", &backward, free);
    m.def("initialize_from", &initialize_from, free);
    m.def("validate", &validate, free);
    m.def(
        "sgd_step",
        [](float rate, float momentum, float decay, bool nesterov, const std::string& format,
           const tensors& fields, const std::vector<tensors>& moments, const Tensor& grad,
           const Tensor& weights, float dense, const std::string& surrogate,
           const estimator_choice& e) {
            step(s3::sgd{rate, momentum, decay, nesterov}, format, fields, moments, grad, weights,
                 dense, surrogate, e);
        },
        free);
    m.def(
        "adam_step",
        [](float rate, float beta1, float beta2, float epsilon, float decay, bool decoupled,
           std::int64_t number, const std::string& format, const tensors& fields,
           const std::vector<tensors>& moments, const Tensor& grad, const Tensor& weights,
           float dense, const std::string& surrogate, const estimator_choice& e) {
            step(s3::adam{rate, beta1, beta2, epsilon, decay, decoupled, number}, format, fields,
                 moments, grad, weights, dense, surrogate, e);
        },
        free);
    m.def("add_dense_gradient", [](const Tensor& sparse, const Tensor& grad, float strength) {
        const auto to = hosts::floats(grad, "sparse.grad", sparse, "sparse");
        hosts::mark_written({grad});
        hosts::check(s3::add_dense_gradient(read(sparse, "sparse"), to, strength));
    });
    m.def("strength_for_share", [](const Tensor& sparse, double target, float gain) {
        TORCH_CHECK(target >= 0 && target <= 1, "s3: target is ", target, ", not in [0, 1]");
        return s3::strength_for_share(s3::share_of_zeros_from(read(sparse, "sparse")), target,
                                      gain);
    });
    m.def("absmean_scale", [](const Tensor& latent) {
        return s3::absmean_scale(read(hosts::aligned(latent)[0], "weight"));
    });
    m.def("initial_deviation", [](const std::string& format, std::size_t area, std::size_t out) {
        return format.starts_with("dense") ? s3::small_deviation : s3::initial_deviation(area, out);
    });
    m.def("pack_record", &pack_record);
    m.def("unpack_record", &unpack_record);
}

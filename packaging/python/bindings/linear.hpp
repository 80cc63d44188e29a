#pragma once
// Linear layers of floats for Python (s3/linear.py): records of packed weights, and layers made of
// them.

#include "errors.hpp"

#include <s3/pack/quantize.hpp>
#include <s3/pack/record.hpp>
#include <s3/runtime/linear_layer.hpp>

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

namespace linear_bindings {

namespace py = pybind11;
using floats = py::array_t<float, py::array::c_style>;

/// Threads that are started for each run.
class thread_executor {
public:
    explicit thread_executor(std::size_t count) : count_(count) {}

    [[nodiscard]] std::size_t concurrency() const noexcept { return count_; }
    template <class Function>
    void run(std::size_t tasks, Function&& f) const {
        std::atomic<std::size_t> next = 0;
        const auto work = [&](std::size_t worker) {
            for (std::size_t t = next++; t < tasks; t = next++)
                f(t, worker);
        };
        std::vector<std::jthread> others;
        others.reserve(count_);
        try {
            for (std::size_t w = 1; w < std::min(count_, tasks); ++w)
                others.emplace_back(work, w);
        } catch (const std::system_error&) {
            // Where no more threads can be had, those that there are do all.
        }
        work(0);
    }

private:
    std::size_t count_;
};

/// Calls f.operator()<F>() for the format of this name.
template <class Function>
void with_format(const std::string& name, Function&& f) {
    if (s3::all_formats::visit(name, f))
        return;
    std::string known;
    s3::all_formats::each(
        [&]<s3::weight_format F>() { known.append(known.empty() ? "" : ", ").append(F::name); });
    throw failure("format: there is no '" + name + "' (" + known + ")");
}

[[nodiscard]] inline py::bytes bytes_of(const std::vector<std::byte>& record) {
    return {reinterpret_cast<const char*>(record.data()), record.size()};
}
[[nodiscard]] inline std::span<const std::byte> span_of(std::string_view record) {
    return std::as_bytes(std::span(record));
}

/// A record of weights [M][K], which are checked to have two dimensions, rounded to a format with
/// scales per group, or per row where the group is 0.
[[nodiscard]] inline py::bytes quantize(const std::string& format, const floats& w,
                                        std::size_t group, bool powers_of_two, bool bfloat16) {
    const auto m = static_cast<std::size_t>(w.shape(0)), k = static_cast<std::size_t>(w.shape(1));
    s3::quantize_options o;
    o.granularity = group == 0 ? s3::scale_per::row : s3::scale_per::group;
    o.scale = powers_of_two ? s3::scale_kind::power_of_two : s3::scale_kind::real;
    o.group = group;
    o.stored = bfloat16 ? s3::scale_type::bfloat16 : s3::scale_type::binary16;
    std::vector<std::byte> record;
    with_format(format, [&]<s3::weight_format F>() {
        const std::span<const float> given(w.data(), m * k);
        const py::gil_scoped_release free;
        record = s3::serialize(checked(s3::quantize<F>(given, m, k, o)));
    });
    return bytes_of(record);
}

/// (values, int32 [M, K]; scales, float32 [M, groups]) of a record.
[[nodiscard]] inline py::tuple unpack(const std::string& format, std::string_view record) {
    py::tuple parts;
    with_format(format, [&]<s3::weight_format F>() {
        const auto w = checked(s3::deserialize<F>(span_of(record)));
        const auto n = [](std::size_t size) { return static_cast<py::ssize_t>(size); };
        py::array_t<std::int32_t> values({n(w.rows()), n(w.columns())});
        checked(s3::unpack(w, std::span<std::int32_t>(values.mutable_data(), w.size())));
        py::array_t<float> scale({n(w.rows()), n(w.scales_per_row())});
        for (std::size_t r = 0; r < w.rows(); ++r)
            for (std::size_t g = 0; g < w.scales_per_row(); ++g)
                scale.mutable_at(n(r), n(g)) = w.real_scale(r, g);
        parts = py::make_tuple(values, scale);
    });
    return parts;
}

/// A layer with its threads. Calls from several Python threads take turns.
class layer {
public:
    layer(const std::string& format, std::string_view record, std::size_t batch,
          std::size_t threads, bool grouped_activations, const std::string& set)
        : threads_(threads), layer_(make(format, record, batch, grouped_activations, set)) {}

    /// y [N][M] of x [N][K], both of the shapes that Python checked; a bias may be empty.
    [[nodiscard]] floats run(const floats& x, const floats& bias) {
        const auto n = static_cast<std::size_t>(x.shape(0));
        floats y({x.shape(0), static_cast<py::ssize_t>(layer_.rows())});
        const std::span<const float> from(x.data(), static_cast<std::size_t>(x.size()));
        const std::span<float> to(y.mutable_data(), static_cast<std::size_t>(y.size()));
        const std::span<const float> b(bias.data(), static_cast<std::size_t>(bias.size()));
        {
            const py::gil_scoped_release free;
            const std::scoped_lock lock(mutex_);
            checked(layer_.run({from, n, static_cast<std::size_t>(x.shape(1))},
                               {to, n, layer_.rows()}, b));
        }
        return y;
    }
    [[nodiscard]] std::size_t rows() const { return layer_.rows(); }
    [[nodiscard]] std::size_t columns() const { return layer_.columns(); }
    /// How many weights of a row share a scale; 0 if all do.
    [[nodiscard]] std::size_t group() const { return group_; }
    [[nodiscard]] std::size_t bytes() const { return layer_.weight_bytes(); }
    [[nodiscard]] const char* kernel() const { return layer_.kernel_name(); }
    [[nodiscard]] const char* instruction_set() const { return s3::to_string(layer_.isa()); }

private:
    [[nodiscard]] s3::runtime::linear_layer make(const std::string& format, std::string_view record,
                                                 std::size_t batch, bool grouped,
                                                 const std::string& set) {
        s3::runtime::linear_layer_options o;
        if (!set.empty())
            o.set = checked(s3::runtime::find(set));
        o.batch = batch;
        if (threads_.concurrency() == 0)
            throw failure("threads: must be at least 1");
        o.executor = threads_;
        std::optional<s3::runtime::linear_layer> made;
        with_format(format, [&]<s3::weight_format F>() {
            const auto w = checked(s3::deserialize<F>(span_of(record)));
            group_ = w.group();
            o.activation_group = grouped ? group_ : 0;
            made = checked(s3::runtime::linear_layer::make(w, o));
        });
        return *std::move(made);
    }

    thread_executor threads_;
    std::mutex mutex_;
    std::size_t group_ = 0;
    s3::runtime::linear_layer layer_;
};

inline void add(py::module_& m) {
    m.def("quantize", &quantize);
    m.def("unpack", &unpack);
    py::class_<layer>(m, "LinearLayer")
        .def(py::init<const std::string&, std::string_view, std::size_t, std::size_t, bool,
                      const std::string&>())
        .def("run", &layer::run)
        .def_property_readonly("rows", &layer::rows)
        .def_property_readonly("columns", &layer::columns)
        .def_property_readonly("group", &layer::group)
        .def_property_readonly("bytes", &layer::bytes)
        .def_property_readonly("kernel", &layer::kernel)
        .def_property_readonly("instruction_set", &layer::instruction_set);
}

} // namespace linear_bindings

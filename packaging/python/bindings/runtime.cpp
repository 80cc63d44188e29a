// Networks for Python: reading, importing, running and tuning them; linear layers are in
// linear.hpp. The Python side (s3/network.py) makes tables of what this says. Errors are exceptions
// of the type s3.Error, with the library's text.

#if defined(S3_HAS_PROGRAM)
#include "commands.hpp"
#endif

#include "errors.hpp"
#include "linear.hpp"

#include <s3/import/network.hpp>
#include <s3/interop/numpy.hpp>
#include <s3/io/model_file.hpp>
#include <s3/net/cost.hpp>
#include <s3/net/reference.hpp>
#include <s3/runtime/program.hpp>
#include <s3/version.hpp>

#include <pybind11/functional.h>
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>

namespace {

namespace py = pybind11;
namespace net = s3::net;
using ::checked;

/// The value, or an exception for an error whose index is a layer, which is told by its name.
template <class T>
T checked(s3::result<T> r, const net::model& m) {
    if (r)
        return *std::move(r);
    const auto layer = static_cast<std::size_t>(r.error().index);
    if (layer >= m.layers.size())
        throw failure(r.error().message());
    s3::error e = r.error();
    e.index = -1;
    throw failure("layer " + m.layers[layer].name + ": " + e.message());
}

[[nodiscard]] s3::family family_of(const std::string& name) {
    if (name == "automatic")
        return s3::family::automatic;
    if (name == "dot")
        return s3::family::dot;
    if (name == "shift_add")
        return s3::family::shift_add;
    throw failure("kernels: there is no family '" + name + "' (automatic, dot, shift_add)");
}

using dimensions = std::vector<py::ssize_t>;

[[nodiscard]] std::string text_of(const dimensions& shape) {
    std::string text;
    for (const auto d : shape)
        text.append(text.empty() ? "" : ", ").append(std::to_string(d));
    return "[" + text + "]";
}

/// The dimensions of a value after that of the batch.
[[nodiscard]] dimensions shape_of(const net::value_info& v) {
    const auto n = [](std::size_t size) { return static_cast<py::ssize_t>(size); };
    if (v.height == 1 && v.width == 1)
        return {n(v.channels)};
    if (v.kind == net::value_kind::sequence)
        return {n(v.width), n(v.channels)};
    return {n(v.height), n(v.width), n(v.channels)};
}

/// Images or outputs of a batch, each without gaps, in the memory of an array that this keeps
/// alive.
template <class T>
struct batch_of {
    py::array array;
    T* first;
    std::ptrdiff_t step; ///< elements from one to the next, which may be negative
    std::size_t count, size;

    /// Errors: those of interop/numpy.hpp; "strides" if there are gaps in one of them.
    static s3::result<batch_of> make(const py::array& a) {
        return s3::numpy::array<T>(a).and_then([&](const auto& s) -> s3::result<batch_of> {
            if (s.elements() == 0)
                return batch_of{a, s.data, 0, s.size(0), 0};
            auto one = s; // the array without its first dimension
            one.rank = s.rank - 1;
            for (std::size_t d = 0; d < one.rank; ++d) {
                one.shape[d] = s.shape[d + 1];
                one.strides[d] = s.strides[d + 1];
            }
            const auto each = s3::interop::span_of(one);
            if (!each)
                return each.error().at(static_cast<std::size_t>(each.error().index) + 1);
            const auto step = s.size(0) > 1 ? static_cast<std::ptrdiff_t>(s.strides[0])
                                            : static_cast<std::ptrdiff_t>(each->size());
            return batch_of{a, s.data, step, s.size(0), each->size()};
        });
    }
    /// Whether one follows the other without a gap, so that several are one piece of memory.
    [[nodiscard]] bool is_whole() const { return step == static_cast<std::ptrdiff_t>(size); }
    [[nodiscard]] std::span<T> piece(std::size_t n, std::size_t some) const {
        return {first + static_cast<std::ptrdiff_t>(n) * step, some * size};
    }
};

/// Which kernels run a network.
struct choice {
    std::string set, family = "automatic"; ///< an empty set stands for the best of this machine
    std::size_t batch = 1;
    std::vector<std::string> kernels = {}; ///< empty, or measured ones per layer

    [[nodiscard]] s3::runtime::program_options options() const {
        if (batch == 0)
            throw failure("batch: must be at least 1");
        s3::runtime::program_options o;
        if (!set.empty())
            o.set = checked(s3::runtime::find(set));
        o.batch = batch;
        o.kernels = family_of(family);
        o.layer_kernels = kernels;
        return o;
    }
};

/// Collects the fields of a value or layer in a Python dict. Weights are integers, int32
/// [out, in, height, width], beside the "format" that they are packed in.
struct field_collector {
    py::dict& to;

    void operator()(const char* name, net::value_id v) { to[name] = v.number; }
    void operator()(const char* name, net::value_kind) { to[name] = py::none(); }
    void operator()(const char* name, const s3::extent& e) {
        to[name] = py::make_tuple(e.height, e.width);
    }
    void operator()(const char* name, const std::optional<net::scaled_input>& from) {
        to[name] = from ? py::object(py::make_tuple(from->value.number, from->scale)) : py::none();
    }
    void operator()(const char* name, const std::vector<net::scaled_input>& inputs) {
        py::list list;
        for (const auto& from : inputs)
            list.append(py::make_tuple(from.value.number, from.scale));
        to[name] = list;
    }
    void operator()(const char* name, const net::any_filter& filter) {
        std::visit(
            [&]<class P>(const P& packed) {
                const s3::filter_shape& s = packed.shape;
                py::array_t<std::int32_t> weights(dimensions{
                    static_cast<py::ssize_t>(s.out_channels),
                    static_cast<py::ssize_t>(s.in_channels), static_cast<py::ssize_t>(s.height),
                    static_cast<py::ssize_t>(s.width)});
                std::int32_t* w = weights.mutable_data();
                for (std::size_t m = 0; m < s.out_channels; ++m)
                    for (std::size_t c = 0; c < s.in_channels; ++c)
                        for (std::size_t t = 0; t < s.height * s.width; ++t)
                            *w++ = packed.matrix.value(m, t * s.in_channels + c);
                to[name] = weights;
                to["format"] = P::format::name;
            },
            filter);
    }
    template <class T>
    void operator()(const char* name, const std::vector<T>& numbers) {
        to[name] = py::array_t<T>(static_cast<py::ssize_t>(numbers.size()), numbers.data());
    }
    template <class T>
    requires std::is_arithmetic_v<T>
    void operator()(const char* name, T number) { to[name] = number; }
};

class network {
public:
    explicit network(net::model m, std::vector<s3::importing::layer_report> report = {})
        : model_(std::move(m)), report_(std::move(report)), program_(prepare(choice_)) {}

    void choose(choice c) {
        program_ = prepare(c);
        choice_ = std::move(c);
    }
    std::vector<std::string> tune(choice c, double seconds) {
        if (!(seconds > 0))
            throw failure("seconds: must be positive");
        c.kernels = {};
        {
            const py::gil_scoped_release free;
            c.kernels = checked(s3::runtime::tune(model_, c.options(), seconds), model_);
        }
        choose(c);
        return choice_.kernels;
    }

    /// Runs the network on images that are checked to be bytes of its input's shape. Outputs are
    /// real numbers, or the integers of the network's own type; they go to `out` if it is given.
    [[nodiscard]] py::array run(const py::array& x, bool integers,
                                const std::optional<py::array>& out) const {
        check_input(x);
        switch (integers ? program_.output().element : net::element_type::float32) {
        case net::element_type::uint8:
            return run_as<std::uint8_t>(x, out);
        case net::element_type::int32:
            return run_as<std::int32_t>(x, out);
        case net::element_type::float32:
            break;
        }
        return run_as<float>(x, out);
    }
    /// The integers of the same outputs by the network's definition, one loop after the other.
    [[nodiscard]] py::array_t<std::int32_t> reference(const py::array& x) const {
        check_input(x);
        const auto images = images_type::ensure(x);
        const auto batch = static_cast<std::size_t>(images.shape(0));
        if (model_.output().element == net::element_type::float32)
            throw failure("the network's last layer is in float, which has no reference");
        std::vector<std::vector<std::int32_t>> values;
        {
            const py::gil_scoped_release free;
            values = checked(
                net::reference::run(
                    model_, {images.data(), static_cast<std::size_t>(images.size())}, batch),
                model_);
        }
        dimensions shape = shape_of(model_.output());
        shape.insert(shape.begin(), images.shape(0));
        py::array_t<std::int32_t> y(shape);
        std::copy(values.back().begin(), values.back().end(), y.mutable_data());
        return y;
    }

    void save(const std::string& path) const { checked(s3::model_file::save(model_, path)); }
    [[nodiscard]] py::bytes bytes() const {
        const auto file = checked(s3::model_file::write(model_));
        return {reinterpret_cast<const char*>(file.data()), file.size()};
    }

    [[nodiscard]] py::list layers() const {
        py::list rows;
        for (std::size_t i = 0; i < model_.layers.size(); ++i) {
            const auto cost = net::cost_of(model_, i);
            const auto& out = model_.values[i + 1];
            rows.append(
                py::dict(py::arg("name") = model_.layers[i].name,
                         py::arg("kind") = std::visit([](const auto& l) { return net::name_of(l); },
                                                      model_.layers[i].operation),
                         py::arg("format") = cost.weights == 0 ? "" : cost.format,
                         py::arg("weights") = cost.weights, py::arg("zeros") = cost.zeros,
                         py::arg("bytes") = cost.bytes,
                         py::arg("output") = py::tuple(py::cast(shape_of(out))),
                         py::arg("bits") = out.bits, py::arg("products") = cost.work.products,
                         py::arg("multiplications") = cost.work.multiplies,
                         py::arg("kernel") = program_.kernel_name(i)));
        }
        return rows;
    }
    /// The fields of all values and layers by their names in model files; those of layers also have
    /// "name" and "kind".
    [[nodiscard]] py::dict model() const {
        py::list values, layers;
        for (const auto& v : model_.values) {
            py::dict fields;
            net::value_info::fields(v, field_collector{fields});
            fields["sequence"] = v.kind == net::value_kind::sequence;
            values.append(fields);
        }
        for (const auto& l : model_.layers)
            std::visit(
                [&]<class L>(const L& layer) {
                    py::dict fields;
                    L::fields(layer, field_collector{fields});
                    fields["name"] = l.name;
                    fields["kind"] = net::name_of(layer);
                    layers.append(fields);
                },
                l.operation);
        return py::dict(py::arg("values") = values, py::arg("layers") = layers,
                        py::arg("output_scale") = model_.output_scale);
    }
    [[nodiscard]] py::list report() const {
        py::list rows;
        for (const auto& r : report_)
            rows.append(py::dict(py::arg("name") = r.name, py::arg("format") = r.format,
                                 py::arg("method") = r.method, py::arg("weights") = r.weights,
                                 py::arg("zeros") = r.zeros,
                                 py::arg("weight_error") = r.weight_error, py::arg("bits") = r.bits,
                                 py::arg("scale") = r.scale,
                                 py::arg("activation_error") = r.activation_error));
        return rows;
    }
    [[nodiscard]] py::tuple input_shape() const { return py::cast(shape_of(model_.input())); }
    [[nodiscard]] float input_scale() const { return model_.input().scale; }
    [[nodiscard]] int input_zero_point() const { return model_.input().zero_point; }
    [[nodiscard]] int input_bits() const { return model_.input().bits; }
    [[nodiscard]] float output_scale() const {
        const auto& out = model_.output();
        return out.element == net::element_type::uint8 ? out.scale : model_.output_scale;
    }
    [[nodiscard]] const char* instruction_set() const { return s3::to_string(program_.isa()); }

private:
    [[nodiscard]] s3::runtime::program prepare(const choice& c) const {
        return checked(s3::runtime::prepare(model_, c.options()), model_);
    }
    using images_type = py::array_t<std::uint8_t, py::array::c_style>;
    void check_input(const py::array& x) const {
        if (!py::isinstance<py::array_t<std::uint8_t>>(x))
            throw failure("input: an array of uint8 is needed, not of " +
                          py::str(x.dtype()).cast<std::string>());
        const dimensions shape(x.shape(), x.shape() + x.ndim());
        const auto& in = model_.input();
        dimensions each = shape_of(in);
        const bool gray = in.channels == 1 && each.size() == 3 && shape.size() == 3;
        if (gray)
            each.pop_back();
        if (shape.size() != each.size() + 1 ||
            !std::equal(each.begin(), each.end(), shape.begin() + 1))
            throw failure("input: shape does not fit (got " + text_of(shape) + ", needs [N" +
                          (each.empty() ? "]" : ", " + text_of(shape_of(in)).substr(1)) + ")");
    }
    /// Checks an array that outputs go to.
    template <class Y>
    [[nodiscard]] static batch_of<Y> check_out(const py::array& y, const dimensions& shape,
                                               const py::array& x) {
        const py::object type = py::dtype::of<Y>();
        if (!py::isinstance<py::array_t<Y>>(y))
            throw failure("out: an array of " + py::str(type).cast<std::string>() +
                          " is needed, not of " + py::str(y.dtype()).cast<std::string>());
        if (const dimensions got(y.shape(), y.shape() + y.ndim()); got != shape)
            throw failure("out: shape does not fit (got " + text_of(got) + ", needs " +
                          text_of(shape) + ")");
        if (!y.writeable())
            throw failure("out: the array is read-only");
        const auto overlap = py::module_::import("numpy").attr("may_share_memory");
        if (overlap(x, y).cast<bool>())
            throw failure("out: the array may overlap the input");
        const auto batch = batch_of<Y>::make(y);
        if (!batch)
            throw failure("out: " + batch.error().message());
        if (static_cast<std::size_t>(std::abs(batch->step)) < batch->size)
            throw failure("out: its parts overlap each other");
        return *batch;
    }
    /// The images of a checked array: of its own memory, unless there are gaps within images.
    [[nodiscard]] static batch_of<const std::uint8_t> images_of(const py::array& x) {
        const auto own = batch_of<const std::uint8_t>::make(x);
        return own ? *own : *batch_of<const std::uint8_t>::make(images_type::ensure(x));
    }
    template <class Y>
    [[nodiscard]] py::array run_as(const py::array& x, const std::optional<py::array>& out) const {
        dimensions shape = shape_of(program_.output());
        shape.insert(shape.begin(), x.shape(0));
        const auto to =
            out ? check_out<Y>(*out, shape, x) : checked(batch_of<Y>::make(py::array_t<Y>(shape)));
        const auto from = images_of(x);
        const auto& in = model_.input();
        const py::gil_scoped_release free;
        for (std::size_t n = 0; in.bits < 8 && n < from.count; ++n) // before anything is written
            for (std::size_t i = 0; i < from.size; ++i)
                if (const std::uint8_t q = from.piece(n, 1)[i]; q > in.top())
                    throw failure(s3::error(s3::errc::bad_option, "input")
                                      .at(n * from.size + i)
                                      .got(q)
                                      .limit(in.top())
                                      .message());
        // Kernels are chosen for batches of some size: larger ones run piece by piece, in less
        // memory.
        const bool whole = from.is_whole() && to.is_whole();
        const std::size_t most = whole ? std::max<std::size_t>(choice_.batch, 16) : 1;
        for (std::size_t n = 0; n < from.count; n += most) {
            const std::size_t some = std::min(most, from.count - n);
            checked(program_.run({from.piece(n, some), some, in.height, in.width, in.channels},
                                 to.piece(n, some)));
        }
        return to.array;
    }

    net::model model_;
    std::vector<s3::importing::layer_report> report_;
    choice choice_;
    s3::runtime::program program_;
};

[[nodiscard]] std::unique_ptr<network> load(const std::string& path) {
    const auto file = s3::mapped_file::open(path);
    if (!file)
        throw failure(path + ": " + file.error().message());
    auto model = s3::model_file::read(file->bytes());
    if (!model)
        throw failure(path + ": " + model.error().message());
    return std::make_unique<network>(*std::move(model));
}

/// A state dict of arrays, which it holds: int8 as it is, all others as float32.
struct state_dict {
    s3::safetensors::contents file;

    explicit state_dict(const std::map<std::string, py::array>& arrays) {
        for (const auto& [name, array] : arrays)
            if (py::isinstance<py::array_t<std::int8_t>>(array))
                put<std::int8_t>(name, array, s3::safetensors::dtype::i8);
            else
                put<float>(name, array, s3::safetensors::dtype::f32);
    }

private:
    template <class T>
    void put(const std::string& name, const py::array& given, s3::safetensors::dtype type) {
        const auto array = py::array_t<T, py::array::c_style | py::array::forcecast>::ensure(given);
        if (!array)
            throw py::error_already_set();
        file.tensors[name] = {
            type,
            {array.shape(), array.shape() + array.ndim()},
            std::as_bytes(std::span(array.data(), static_cast<std::size_t>(array.size())))};
        memory_.push_back(array);
    }
    std::vector<py::array> memory_;
};

/// Imports a network from its description, tensors and samples (import/network.hpp).
[[nodiscard]] std::unique_ptr<network>
import_network(const std::map<std::string, py::array>& tensors, const std::string& description,
               const py::array_t<std::uint8_t, py::array::c_style>& samples, int bits,
               const std::string& format, bool float_last,
               const std::function<void(std::size_t, std::size_t)>& progress) {
    static_assert(std::endian::native == std::endian::little); // as state dicts are
    const auto parsed = checked(s3::importing::parse(description));
    s3::importing::import_options o{
        std::span(samples.data(), static_cast<std::size_t>(samples.size())), bits, progress,
        float_last, format};
    auto imported = checked(s3::importing::import_network(state_dict(tensors).file, parsed, o));
    return std::make_unique<network>(std::move(imported.model), std::move(imported.report));
}

#if defined(S3_HAS_PROGRAM)
/// Calls Python from the program, which runs without its lock. An exception becomes one of C++.
template <class Function>
s3_program::torch_network ask(Function&& function) {
    const py::gil_scoped_acquire lock;
    try {
        const auto [description, tensors] = function();
        const std::shared_ptr<const state_dict> owner(new state_dict(tensors),
                                                      [](const state_dict* of) {
                                                          const py::gil_scoped_acquire again;
                                                          delete of;
                                                      });
        return {owner, owner->file, description};
    } catch (const py::error_already_set& e) {
        if (e.matches(PyExc_SystemExit) || e.matches(PyExc_KeyboardInterrupt))
            throw std::runtime_error("ended by Python");
        throw std::runtime_error(py::str(e.value()).cast<std::string>());
    }
}

/// The program s3shift; `trace` and `read` are those of s3/__main__.py.
[[nodiscard]] int program(const std::vector<std::string>& arguments, const py::function& trace,
                          const py::function& read) {
    using arrays = std::map<std::string, py::array>;
    const s3_program::python host{
        [&](const s3_program::options& o, const support::byte_array& samples) {
            return ask([&] {
                const dimensions shape(samples.shape.begin(), samples.shape.end());
                const py::array_t<std::uint8_t> array(shape, samples.bytes.data());
                return trace(o.torch, o.checkpoint, array, o.mean, o.deviation)
                    .cast<std::pair<std::string, arrays>>();
            });
        },
        [&](const std::string& path) {
            return ask([&] { return std::pair(std::string(), read(path).cast<arrays>()); });
        }};
    std::vector<const char*> texts;
    for (const auto& text : arguments)
        texts.push_back(text.c_str());
    texts.push_back(nullptr);
    const py::gil_scoped_release free;
    const int code = s3_program::program(static_cast<int>(arguments.size()), texts.data(), host);
    std::fflush(nullptr);
    return code;
}
#endif

} // namespace

PYBIND11_MODULE(_runtime, m) {
    s3::permit_tiles();
    m.attr("__version__") = std::to_string(s3::version_major) + "." +
                            std::to_string(s3::version_minor) + "." +
                            std::to_string(s3::version_patch);
    py::register_exception<failure>(m, "Error", PyExc_RuntimeError);
    py::class_<network>(m, "Network")
        .def("choose",
             [](network& n, std::string set, std::string family, std::size_t batch,
                std::vector<std::string> kernels) {
                 n.choose({std::move(set), std::move(family), batch, std::move(kernels)});
             })
        .def(
            "tune",
            [](network& n, std::string set, std::string family, std::size_t batch, double seconds) {
                return n.tune({std::move(set), std::move(family), batch}, seconds);
            })
        .def("run", &network::run)
        .def("reference", &network::reference)
        .def("save", &network::save)
        .def("bytes", &network::bytes)
        .def("layers", &network::layers)
        .def("model", &network::model)
        .def("report", &network::report)
        .def_property_readonly("input_shape", &network::input_shape)
        .def_property_readonly("input_scale", &network::input_scale)
        .def_property_readonly("input_zero_point", &network::input_zero_point)
        .def_property_readonly("input_bits", &network::input_bits)
        .def_property_readonly("output_scale", &network::output_scale)
        .def_property_readonly("instruction_set", &network::instruction_set);
    linear_bindings::add(m);
    m.def("load", &load);
    m.def("import_network", &import_network);
#if defined(S3_HAS_PROGRAM)
    m.def("program", &program);
#endif
    m.def("instruction_sets", [] {
        std::vector<std::string> names;
        for (const s3::isa set : s3::runtime::instruction_sets())
            names.emplace_back(s3::to_string(set));
        return names;
    });
}

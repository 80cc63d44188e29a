#pragma once
// An integer network as one safetensors file, which has the same bytes on every machine. This
// header is opt-in: it needs nlohmann-json, whose exceptions it does not use.
//
//   metadata   "s3.model": the version of this arrangement, "1"
//              "s3.network": values and layers as JSON, in the words of their `fields`
//   tensors    LAYER.FIELD: a filter is U8, a record of pack/layout.hpp; lists of numbers are F32
//              or I32, tables are U8, and both are left out if they are empty
//
// A new kind of layer leaves the version as it is: a reader that does not know the kind refuses it.
//
// `read` is safe on hostile bytes: allocation is bounded by the number of bytes, and a model that
// it returns has passed net::check. Errors name a field; their index is the layer or value. With
// `stream_memory::borrow` the packed weights stay in the bytes, which must outlive the model;
// `load` maps the file and does that.

#include <s3/io/mapped_file.hpp>
#include <s3/io/safetensors.hpp>
#include <s3/net/check.hpp>
#include <s3/pack/record.hpp>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <list>
#include <set>
#include <string>
#include <utility>
#include <variant>

namespace s3::model_file {

inline constexpr const char* version_key = "s3.model";
inline constexpr const char* network_key = "s3.network";
inline constexpr const char* version = "1";

namespace detail {

using nlohmann::json;

/// The tensors of a file that is being read, found by their names: the layer's, a dot, and the
/// field's.
class tensor_source {
public:
    tensor_source(const safetensors::contents& file, stream_memory memory)
        : file_(file), memory_(memory) {}

    /// Takes a filter, which must exist, in the format that its record has.
    status take(const std::string& name, net::any_filter& to) {
        const safetensors::tensor* t = find(name);
        if (t == nullptr)
            return error(errc::foreign, "weight (no such tensor)");
        if (t->type != safetensors::dtype::u8 || t->shape.size() != 1)
            return error(errc::foreign, "weight");
        const auto h = layout::read(t->data);
        if (!h)
            return h.error();
        return read_filter(t->data, *h, to);
    }
    /// Takes numbers, if they exist.
    template <class T>
    status take(const std::string& name, std::vector<T>& to) {
        const safetensors::tensor* t = find(name);
        if (t == nullptr)
            return {};
        auto values = safetensors::from_bytes<T>(*t);
        if (!values && values.error().code == errc::out_of_memory)
            return values.error();
        if (!values || t->shape.size() != 1 || values->empty())
            return error(errc::foreign, "tensor");
        to = *std::move(values);
        return {};
    }
    /// The number of tensors that were taken.
    [[nodiscard]] std::size_t used() const { return used_; }

private:
    [[nodiscard]] const safetensors::tensor* find(const std::string& name) {
        const auto found = file_.tensors.find(name);
        if (found == file_.tensors.end())
            return nullptr;
        ++used_;
        return &found->second;
    }
    template <std::size_t Index = 0>
    status read_filter(std::span<const std::byte> record, const layout::header& h,
                       net::any_filter& to) {
        if constexpr (Index < std::variant_size_v<net::any_filter>) {
            using filter = std::variant_alternative_t<Index, net::any_filter>;
            using format = typename filter::format;
            if (!layout::holds<format>(h))
                return read_filter<Index + 1>(record, h, to);
            auto read = deserialize_filter<format>(record, memory_);
            if (!read)
                return read.error();
            to = *std::move(read);
            return {};
        } else {
            return error(errc::unsupported, "record.format").got(h.bits);
        }
    }

    const safetensors::contents& file_;
    stream_memory memory_;
    std::size_t used_ = 0;
};

/// Takes fields from a JSON object, and the tensors that belong to it, each by its name. The first
/// field that is missing or of another kind is remembered. A field that nobody takes is an error,
/// too.
class field_reader {
public:
    field_reader(const json& object, tensor_source* tensors = nullptr, std::string prefix = "")
        : object_(object), tensors_(tensors), prefix_(std::move(prefix)) {
        if (!object.is_object())
            fail("model");
    }
    void operator()(const char* name, std::size_t& to) { whole_number(find(name), name, to); }
    void operator()(const char* name, net::value_id& to) { (*this)(name, to.number); }
    void operator()(const char* name, std::int32_t& to) {
        const json* v = find(name);
        const auto low = std::numeric_limits<std::int32_t>::min();
        const auto high = std::numeric_limits<std::int32_t>::max();
        // A number too large for int64 is kept as an unsigned one, and is compared with `high` as
        // such.
        if (v == nullptr || !v->is_number_integer() ||
            (v->is_number_unsigned() && v->get<std::uint64_t>() > std::uint64_t{high}) ||
            v->get<std::int64_t>() < low)
            return fail(name);
        to = v->get<std::int32_t>();
    }
    void operator()(const char* name, float& to) { real_number(find(name), name, to); }
    void operator()(const char* name, bool& to) {
        const json* v = find(name);
        if (v == nullptr || !v->is_boolean())
            return fail(name);
        to = v->get<bool>();
    }
    void operator()(const char* name, std::string& to) {
        const json* v = find(name);
        if (v == nullptr || !v->is_string())
            return fail(name);
        to = v->get_ref<const std::string&>();
    }
    void operator()(const char* name, extent& to) {
        const json* v = find(name);
        if (v == nullptr || !v->is_array() || v->size() != 2)
            return fail(name);
        whole_number(&(*v)[0], name, to.height);
        whole_number(&(*v)[1], name, to.width);
    }
    /// Takes the kind of a value, which is an image if the field is missing.
    void operator()(const char* name, net::value_kind& to) {
        std::string text = kind_names[0];
        if (has(name))
            (*this)(name, text);
        const auto found = std::find(std::begin(kind_names), std::end(kind_names), text);
        if (found == std::end(kind_names))
            return fail(name);
        to = static_cast<net::value_kind>(found - std::begin(kind_names));
    }
    /// Takes a residual, if it exists, from two fields: NAME and NAME_scale.
    void operator()(const char* name, std::optional<net::scaled_input>& to) {
        if (!has(name))
            return;
        to.emplace();
        (*this)(name, to->value);
        real_number(find(name + std::string("_scale")), name, to->scale);
    }
    /// Takes inputs from two lists of the same length: NAME and NAME_scale.
    void operator()(const char* name, std::vector<net::scaled_input>& to) {
        const json *values = find(name), *scales = find(name + std::string("_scale"));
        if (values == nullptr || scales == nullptr || !values->is_array() || !scales->is_array() ||
            values->size() != scales->size())
            return fail(name);
        to.resize(values->size());
        for (std::size_t i = 0; i < to.size(); ++i) {
            whole_number(&(*values)[i], name, to[i].value.number);
            real_number(&(*scales)[i], name, to[i].scale);
        }
    }
    void operator()(const char* name, net::any_filter& to) { tensor(name, to); }
    template <class T>
    void operator()(const char* name, std::vector<T>& to) {
        tensor(name, to);
    }

    /// The first error, or success.
    [[nodiscard]] status finish() const {
        if (!wrong_)
            return wrong_;
        if (object_.size() != taken_)
            return error(errc::foreign, "model (unknown field)");
        return tensor_wrong_;
    }

    static constexpr const char* kind_names[] = {"image", "vector", "sequence"};

private:
    [[nodiscard]] bool has(const std::string& name) const {
        return object_.is_object() && object_.contains(name);
    }
    [[nodiscard]] const json* find(const std::string& name) {
        if (!has(name))
            return nullptr;
        ++taken_;
        return &object_.find(name).value();
    }
    void whole_number(const json* v, const char* name, std::size_t& to) {
        if (v == nullptr || !v->is_number_unsigned() ||
            v->get<std::uint64_t>() > std::numeric_limits<std::size_t>::max())
            return fail(name);
        to = v->get<std::size_t>();
    }
    void real_number(const json* v, const char* name, float& to) {
        if (v == nullptr || !v->is_number())
            return fail(name);
        const double value = v->get<double>();
        if (!(std::fabs(value) <= double{std::numeric_limits<float>::max()}))
            return fail(name);
        to = static_cast<float>(value);
    }
    template <class T>
    void tensor(const char* name, T& to) {
        if (tensor_wrong_ && tensors_ != nullptr)
            tensor_wrong_ = tensors_->take(prefix_ + "." + name, to);
    }
    void fail(const char* name) {
        if (wrong_)
            wrong_ = error(errc::foreign, name);
    }

    const json& object_;
    tensor_source* tensors_;
    std::string prefix_; ///< what precedes the tensors' names
    std::size_t taken_ = 0;
    status wrong_, tensor_wrong_;
};

/// Makes a layer of the kind that a file names, with defaults in its other fields. Returns whether
/// there is such a kind.
template <std::size_t Index = 0>
bool make_layer(std::string_view name, net::layer_list::any& to) {
    if constexpr (Index < std::variant_size_v<net::layer_list::any>) {
        std::variant_alternative_t<Index, net::layer_list::any> l;
        for (std::size_t k = 0; k < l.names.size(); ++k)
            if (name == l.names[k]) {
                if constexpr (requires { l.kind; })
                    l.kind = static_cast<decltype(l.kind)>(k);
                to = std::move(l);
                return true;
            }
        return make_layer<Index + 1>(name, to);
    } else {
        return false;
    }
}

class reader {
public:
    reader(const safetensors::contents& file, stream_memory memory) : tensors_(file, memory) {}

    result<net::model> read(const json& network, std::size_t tensors) {
        net::model m;
        const auto values = network.find("values"), layers = network.find("layers");
        if (network.size() != 3 || values == network.end() || layers == network.end() ||
            !values->is_array() || !layers->is_array())
            return error(errc::foreign, "model.network");
        field_reader top(network);
        m.output_scale = 0; // stays 0 if the field is not a number
        top("output_scale", m.output_scale);
        if (!(m.output_scale > 0))
            return error(errc::foreign, "output_scale");
        for (const json& j : *values) {
            net::value_info v;
            field_reader f(j);
            net::value_info::fields(v, f);
            if (auto s = f.finish(); !s)
                return s.error().at(m.values.size());
            m.values.push_back(v);
        }
        if (m.values.empty())
            return error(errc::foreign, "model.values");
        for (const json& j : *layers) {
            net::layer l;
            if (auto s = read_layer(j, m, l); !s)
                return s.error().at(m.layers.size());
            m.layers.push_back(std::move(l));
        }
        if (tensors_.used() != tensors)
            return error(errc::foreign, "model.tensors").got(tensors).needs(tensors_.used());
        if (auto s = net::check(m); !s)
            return s.error();
        return m;
    }

private:
    status read_layer(const json& j, net::model& m, net::layer& l) {
        std::string kind;
        {
            field_reader f(j);
            f("name", l.name);
            f("kind", kind);
        }
        if (!names_.insert(l.name).second)
            return error(errc::foreign, "name (given twice)");
        if (!make_layer(kind, l.operation))
            return error(errc::foreign, "kind");
        return std::visit(
            [&]<class L>(L& o) -> status {
                field_reader f(j, &tensors_, l.name);
                f("name", l.name);
                f("kind", kind);
                L::fields(o, f);
                if (auto s = f.finish(); !s)
                    return s;
                if constexpr (requires { o.complete(m.values); })
                    o.complete(m.values);
                // Files do not store the type of elements, since it follows from the layer.
                if (m.layers.size() + 1 < m.values.size())
                    m.values[m.layers.size() + 1].element = net::element_of(o);
                return {};
            },
            l.operation);
    }
    tensor_source tensors_;
    std::set<std::string> names_;
};

/// Puts fields into a JSON object, and filters and lists of numbers into the tensors of a file.
class field_writer {
public:
    field_writer(json& object, const std::string& prefix, safetensors::contents& file,
                 std::list<std::vector<std::byte>>& memory)
        : object_(object), prefix_(prefix), file_(file), memory_(memory) {}

    template <class T>
    void operator()(const char* name, const T& value) {
        object_[name] = value;
    }
    void operator()(const char* name, net::value_id value) { object_[name] = value.number; }
    void operator()(const char* name, const extent& e) {
        s3::detail::set_list(object_[name], std::array{e.height, e.width});
    }
    void operator()(const char* name, net::value_kind kind) {
        if (kind != net::value_kind::image)
            object_[name] = field_reader::kind_names[static_cast<std::size_t>(kind)];
    }
    void operator()(const char* name, const std::optional<net::scaled_input>& r) {
        if (r) {
            object_[name] = r->value.number;
            object_[name + std::string("_scale")] = r->scale;
        }
    }
    void operator()(const char* name, const std::vector<net::scaled_input>& inputs) {
        json& values = object_[name] = json::array();
        json& scales = object_[name + std::string("_scale")] = json::array();
        for (const net::scaled_input& from : inputs) {
            values.push_back(from.value.number);
            scales.push_back(from.scale);
        }
    }
    void operator()(const char* name, const net::any_filter& filter) {
        tensor(name, safetensors::dtype::u8,
               std::visit([](const auto& f) { return serialize(f); }, filter));
    }
    void operator()(const char* name, const std::vector<float>& values) {
        tensor(name, safetensors::dtype::f32, safetensors::to_bytes(std::span(values)));
    }
    void operator()(const char* name, const std::vector<std::int32_t>& values) {
        tensor(name, safetensors::dtype::i32, safetensors::to_bytes(std::span(values)));
    }
    void operator()(const char* name, const std::vector<std::uint8_t>& values) {
        tensor(name, safetensors::dtype::u8, safetensors::to_bytes(std::span(values)));
    }

private:
    /// Adds a tensor, unless it would have no elements.
    void tensor(const char* name, safetensors::dtype type, std::vector<std::byte> bytes) {
        const auto count = bytes.size() / safetensors::info(type).bytes;
        if (count == 0)
            return;
        memory_.push_back(std::move(bytes));
        file_.tensors[prefix_ + "." + name] = {type, {count}, memory_.back()};
    }

    json& object_;
    const std::string& prefix_;
    safetensors::contents& file_;
    std::list<std::vector<std::byte>>& memory_;
};

inline result<net::model> read(std::span<const std::byte> bytes, stream_memory memory,
                               std::size_t max_header) {
    const auto file = safetensors::read(bytes, max_header);
    if (!file)
        return file.error();
    const auto found = file->metadata.find(version_key);
    const auto network = file->metadata.find(network_key);
    if (found == file->metadata.end() || network == file->metadata.end())
        return error(errc::foreign, "model (not an integer network)");
    if (found->second != version)
        return error(errc::foreign, "model.version");
    bool twice = false;
    const auto text = std::as_bytes(std::span(network->second));
    const auto parsed = s3::detail::parse_json_object(text, twice, 4);
    if (!parsed || twice)
        return error(errc::foreign, "model.network");
    return reader(*file, memory).read(**parsed, file->tensors.size());
}

inline result<std::vector<std::byte>> write(const net::model& m) {
    if (auto s = net::check(m); !s)
        return s.error();
    safetensors::contents file;
    std::list<std::vector<std::byte>> memory;
    s3::detail::json_tree network;
    json& values = (*network)["values"] = json::array();
    json& layers = (*network)["layers"] = json::array();
    (*network)["output_scale"] = m.output_scale;
    for (const auto& v : m.values) {
        values.push_back(json::object());
        net::value_info::fields(v, field_writer(values.back(), "", file, memory));
    }
    std::set<std::string> names;
    for (const auto& l : m.layers) {
        if (!names.insert(l.name).second)
            return error(errc::bad_option, "name (given twice)").at(names.size());
        layers.push_back(json::object());
        json& j = layers.back();
        j["name"] = l.name;
        if (!s3::detail::json_text(j["name"]))
            return error(errc::bad_option, "name (not UTF-8)").at(names.size() - 1);
        std::visit(
            [&]<class L>(const L& o) {
                j["kind"] = net::name_of(o);
                L::fields(o, field_writer(j, l.name, file, memory));
            },
            l.operation);
    }
    file.metadata[version_key] = version;
    file.metadata[network_key] = *s3::detail::json_text(*network);
    return safetensors::write(file);
}

} // namespace detail

/// The network in the bytes of a file. `max_header` is that of safetensors::read. Errors: see the
/// top.
inline result<net::model> read(std::span<const std::byte> bytes,
                               stream_memory memory = stream_memory::copy,
                               std::size_t max_header = safetensors::max_header_bytes) {
    return s3::detail::or_out_of_memory([&] { return detail::read(bytes, memory, max_header); });
}

/// The bytes of a file from which `read` makes the model m. Errors: those of net::check; two layers
/// with the same name; a name that is not UTF-8.
inline result<std::vector<std::byte>> write(const net::model& m) {
    return s3::detail::or_out_of_memory([&] { return detail::write(m); });
}

/// Writes a model to a file, whole or not at all. Errors: those of `write`; io.
inline status save(const net::model& m, const std::string& path) {
    const auto bytes = write(m);
    if (!bytes)
        return bytes.error();
    return safetensors::save(path, *bytes);
}

/// A model whose weights lie in the mapped file that it came from.
struct loaded_model {
    mapped_file file;
    net::model model;
};

/// Maps a file and reads the model in it. Errors: those of `read`; io.
inline result<loaded_model> load(const std::string& path) {
    auto file = mapped_file::open(path);
    if (!file)
        return file.error();
    auto model = read(file->bytes(), stream_memory::borrow);
    if (!model)
        return model.error();
    return loaded_model{*std::move(file), *std::move(model)};
}

} // namespace s3::model_file

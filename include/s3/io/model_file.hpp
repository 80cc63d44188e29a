#pragma once
// An integer network as one safetensors file, the same bytes on every machine. Opt-in: needs
// nlohmann-json, whose exceptions are not used.
//
//   metadata   "s3.model": the version of this arrangement, "1"
//              "s3.network": values and layers as JSON, in the words of net/model.hpp
//   tensors    per convolution NAME.weight (U8: a record of pack/layout.hpp), NAME.scale (F32) and
//              NAME.bias (I32), the latter two where there are any; of a linear layer in float,
//              NAME.weight and NAME.bias (F32)
//
// `read` is safe on hostile bytes: allocation is bounded by their number, and what it returns has
// passed net::check. Errors name a field; their index is the layer or value. With
// `stream_memory::borrow` the packed weights stay in the bytes, which must outlive the model;
// `load` maps the file and does that.

#include <s3/io/mapped_file.hpp>
#include <s3/io/safetensors.hpp>
#include <s3/net/check.hpp>
#include <s3/net/model.hpp>
#include <s3/pack/record.hpp>

#include <nlohmann/json.hpp>

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

/// Takes fields out of a JSON object, each by its name: the part of `argument` behind "model.".
/// The first that is missing or of another kind is remembered, and so is one too many.
class fields {
public:
    fields(const json& object, std::size_t number) : object_(object), number_(number) {
        if (!object.is_object())
            fail("model");
    }
    [[nodiscard]] bool has(const char* argument) const {
        return object_.is_object() && object_.contains(argument + 6);
    }
    void take(const char* argument, std::size_t& to) { unsigned_of(find(argument), argument, to); }
    void take(const char* argument, std::int32_t& to) {
        const json* v = find(argument);
        const auto low = std::numeric_limits<std::int32_t>::min();
        const auto high = std::numeric_limits<std::int32_t>::max();
        // What is too large for int64 is unsigned, and larger than `high` as such.
        if (v == nullptr || !v->is_number_integer() ||
            (v->is_number_unsigned() && v->get<std::uint64_t>() > std::uint64_t{high}) ||
            v->get<std::int64_t>() < low)
            return fail(argument);
        to = v->get<std::int32_t>();
    }
    void take(const char* argument, float& to) {
        const json* v = find(argument);
        if (v == nullptr || !v->is_number())
            return fail(argument);
        const double value = v->get<double>();
        if (!(std::fabs(value) <= double{std::numeric_limits<float>::max()}))
            return fail(argument);
        to = static_cast<float>(value);
    }
    void take(const char* argument, bool& to) {
        const json* v = find(argument);
        if (v == nullptr || !v->is_boolean())
            return fail(argument);
        to = v->get<bool>();
    }
    void take(const char* argument, std::string& to) {
        const json* v = find(argument);
        if (v == nullptr || !v->is_string())
            return fail(argument);
        to = v->get_ref<const std::string&>();
    }
    void take(const char* argument, extent& to) {
        const json* v = find(argument);
        if (v == nullptr || !v->is_array() || v->size() != 2)
            return fail(argument);
        unsigned_of(&(*v)[0], argument, to.height);
        unsigned_of(&(*v)[1], argument, to.width);
    }
    /// The first error; a field that nobody asked for is one.
    status finish() const {
        if (wrong_ != nullptr)
            return error(errc::foreign, wrong_).at(number_);
        if (object_.size() != taken_)
            return error(errc::foreign, "model (unknown field)").at(number_);
        return {};
    }

private:
    [[nodiscard]] const json* find(const char* argument) {
        if (!has(argument))
            return nullptr;
        ++taken_;
        return &object_.find(argument + 6).value();
    }
    void unsigned_of(const json* v, const char* argument, std::size_t& to) {
        if (v == nullptr || !v->is_number_unsigned() ||
            v->get<std::uint64_t>() > std::numeric_limits<std::size_t>::max())
            return fail(argument);
        to = v->get<std::size_t>();
    }
    void fail(const char* argument) {
        if (wrong_ == nullptr)
            wrong_ = argument;
    }

    const json& object_;
    std::size_t number_;
    std::size_t taken_ = 0;
    const char* wrong_ = nullptr;
};

[[nodiscard]] inline json to_json(const extent& e) {
    return {e.height, e.width};
}
[[nodiscard]] inline json to_json(const net::value_info& v) {
    return {{"height", v.height}, {"width", v.width}, {"channels", v.channels},
            {"bits", v.bits},     {"step", v.step},   {"zero_point", v.zero_point}};
}
[[nodiscard]] inline json to_json(const net::convolution& c) {
    json j{{"kind", "convolution"},
           {"input", c.input},
           {"stride", to_json(c.options.stride)},
           {"padding", to_json(c.options.padding)},
           {"dilation", to_json(c.options.dilation)},
           {"groups", c.options.groups},
           {"low", c.low},
           {"high", c.high},
           {"raw", c.raw}};
    if (c.residual) {
        j["residual"] = c.residual->value;
        j["residual_scale"] = c.residual->scale;
    }
    return j;
}
[[nodiscard]] inline json to_json(const net::pooling& p) {
    return {{"kind", p.kind == net::pooling_kind::max ? "max_pooling" : "mean_pooling"},
            {"input", p.input},
            {"window", to_json(p.window)},
            {"stride", to_json(p.stride)},
            {"padding", to_json(p.padding)},
            {"scale", p.scale}};
}
[[nodiscard]] inline json to_json(const net::addition& a) {
    return {{"kind", "addition"},   {"a", a.a},     {"b", a.b},      {"a_scale", a.a_scale},
            {"b_scale", a.b_scale}, {"low", a.low}, {"high", a.high}};
}
[[nodiscard]] inline json to_json(const net::float_linear& l) {
    return {{"kind", "float_linear"}, {"input", l.input}};
}

inline status read_value(const json& j, std::size_t number, net::value_info& v) {
    fields f(j, number);
    f.take("model.height", v.height);
    f.take("model.width", v.width);
    f.take("model.channels", v.channels);
    f.take("model.bits", v.bits);
    f.take("model.step", v.step);
    f.take("model.zero_point", v.zero_point);
    return f.finish();
}

/// The filter of whatever format the record has.
template <std::size_t Index = 0>
result<net::any_filter> read_filter(std::span<const std::byte> record, const layout::header& h,
                                    stream_memory memory) {
    if constexpr (Index < std::variant_size_v<net::any_filter>) {
        using filter = std::variant_alternative_t<Index, net::any_filter>;
        using format = typename filter::format;
        if (!layout::holds<format>(h))
            return read_filter<Index + 1>(record, h, memory);
        auto read = deserialize_filter<format>(record, memory);
        if (!read)
            return read.error();
        return net::any_filter(*std::move(read));
    } else {
        return error(errc::unsupported, "record.format").got(h.bits);
    }
}

class reader {
public:
    reader(const safetensors::contents& file, stream_memory memory)
        : file_(file), memory_(memory) {}

    result<net::model> read(const json& network) {
        net::model m;
        fields top(network, 0);
        top.take("model.output_scale", m.output_scale);
        const json none = json::array();
        const auto list = [&](const char* name) -> const json& {
            const auto found = network.find(name);
            return found == network.end() || !found->is_array() ? none : *found;
        };
        if (!network.is_object() || network.size() != 3 || !top.has("model.output_scale") ||
            !top.has("model.values") || !top.has("model.layers"))
            return error(errc::foreign, "model.network");
        for (const json& j : list("values")) {
            net::value_info v;
            if (auto s = read_value(j, m.values.size(), v); !s)
                return s.error();
            m.values.push_back(v);
        }
        if (m.values.empty())
            return error(errc::foreign, "model.values");
        for (const json& j : list("layers")) {
            net::layer l;
            if (auto s = read_layer(j, m, l); !s)
                return s.error();
            m.layers.push_back(std::move(l));
        }
        if (used_ != file_.tensors.size())
            return error(errc::foreign, "model.tensors").got(file_.tensors.size()).needs(used_);
        if (auto s = net::check(m); !s)
            return s.error();
        return m;
    }

private:
    status read_layer(const json& j, const net::model& m, net::layer& l) {
        const std::size_t number = m.layers.size();
        fields f(j, number);
        std::string kind;
        f.take("model.name", l.name);
        f.take("model.kind", kind);
        if (!names_.insert(l.name).second)
            return error(errc::foreign, "model.name (given twice)").at(number);
        if (kind == "convolution")
            return read_convolution(f, m, l);
        if (kind == "max_pooling" || kind == "mean_pooling") {
            net::pooling p;
            p.kind = kind == "max_pooling" ? net::pooling_kind::max : net::pooling_kind::mean;
            f.take("model.input", p.input);
            f.take("model.window", p.window);
            f.take("model.stride", p.stride);
            f.take("model.padding", p.padding);
            f.take("model.scale", p.scale);
            l.operation = p;
        } else if (kind == "addition") {
            net::addition a;
            f.take("model.a", a.a);
            f.take("model.b", a.b);
            f.take("model.a_scale", a.a_scale);
            f.take("model.b_scale", a.b_scale);
            f.take("model.low", a.low);
            f.take("model.high", a.high);
            l.operation = a;
        } else if (kind == "float_linear") {
            net::float_linear f_linear;
            f.take("model.input", f_linear.input);
            if (auto s =
                    net::detail::first_of({read_list(l, "model.weight", number, f_linear.weights),
                                           read_list(l, "model.bias", number, f_linear.bias)});
                !s)
                return s;
            l.operation = std::move(f_linear);
        } else {
            return error(errc::foreign, "model.kind").at(number);
        }
        return f.finish();
    }
    status read_convolution(fields& f, const net::model& m, net::layer& l) {
        const std::size_t number = m.layers.size();
        net::convolution c;
        f.take("model.input", c.input);
        f.take("model.stride", c.options.stride);
        f.take("model.padding", c.options.padding);
        f.take("model.dilation", c.options.dilation);
        f.take("model.groups", c.options.groups);
        f.take("model.low", c.low);
        f.take("model.high", c.high);
        f.take("model.raw", c.raw);
        if (f.has("model.residual")) {
            c.residual.emplace();
            f.take("model.residual", c.residual->value);
            f.take("model.residual_scale", c.residual->scale);
        }
        if (auto s = f.finish(); !s)
            return s;
        if (c.input >= m.values.size())
            return error(errc::foreign, "model.input").at(number).got(c.input);
        c.options.padding_value = m.values[c.input].zero_point;

        const safetensors::tensor* weight = tensor(l.name + ".weight");
        if (weight == nullptr)
            return error(errc::foreign, "model.weight (no such tensor)").at(number);
        if (weight->type != safetensors::dtype::u8 || weight->shape.size() != 1)
            return error(errc::foreign, "model.weight").at(number);
        const auto h = layout::read(weight->data);
        if (!h)
            return h.error().at(number);
        auto filter = read_filter(weight->data, *h, memory_);
        if (!filter)
            return filter.error().index < 0 ? filter.error().at(number) : filter.error();
        c.filter = *std::move(filter);
        if (auto s = net::detail::first_of({read_list(l, "model.scale", number, c.scale),
                                            read_list(l, "model.bias", number, c.bias)});
            !s)
            return s;
        l.operation = std::move(c);
        return {};
    }
    /// The layer's tensor that is named behind "model.", if there is one.
    template <class T>
    status read_list(const net::layer& l, const char* argument, std::size_t number,
                     std::vector<T>& to) {
        const safetensors::tensor* t = tensor(l.name + "." + (argument + 6));
        if (t == nullptr)
            return {};
        auto values = safetensors::from_bytes<T>(*t);
        if (!values || t->shape.size() != 1 || values->empty())
            return error(errc::foreign, argument).at(number);
        to = *std::move(values);
        return {};
    }
    [[nodiscard]] const safetensors::tensor* tensor(const std::string& name) {
        const auto found = file_.tensors.find(name);
        if (found == file_.tensors.end())
            return nullptr;
        ++used_;
        return &found->second;
    }

    const safetensors::contents& file_;
    stream_memory memory_;
    std::set<std::string> names_;
    std::size_t used_ = 0;
};

} // namespace detail

/// The network in the bytes of a file.
inline result<net::model> read(std::span<const std::byte> bytes,
                               stream_memory memory = stream_memory::copy) {
    const auto file = safetensors::read(bytes);
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
    const auto parsed = safetensors::detail::parse_object(text, twice, 4);
    if (!parsed.is_object() || twice)
        return error(errc::foreign, "model.network");
    return detail::reader(*file, memory).read(parsed);
}

/// The bytes of a file that `read` gives back as `m`. Errors: those of net::check; layers without a
/// name of their own.
inline result<std::vector<std::byte>> write(const net::model& m) {
    using detail::json;
    if (auto s = net::check(m); !s)
        return s.error();
    safetensors::contents file;
    std::list<std::vector<std::byte>> memory;
    const auto add = [&](const std::string& name, safetensors::dtype type,
                         std::vector<std::byte> bytes) {
        memory.push_back(std::move(bytes));
        const auto count = memory.back().size() / safetensors::info(type).bytes;
        if (count != 0)
            file.tensors[name] = {type, {count}, memory.back()};
    };
    json network{{"values", json::array()}, {"layers", json::array()}};
    network["output_scale"] = m.output_scale;
    for (const auto& v : m.values)
        network["values"].push_back(detail::to_json(v));
    std::set<std::string> names;
    for (const auto& l : m.layers) {
        if (!names.insert(l.name).second)
            return error(errc::bad_option, "model.name (given twice)").at(names.size());
        json j = std::visit([](const auto& o) { return detail::to_json(o); }, l.operation);
        j["name"] = l.name;
        network["layers"].push_back(std::move(j));
        if (const auto* c = std::get_if<net::convolution>(&l.operation)) {
            add(l.name + ".weight", safetensors::dtype::u8,
                std::visit([](const auto& f) { return serialize(f); }, c->filter));
            add(l.name + ".scale", safetensors::dtype::f32,
                safetensors::to_bytes(std::span<const float>(c->scale)));
            add(l.name + ".bias", safetensors::dtype::i32,
                safetensors::to_bytes(std::span<const std::int32_t>(c->bias)));
        } else if (const auto* f = std::get_if<net::float_linear>(&l.operation)) {
            add(l.name + ".weight", safetensors::dtype::f32,
                safetensors::to_bytes(std::span<const float>(f->weights)));
            add(l.name + ".bias", safetensors::dtype::f32,
                safetensors::to_bytes(std::span<const float>(f->bias)));
        }
    }
    file.metadata[version_key] = version;
    file.metadata[network_key] = network.dump(-1, ' ', false, json::error_handler_t::replace);
    return safetensors::write(file);
}

inline status save(const net::model& m, const std::string& path) {
    const auto bytes = write(m);
    if (!bytes)
        return bytes.error();
    return safetensors::save(path, *bytes);
}

/// A model whose weights lie in the file that it came from.
struct loaded_model {
    mapped_file file;
    net::model model;
};

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

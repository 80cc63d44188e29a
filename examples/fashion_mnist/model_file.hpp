#pragma once
// The packed model as a safetensors file: a record of packed weights (s3/pack/layout.hpp) per
// layer, the multiplier and bias of its epilogue beside it, and the version of this arrangement.

#include "integer.hpp"

#include <s3/io/safetensors.hpp>

#include <list>

namespace fashion {

inline constexpr const char* model_kind = "s3.example.fashion_mnist";
inline constexpr const char* model_version = "1";

namespace file = s3::safetensors;

inline void save_model(const integer_network& net, const std::string& path) {
    file::contents model;
    std::list<std::vector<std::byte>> memory;
    const auto add = [&](const std::string& name, file::dtype type, std::vector<std::byte> bytes) {
        memory.push_back(std::move(bytes));
        model.tensors[name] = {
            type, {memory.back().size() / file::info(type).bytes}, memory.back()};
    };
    const auto add_conv = [&](const std::string& name, const auto& conv) {
        add(name + ".weight", file::dtype::u8, s3::serialize(conv.filter));
        add(name + ".multiplier", file::dtype::f32,
            file::to_bytes(std::span<const float>(conv.multiplier)));
        add(name + ".bias", file::dtype::i32,
            file::to_bytes(std::span<const std::int32_t>(conv.bias)));
    };
    add_conv("first", net.first);
    for (std::size_t i = 0; i < net.inner.size(); ++i)
        add_conv("inner" + std::to_string(i + 1), net.inner[i]);
    add("linear.weight", file::dtype::u8, s3::serialize(net.linear));
    add("linear.bias", file::dtype::i32,
        file::to_bytes(std::span<const std::int32_t>(net.linear_bias)));
    model.metadata[model_kind] = model_version;
    check(file::save(path, checked(file::write(model), path)), path);
}

/// Throws std::runtime_error, with the path and what is wrong, if the file is anything else.
[[nodiscard]] inline integer_network load_model(const std::string& path) {
    const auto bytes = checked(file::load(path), path);
    const auto model = checked(file::read(bytes), path);
    if (const auto version = model.metadata.find(model_kind);
        version == model.metadata.end() || version->second != model_version)
        throw std::runtime_error(path + ": not a model of this example, version " + model_version);
    const auto tensor = [&](const std::string& name) -> const file::tensor& {
        const auto found = model.tensors.find(name);
        if (found == model.tensors.end())
            throw std::runtime_error(path + ": there is no tensor " + name);
        return found->second;
    };
    const auto require = [&](bool fits, const std::string& name) {
        if (!fits)
            throw std::runtime_error(path + ": " + name + " does not fit the network");
    };
    const auto values = [&]<class T>(T, const std::string& name, std::size_t size) {
        auto v = checked(file::from_bytes<T>(tensor(name)), path + ": " + name);
        require(v.size() == size, name);
        return v;
    };
    const auto conv = [&]<class F>(F, const std::string& name, const layer_shape& layer) {
        const auto weight = name + ".weight";
        integer_conv<F> c{
            checked(s3::deserialize_filter<F>(tensor(weight).data), path + ": " + weight), {}, {}};
        const auto shape = shape_of(layer);
        require(c.filter.shape == shape, weight);
        c.multiplier = values(float{}, name + ".multiplier", shape.out_channels);
        c.bias = values(std::int32_t{}, name + ".bias", shape.out_channels);
        return c;
    };
    integer_network net;
    net.first = conv(byte_format{}, "first", first_layer);
    for (std::size_t i = 0; i < inner_layers.size(); ++i)
        net.inner.push_back(conv(shift_format{}, "inner" + std::to_string(i + 1), inner_layers[i]));
    net.linear = checked(s3::deserialize<byte_format>(tensor("linear.weight").data),
                         path + ": linear.weight");
    require(net.linear.rows() == classes && net.linear.columns() == features, "linear.weight");
    net.linear_bias = values(std::int32_t{}, "linear.bias", classes);
    // The sums over an image stay below 2^27, so that such a bias cannot overflow them.
    for (const auto bias : net.linear_bias)
        require(bias > -(1 << 30) && bias < 1 << 30, "linear.bias");
    return net;
}

} // namespace fashion

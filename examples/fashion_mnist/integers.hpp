#pragma once
// The trained network in integers: what the library's import needs to know of it, and how to run
// what it gives (integer_program.hpp). Errors are thrown as std::runtime_error.

#include "integer_program.hpp"
#include "network.hpp"
#include "results.hpp"

#include <s3/import/network.hpp>

#include <list>
#include <span>
#include <sstream>
#include <string>
#include <vector>

namespace fashion {

/// `network` in the words of s3/import/description.hpp, by the names of its modules.
[[nodiscard]] inline std::string description() {
    std::ostringstream text;
    const auto conv = [&](const std::string& name, std::size_t norm, const layer_shape& layer) {
        text << "conv " << name << ' ' << layer.in_channels << ' ' << layer.out_channels
             << " kernel=3 padding=1 stride=" << layer.stride << "\nbn norm" << norm << "\nrelu\n";
    };
    text << "input " << image_size << ' ' << image_size << " 1 scale=1/255\n";
    conv("first", 0, first_layer);
    for (std::size_t i = 1; i <= inner_layers.size(); ++i)
        conv("inner" + std::to_string(i), i, inner_layers[i - 1]);
    text << "globalmean mean\nlinear linear " << features << ' ' << classes << '\n';
    return text.str();
}

/// Parameters and buffers by their names, as a file of them would hold them.
class state_dict {
public:
    explicit state_dict(const torch::nn::Module& net) {
        for (const auto& dict : {net.named_parameters(), net.named_buffers()})
            for (const auto& item : dict)
                if (item.value().scalar_type() == torch::kFloat32)
                    add(item.key(), item.value().detach().contiguous());
    }
    state_dict(const state_dict&) = delete; // `contents` views `memory_`
    state_dict& operator=(const state_dict&) = delete;
    [[nodiscard]] const s3::safetensors::contents& contents() const { return contents_; }

private:
    void add(const std::string& name, const torch::Tensor& t) {
        memory_.push_back(s3::safetensors::to_bytes(span_of<float>(t)));
        contents_.tensors[name] = {
            s3::safetensors::dtype::f32, {t.sizes().begin(), t.sizes().end()}, memory_.back()};
    }
    std::list<std::vector<std::byte>> memory_;
    s3::safetensors::contents contents_;
};

/// `samples`: pixels that the ranges of activations are measured on.
[[nodiscard]] inline s3::importing::imported_network
to_integers(const network<shift_conv>& net, const torch::Tensor& samples, int bits) {
    const state_dict state(net);
    const auto described = support::checked(s3::importing::parse(description()), "description");
    return support::checked(s3::importing::import_network(state.contents(), described,
                                                          {span_of<std::uint8_t>(samples), bits}),
                            "import");
}

/// Classifies any number of images.
class classifier {
public:
    static constexpr std::size_t batch = 32;

    classifier(const s3::net::model& model, s3::family kernels, const std::string& name)
        : program_(model, kernels, batch, name) {}
    /// Logits, int32, [batch][10].
    [[nodiscard]] torch::Tensor operator()(const torch::Tensor& pixels) {
        std::vector<torch::Tensor> logits;
        for (const auto& some : pixels.split(to_int64(batch))) {
            const auto count = static_cast<std::size_t>(some.size(0));
            auto& y =
                logits.emplace_back(torch::empty({some.size(0), to_int64(classes)}, torch::kInt32));
            program_.run(span_of<std::uint8_t>(some), count,
                         std::span(y.data_ptr<std::int32_t>(), count * classes));
        }
        return torch::cat(logits);
    }

private:
    integer_program program_;
};

} // namespace fashion

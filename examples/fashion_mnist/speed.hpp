#pragma once
// Images per second, on one thread: the integer network, and the fp32 network in libtorch as it
// runs best there, with its norms folded into weights and biases.

#include "network.hpp"
#include "progress.hpp"

namespace fashion {

class folded_network {
public:
    explicit folded_network(network<full_conv>& net) : linear_(net.linear) {
        add(net.first, net.norms[0]);
        for (std::size_t i = 0; i < net.inner.size(); ++i)
            add(net.inner[i], net.norms[i + 1]);
    }
    torch::Tensor forward(torch::Tensor x) {
        for (const auto& conv : convs_)
            x = torch::conv2d(x, conv.weight, conv.bias, conv.stride, 1).relu_();
        return linear_(x.mean({2, 3}));
    }

private:
    struct folded_conv {
        torch::Tensor weight, bias;
        std::int64_t stride;
    };
    void add(const full_conv& layer, const torch::nn::BatchNorm2d& norm) {
        const auto factor = norm->weight / (norm->running_var + norm->options.eps()).sqrt();
        convs_.push_back({weights_of(layer) * factor.view({-1, 1, 1, 1}),
                          norm->bias - norm->running_mean * factor, (*layer->options.stride())[0]});
    }
    std::vector<folded_conv> convs_;
    torch::nn::Linear linear_;
};

/// `pass` classifies `images` images. It runs for a second, once at least and ten times at most;
/// the best pass counts, so that a busy machine disturbs less.
template <class Pass>
[[nodiscard]] double images_per_second(std::int64_t images, Pass&& pass) {
    double best = 0;
    const support::stopwatch all;
    for (int i = 0; i == 0 || (i < 10 && all.seconds() < 1); ++i) {
        const support::stopwatch time;
        pass();
        best = std::max(best, static_cast<double>(images) / time.seconds());
    }
    return best;
}

struct float_speed {
    std::int64_t batch = 0;
    double images_per_second = 0;
};

/// At the batch size, of several, that suits libtorch best.
[[nodiscard]] inline float_speed measure_float(network<full_conv>& net,
                                               const torch::Tensor& pixels) {
    const torch::NoGradGuard no_gradients;
    folded_network folded(net);
    float_speed best;
    for (const std::int64_t batch : {8, 32, 128}) {
        const auto batches = to_float(pixels).split(batch);
        const double speed = images_per_second(pixels.size(0), [&] {
            for (const auto& some : batches)
                folded.forward(some);
        });
        if (speed > best.images_per_second)
            best = {batch, speed};
    }
    return best;
}

} // namespace fashion

#include <s3/interop/torch.hpp>

#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace {

using torch::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// The same formulas, built from nothing but torch operations and two straight-through steps.
struct heaviside : torch::autograd::Function<heaviside> {
    static Tensor forward(AutogradContext*, const Tensor& x) { return (x > 0).to(torch::kFloat32); }
    static variable_list backward(AutogradContext*, variable_list g) { return g; }
};
struct signum : torch::autograd::Function<signum> {
    static Tensor forward(AutogradContext*, const Tensor& x) {
        return (x >= 0).to(torch::kFloat32) * 2 - 1;
    }
    static variable_list backward(AutogradContext*, variable_list g) { return g; }
};

template <s3::shift_weight_format F>
Tensor construction(const std::vector<Tensor>& p) {
    const std::size_t first = F::has_zero ? 2 : 1;
    Tensor shift = torch::zeros_like(p[0]);
    for (std::size_t k = first; k < p.size(); ++k)
        shift = heaviside::apply(p[k]) * (shift + 1);
    const Tensor sign = signum::apply(p[0]), two = torch::full_like(p[0], 2);
    if (F::has_zero)
        return sign * heaviside::apply(p[1]) * torch::pow(two, shift);
    const Tensor surrogate = sign * torch::sqrt(shift + 1);
    const Tensor value = (sign * torch::pow(two, shift)).detach();
    // The surrogate's gradient under the discrete weight's value.
    return value + (surrogate - surrogate.detach());
}

template <s3::shift_weight_format F>
std::vector<Tensor> random_fields(torch::IntArrayRef shape) {
    std::vector<Tensor> p;
    for (std::size_t k = 0; k < s3::latents_per_weight<F>; ++k) {
        Tensor t = torch::randn(shape);
        t.masked_fill_(torch::rand(shape) < 0.1, 0.0);
        t.masked_fill_(torch::rand(shape) < 0.1, -0.0);
        p.push_back(t.requires_grad_());
    }
    return p;
}

template <class Body, class... F>
void each(Body body, F... formats) {
    (body(formats), ...);
}
template <class Body>
void each_format(Body body) {
    each(body, s3::shift2{}, s3::shift3{}, s3::shift4{}, s3::shift5{}, s3::dense2{}, s3::dense3{},
         s3::dense4{}, s3::dense5{});
}

std::vector<char> bytes_of(const Tensor& t) {
    const Tensor c = t.detach().contiguous();
    const char* p = static_cast<const char*>(c.data_ptr());
    return {p, p + c.nbytes()};
}

std::string message_of(const std::function<void()>& f) {
    try {
        f();
    } catch (const c10::Error& e) {
        return e.what_without_backtrace();
    }
    return "";
}

} // namespace

TEST_CASE("forward agrees with an autograd construction to the bit, gradients to rounding") {
    torch::manual_seed(1);
    each_format([]<class F>(F) {
        for (const auto& shape :
             std::vector<std::vector<std::int64_t>>{{7, 5, 3, 3}, {1}, {0}, {300, 257}}) {
            const auto ours = random_fields<F>(shape);
            std::vector<Tensor> theirs;
            for (const auto& t : ours)
                theirs.push_back(t.detach().clone().requires_grad_());
            const Tensor w = s3::libtorch::realize<F>(ours), v = construction<F>(theirs);
            CHECK(bytes_of(w) == bytes_of(v));
            const Tensor g = torch::randn(shape);
            w.backward(g);
            v.backward(g);
            for (std::size_t k = 0; k < ours.size(); ++k)
                CHECK(torch::allclose(ours[k].grad(), theirs[k].grad(), 2e-6, 1e-7));
        }
    });
}

TEST_CASE("non-contiguous latents and gradients are served") {
    torch::manual_seed(2);
    std::vector<Tensor> straight, crossed;
    for (int k = 0; k < 4; ++k) {
        straight.push_back(torch::randn({6, 9}).requires_grad_());
        crossed.push_back(straight.back().detach().t().contiguous().t().requires_grad_());
    }
    const Tensor g = torch::randn({9, 6}).t();
    const Tensor a = s3::libtorch::realize<s3::shift3>(straight);
    const Tensor b = s3::libtorch::realize<s3::shift3>(crossed);
    CHECK(torch::equal(a, b));
    a.backward(g);
    b.backward(g);
    for (std::size_t k = 0; k < 4; ++k)
        CHECK(torch::equal(straight[k].grad(), crossed[k].grad()));
}

TEST_CASE("channels last, in images, latents or both: the same gradients and the same training") {
    using torch::MemoryFormat;
    struct layouts {
        MemoryFormat images, latents;
    };
    const auto contiguous = MemoryFormat::Contiguous, last = MemoryFormat::ChannelsLast;
    std::vector<std::vector<Tensor>> all_gradients, all_latents;
    std::vector<double> losses;
    for (const layouts l : {layouts{contiguous, contiguous}, layouts{last, contiguous},
                            layouts{contiguous, last}, layouts{last, last}}) {
        torch::manual_seed(8);
        s3::libtorch::ShiftConv2d<s3::shift3> first(torch::nn::Conv2dOptions(3, 8, 3).padding(1)),
            second(torch::nn::Conv2dOptions(8, 4, 1));
        torch::nn::Sequential model(first, torch::nn::ReLU(), second);
        const Tensor x = torch::randn({16, 3, 6, 6}).contiguous(l.images);
        const Tensor labels = torch::randint(4, {16, 6, 6}, torch::kInt64);
        for (auto* layer : s3::libtorch::shift_layers(*model))
            for (Tensor f : layer->fields())
                f.set_data(f.detach().contiguous(l.latents));
        CHECK(first->discrete().is_contiguous(l.latents));
        torch::optim::SGD optimizer(model->parameters(),
                                    torch::optim::SGDOptions(0.05).momentum(0.9));
        for (int step = 0; step < 5; ++step) {
            model->zero_grad(true);
            const Tensor loss = torch::cross_entropy_loss(model->forward(x), labels);
            loss.backward();
            if (step == 0) {
                auto& gradients = all_gradients.emplace_back();
                for (const auto& f : first->fields()) {
                    CHECK(f.grad().is_contiguous(l.latents)); // as the optimizers want it
                    gradients.push_back(f.grad().clone());
                }
            }
            optimizer.step();
            if (step == 4)
                losses.push_back(loss.item<double>());
        }
        all_latents.push_back(first->fields());
    }
    for (std::size_t i = 1; i < all_latents.size(); ++i) {
        CHECK(losses[i] == doctest::Approx(losses[0]).epsilon(1e-4));
        for (std::size_t k = 0; k < 4; ++k) {
            CHECK(torch::allclose(all_gradients[i][k], all_gradients[0][k], 1e-4, 1e-6));
            CHECK(torch::allclose(all_latents[i][k], all_latents[0][k], 1e-4, 1e-6));
        }
    }
}

TEST_CASE("a pass into tensors of another layout is refused by name") {
    const auto fields = random_fields<s3::shift2>({4, 3, 2, 2});
    const Tensor last =
        torch::empty({4, 3, 2, 2}, torch::kFloat32, torch::MemoryFormat::ChannelsLast);
    const auto into = [&](const Tensor& w) {
        return message_of([&] { s3::libtorch::realize_into<s3::shift2>(fields, w); });
    };
    CHECK(into(torch::empty({4, 3, 2, 2})).empty());
    CHECK(into(last).find("weights has strides") != std::string::npos);
    CHECK(into(torch::empty({4, 3, 4})).find("weights is [4, 3, 4]") != std::string::npos);
    CHECK(into(torch::empty({4, 3, 2, 4}).slice(3, 0, 4, 2)).find("weights must be dense") !=
          std::string::npos);
}

TEST_CASE("tensors that do not fit are refused by name") {
    auto p = random_fields<s3::shift3>({4, 4});
    const auto attempt = [&] { (void)s3::libtorch::realize<s3::shift3>(p); };
    CHECK(message_of(attempt).empty());
    p[1] = torch::randn({4, 5});
    CHECK(message_of(attempt).find("sparse") != std::string::npos);
    p[1] = torch::randn({2, 8});
    CHECK(message_of(attempt).find("sparse") != std::string::npos);
    p[1] = torch::randn({4, 4}, torch::kFloat64);
    CHECK(message_of(attempt).find("sparse must be float32") != std::string::npos);
    p.pop_back();
    CHECK(message_of(attempt).find("4 latents, not 3") != std::string::npos);
}

TEST_CASE("a tensor that is not there, and a sparse one, are refused by name") {
    using s3::shift3;
    const std::vector<Tensor> fields(4, torch::ones({3, 3}));
    const auto backward = [&](const std::vector<Tensor>& of, const Tensor& grad) {
        (void)s3::libtorch::backward<shift3>(of, grad, s3::surrogate::authors{},
                                             s3::straight_through::identity{});
    };
    CHECK_THROWS_WITH_AS(backward(fields, Tensor()), doctest::Contains("grad_weights is undefined"),
                         c10::Error);
    CHECK_THROWS_WITH_AS(backward(fields, torch::eye(3).to_sparse()),
                         doctest::Contains("grad_weights must be dense"), c10::Error);
    CHECK_THROWS_WITH_AS(backward({Tensor(), fields[1], fields[2], fields[3]}, fields[0]),
                         doctest::Contains("sign is undefined"), c10::Error);
    CHECK_THROWS_WITH_AS((void)s3::libtorch::realized<shift3>({Tensor(), fields[1]}),
                         doctest::Contains("sign is undefined"), c10::Error);
}

TEST_CASE("ShiftConv2d is Conv2d with the realized weights, for all options") {
    torch::manual_seed(3);
    using options = torch::nn::Conv2dOptions;
    const std::vector<options> cases{
        options(4, 6, 3),
        options(4, 6, {3, 2}).stride({2, 1}).padding({1, 2}).bias(false),
        options(4, 8, 3).groups(4).dilation(2).padding(2),
        options(4, 6, 3).padding(torch::kSame),
        options(4, 6, 3).padding(torch::kValid),
        options(4, 6, 3).padding(1).padding_mode(torch::kReflect),
        options(4, 6, 3).padding({1, 2}).padding_mode(torch::kCircular),
        options(4, 6, 3).padding(2).padding_mode(torch::kReplicate),
    };
    for (const auto& o : cases) {
        s3::libtorch::ShiftConv2d<s3::shift3> shift(o);
        torch::nn::Conv2d plain(o);
        torch::NoGradGuard guard;
        plain->weight.copy_(shift->realized());
        if (o.bias())
            plain->bias.copy_(shift->bias);
        const Tensor x = torch::randn({2, 4, 9, 8});
        CHECK(torch::equal(shift(x), plain(x)));
    }
}

TEST_CASE("ShiftLinear is Linear with the realized weights") {
    torch::manual_seed(4);
    const auto check = []<class F>(F) {
        for (const bool bias : {true, false}) {
            s3::libtorch::ShiftLinear<F> shift(torch::nn::LinearOptions(10, 3).bias(bias));
            torch::nn::Linear plain(torch::nn::LinearOptions(10, 3).bias(bias));
            torch::NoGradGuard guard;
            plain->weight.copy_(shift->realized());
            if (bias)
                plain->bias.copy_(shift->bias);
            const Tensor x = torch::randn({5, 10});
            CHECK(torch::equal(shift(x), plain(x)));
        }
    };
    // Not all formats: a layer of each takes long to compile.
    each(check, s3::shift2{}, s3::shift3{}, s3::dense3{});
}

TEST_CASE("parameters have the authors' names") {
    const auto names = [](const torch::nn::Module& m) {
        std::vector<std::string> all;
        for (const auto& p : m.named_parameters())
            all.push_back(p.key());
        return all;
    };
    using strings = std::vector<std::string>;
    const torch::nn::Conv2dOptions o(2, 2, 3);
    s3::libtorch::ShiftConv2d<s3::shift3> conv(o);
    CHECK(names(*conv) == strings{"weight", "bias", "weight_val", "weight_shift2", "weight_shift"});
    CHECK(conv->fields()[2].is_same(conv->named_parameters()["weight_shift2"]));
    s3::libtorch::ShiftLinear<s3::dense2> linear(torch::nn::LinearOptions(2, 2).bias(false));
    CHECK(names(*linear) == strings{"weight", "weight_shift"});
}

TEST_CASE("clone and save keep every latent, and train on independently") {
    torch::manual_seed(5);
    torch::nn::Sequential model(
        s3::libtorch::ShiftConv2d<s3::shift4>(torch::nn::Conv2dOptions(3, 4, 3)),
        torch::nn::Flatten(),
        s3::libtorch::ShiftLinear<s3::dense3>(torch::nn::LinearOptions(36, 2)));
    const Tensor x = torch::randn({2, 3, 5, 5});
    const Tensor y = model->forward(x);

    auto copy = std::dynamic_pointer_cast<torch::nn::SequentialImpl>(model->clone());
    REQUIRE(copy);
    CHECK(torch::equal(copy->forward(x), y));

    std::stringstream file;
    torch::save(model, file);
    torch::nn::Sequential loaded(
        s3::libtorch::ShiftConv2d<s3::shift4>(torch::nn::Conv2dOptions(3, 4, 3)),
        torch::nn::Flatten(),
        s3::libtorch::ShiftLinear<s3::dense3>(torch::nn::LinearOptions(36, 2)));
    CHECK(!torch::equal(loaded->forward(x), y));
    torch::load(loaded, file);
    CHECK(torch::equal(loaded->forward(x), y));

    {
        torch::NoGradGuard guard;
        for (auto& p : copy->parameters())
            p.neg_();
    }
    CHECK(!torch::equal(copy->forward(x), y));
    CHECK(torch::equal(model->forward(x), y));
    CHECK(s3::libtorch::shift_layers(*copy).size() == 2);
}

TEST_CASE("training: the loss falls, shifts and signs move, zeros revive") {
    torch::manual_seed(6);
    s3::libtorch::ShiftConv2d<s3::shift3> first(torch::nn::Conv2dOptions(1, 8, 3).padding(1));
    s3::libtorch::ShiftLinear<s3::shift3> last(torch::nn::LinearOptions(8 * 36, 4));
    torch::nn::Sequential model(first, torch::nn::BatchNorm2d(8), torch::nn::ReLU(),
                                torch::nn::Flatten(), last, torch::nn::BatchNorm1d(4));
    // A teacher with float weights, so that there is something to fit.
    const Tensor x = torch::randn({256, 1, 6, 6});
    const Tensor labels = torch::conv2d(x, torch::randn({4, 1, 6, 6})).flatten(1).argmax(1);

    const Tensor before = first->realized().clone();
    const Tensor shifts_before = torch::log2(last->realized().abs().clamp_min(1));
    s3::libtorch::weight_dynamics dynamics;
    const double zeros = dynamics.observe(last->realized()).zeros;
    CHECK(zeros == doctest::Approx(0.5).epsilon(0.15));

    torch::optim::SGD optimizer(model->parameters(), torch::optim::SGDOptions(0.5).momentum(0.9));
    double start = 0, end = 0;
    std::size_t flips = 0, revived = 0;
    s3::libtorch::movement m;
    for (int step = 0; step < 60; ++step) {
        optimizer.zero_grad();
        const Tensor loss = torch::cross_entropy_loss(model->forward(x), labels);
        loss.backward();
        s3::libtorch::add_dense_gradient(*model, 1e-3f);
        optimizer.step();
        (step == 0 ? start : end) = loss.item<double>();
        m = dynamics.observe(last->realized());
        flips += m.flips;
        revived += m.moves.revived();
    }
    CHECK(end < 0.5 * start);
    CHECK(flips > 50);
    CHECK(revived > 50);
    CHECK(m.never_flipped < 1);
    CHECK(!torch::equal(first->realized(), before));
    CHECK(!torch::equal(torch::log2(last->realized().abs().clamp_min(1)), shifts_before));
    for (auto* layer : s3::libtorch::shift_layers(*model))
        CHECK(layer->validate());
}

TEST_CASE("the regularizer reaches every sparse latent and no other") {
    torch::manual_seed(7);
    torch::nn::Sequential model(
        s3::libtorch::ShiftLinear<s3::shift3>(torch::nn::LinearOptions(6, 5)),
        s3::libtorch::ShiftLinear<s3::dense3>(torch::nn::LinearOptions(5, 4)));
    for (auto& p : model->parameters())
        p.mutable_grad() = torch::zeros_like(p);
    s3::libtorch::add_dense_gradient(*model, 0.25f);
    const auto layers = s3::libtorch::shift_layers(*model);
    REQUIRE(layers.size() == 2);
    const Tensor b = layers[0]->sparse();
    CHECK(torch::equal(b.grad(), (b < 0).to(torch::kFloat32) * -0.25));
    CHECK(!layers[1]->sparse().defined());
    for (const auto& p : model->parameters())
        if (!p.is_same(b))
            CHECK(p.grad().abs().sum().item<float>() == 0);
}

TEST_CASE("forward and backward name a NaN latent, in the part of whatever thread") {
    const auto fields = random_fields<s3::shift3>({300, 1000});
    const Tensor w = s3::libtorch::realize<s3::shift3>(fields);
    fields[1].detach()[299][7] = NAN;
    const std::string name = "sparse[299007]: value is not finite";
    CHECK(message_of([&] { (void)s3::libtorch::realize<s3::shift3>(fields); }).find(name) !=
          std::string::npos);
    CHECK(message_of([&] {
              (void)s3::libtorch::backward<s3::shift3>(fields, w.detach(), s3::surrogate::authors{},
                                                       s3::straight_through::identity{});
          }).find(name) != std::string::npos);
}

TEST_CASE("latents are drawn anew with another deviation, and a fused layer realizes them") {
    s3::libtorch::ShiftLinear<s3::shift3, s3::surrogate::flat> layer(
        torch::nn::LinearOptions(40, 50));
    layer->fuse();
    layer->initialize(1e-3);
    for (const auto& f : layer->fields())
        CHECK(f.std().item<double>() == doctest::Approx(1e-3).epsilon(0.1));
    CHECK(torch::equal(layer->discrete(), layer->realized()));
}

TEST_CASE("validate names a NaN latent") {
    s3::libtorch::ShiftLinear<s3::shift3> layer(torch::nn::LinearOptions(3, 3));
    layer->fields()[3].detach()[1][2] = NAN;
    const auto s = layer->validate();
    REQUIRE(!s);
    CHECK(std::string(s.error().argument) == "shift_2");
    CHECK(s.error().index == 5);
}

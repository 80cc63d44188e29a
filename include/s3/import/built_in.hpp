#pragma once
// Descriptions that the library brings along. Tensors are named as in torchvision.
//
//   resnet8, resnet20, resnet56               32 × 32 images (He et al., CVPR 2016, section 4.2)
//   resnet18, resnet50                        224 × 224 images (the same)
//   mobilenet_v2                              224 × 224 images (Sandler et al., CVPR 2018)
//   mobilenet_v3_small, mobilenet_v3_large    224 × 224 images (Howard et al., ICCV 2019)
//
// Inputs of three channels are normalised as ImageNet's are.

#include <algorithm>
#include <array>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace s3::importing {

namespace detail {

/// The text of a description.
struct description_text {
    std::string text;

    description_text(std::size_t height, std::size_t channels) {
        add({"input", height, height, channels});
        if (channels == 3)
            more("mean=0.485,0.456,0.406 std=0.229,0.224,0.225");
    }
    /// A word or a number of a line.
    struct word {
        std::string text;
        word(const char* s) : text(s) {}
        word(std::string s) : text(std::move(s)) {}
        word(std::size_t n) : text(std::to_string(n)) {}
    };
    /// Adds a line.
    void add(std::initializer_list<word> words) {
        std::string line;
        for (const word& w : words)
            line.append(line.empty() ? "" : " ").append(w.text);
        text.append(line).append("\n");
    }
    /// Adds to the last line.
    void more(const std::string& options) { text.insert(text.size() - 1, " " + options); }

    struct sizes {
        std::size_t in, out, kernel = 1, stride = 1, groups = 1;
    };
    /// Adds a convolution, which keeps the size of the image but for its stride.
    void conv(const std::string& name, const sizes& s, const std::string& from = "") {
        add({"conv", name, s.in, s.out, "kernel=" + std::to_string(s.kernel),
             "stride=" + std::to_string(s.stride), "padding=" + std::to_string(s.kernel / 2)});
        if (s.groups > 1)
            more("groups=" + std::to_string(s.groups));
        if (!from.empty())
            more("from=" + from);
    }
};

[[nodiscard]] inline std::string resnet(std::string_view name, std::size_t classes,
                                        std::size_t height, std::size_t channels) {
    const bool small = name == "resnet8" || name == "resnet20" || name == "resnet56";
    const bool bottleneck = name == "resnet50";
    if (!small && !bottleneck && name != "resnet18")
        return {};
    description_text d(height != 0 ? height : small ? 32 : 224, channels);
    const auto conv = [&](const std::string& layer, const std::string& norm,
                          const description_text::sizes& s, const std::string& from = "") {
        d.conv(layer, s, from);
        d.add({"bn", norm});
    };
    std::size_t width = small ? 16 : 64;
    conv("conv1", "bn1", {channels, width, small ? 3u : 7u, small ? 1u : 2u});
    d.add({"relu stem"});
    std::string last = "stem";
    if (!small) {
        d.add({"maxpool pooled kernel=3 stride=2 padding=1"});
        last = "pooled";
    }
    const std::size_t each = name == "resnet8"    ? 1
                             : name == "resnet20" ? 3
                             : name == "resnet56" ? 9
                                                  : 2;
    const std::vector<std::size_t> blocks = small        ? std::vector(3, each)
                                            : bottleneck ? std::vector<std::size_t>{3, 4, 6, 3}
                                                         : std::vector<std::size_t>(4, 2);
    std::size_t in = width;
    for (std::size_t stage = 0; stage < blocks.size(); ++stage, width *= 2)
        for (std::size_t b = 0; b < blocks[stage]; ++b) {
            const std::string p =
                "layer" + std::to_string(stage + 1) + "." + std::to_string(b) + ".";
            const std::size_t stride = b == 0 && stage > 0 ? 2 : 1,
                              out = bottleneck ? 4 * width : width;
            std::string shortcut = last;
            if (stride != 1 || in != out) {
                conv(p + "downsample.0", p + "downsample.1", {in, out, 1, stride}, last);
                shortcut = p + "downsample.1";
            }
            if (bottleneck) {
                conv(p + "conv1", p + "bn1", {in, width}, last);
                d.add({"relu"});
                conv(p + "conv2", p + "bn2", {width, width, 3, stride});
                d.add({"relu"});
                conv(p + "conv3", p + "bn3", {width, out});
            } else {
                conv(p + "conv1", p + "bn1", {in, out, 3, stride}, last);
                d.add({"relu"});
                conv(p + "conv2", p + "bn2", {out, out, 3});
            }
            last = "layer" + std::to_string(stage + 1) + "." + std::to_string(b);
            d.add({"add", shortcut});
            d.add({"relu", last});
            in = out;
        }
    d.add({"globalmean"});
    d.add({"linear fc", in, classes});
    return d.text;
}

/// An inverted bottleneck: 1 × 1 to `wide` channels, depthwise, squeeze-and-excite, 1 × 1 to `out`.
struct bottleneck {
    std::size_t kernel, wide, out;
    bool excite;
    const char* function;
    std::size_t stride;
};

inline constexpr std::array<bottleneck, 11> mobilenet_v3_small{{
    {3, 16, 16, true, "relu", 2},
    {3, 72, 24, false, "relu", 2},
    {3, 88, 24, false, "relu", 1},
    {5, 96, 40, true, "hardswish", 2},
    {5, 240, 40, true, "hardswish", 1},
    {5, 240, 40, true, "hardswish", 1},
    {5, 120, 48, true, "hardswish", 1},
    {5, 144, 48, true, "hardswish", 1},
    {5, 288, 96, true, "hardswish", 2},
    {5, 576, 96, true, "hardswish", 1},
    {5, 576, 96, true, "hardswish", 1},
}};
inline constexpr std::array<bottleneck, 15> mobilenet_v3_large{{
    {3, 16, 16, false, "relu", 1},
    {3, 64, 24, false, "relu", 2},
    {3, 72, 24, false, "relu", 1},
    {5, 72, 40, true, "relu", 2},
    {5, 120, 40, true, "relu", 1},
    {5, 120, 40, true, "relu", 1},
    {3, 240, 80, false, "hardswish", 2},
    {3, 200, 80, false, "hardswish", 1},
    {3, 184, 80, false, "hardswish", 1},
    {3, 184, 80, false, "hardswish", 1},
    {3, 480, 112, true, "hardswish", 1},
    {3, 672, 112, true, "hardswish", 1},
    {5, 672, 160, true, "hardswish", 2},
    {5, 960, 160, true, "hardswish", 1},
    {5, 960, 160, true, "hardswish", 1},
}};

[[nodiscard]] inline std::vector<bottleneck> mobilenet_v2() {
    struct stage {
        std::size_t expansion, out, count, stride;
    };
    constexpr stage stages[] = {{1, 16, 1, 1}, {6, 24, 2, 2},  {6, 32, 3, 2}, {6, 64, 4, 2},
                                {6, 96, 3, 1}, {6, 160, 3, 2}, {6, 320, 1, 1}};
    std::vector<bottleneck> all;
    std::size_t in = 32;
    for (const stage& s : stages)
        for (std::size_t i = 0; i < s.count; ++i, in = s.out)
            all.push_back({3, s.expansion * in, s.out, false, "relu6", i == 0 ? s.stride : 1});
    return all;
}

/// Versions 2 and 3, whose layers have different names.
[[nodiscard]] inline std::string mobilenet(std::string_view name, std::size_t classes,
                                           std::size_t height, std::size_t channels) {
    const bool second = name == "mobilenet_v2", small = name == "mobilenet_v3_small";
    if (!second && !small && name != "mobilenet_v3_large")
        return {};
    using list = std::span<const bottleneck>;
    const std::vector<bottleneck> two = mobilenet_v2();
    const list blocks = second  ? list(two)
                        : small ? list(mobilenet_v3_small)
                                : list(mobilenet_v3_large);
    const std::string epsilon = second ? "" : "eps=0.001";
    const char* const function = second ? "relu6" : "hardswish";
    description_text d(height != 0 ? height : 224, channels);
    const auto norm = [&](const std::string& layer) {
        d.add({"bn", layer});
        if (!epsilon.empty())
            d.more(epsilon);
    };
    std::size_t in = second ? 32 : 16;
    d.conv("features.0.0", {channels, in, 3, 2});
    norm("features.0.1");
    std::string last = "features.0";
    d.add({function, last});
    for (std::size_t i = 0; i < blocks.size(); ++i) {
        const bottleneck& b = blocks[i];
        const std::string block = "features." + std::to_string(i + 1);
        const std::string p = block + (second ? ".conv." : ".block.");
        std::size_t part = 0; // the number of the next part of the block
        const auto normed = [&](const description_text::sizes& s) {
            d.conv(p + std::to_string(part) + ".0", s);
            norm(p + std::to_string(part++) + ".1");
        };
        if (b.wide != in) {
            normed({in, b.wide});
            d.add({b.function});
        }
        normed({b.wide, b.wide, b.kernel, b.stride, b.wide});
        d.add({b.function, block + ".wide"});
        if (b.excite) {
            // A quarter of the channels, as the nearest multiple of 8 that is not far less.
            std::size_t squeezed = std::max<std::size_t>(8, (b.wide / 4 + 4) / 8 * 8);
            squeezed += 10 * squeezed < 9 * (b.wide / 4) ? 8 : 0;
            const std::string fc = p + std::to_string(part++) + ".fc";
            d.add({"globalmean"});
            d.conv(fc + "1", {b.wide, squeezed});
            d.add({"relu"});
            d.conv(fc + "2", {squeezed, b.wide});
            d.add({"hardsigmoid"});
            d.add({"mul", block + ".wide"});
        }
        if (second) { // whose last convolution and norm are parts themselves
            d.conv(p + std::to_string(part), {b.wide, b.out});
            norm(p + std::to_string(part + 1));
        } else {
            normed({b.wide, b.out});
        }
        if (b.stride == 1 && b.out == in) {
            d.add({"add", last, "name=" + block});
            last = block;
        } else {
            last = p + std::to_string(second ? part + 1 : part - 1) + (second ? "" : ".1");
        }
        in = b.out;
    }
    const std::string head = "features." + std::to_string(blocks.size() + 1);
    const std::size_t wide = second ? 1280 : 6 * in, hidden = small ? 1024 : 1280;
    d.conv(head + ".0", {in, wide});
    norm(head + ".1");
    d.add({function});
    d.add({"globalmean"});
    if (second) {
        d.add({"linear classifier.1", wide, classes});
    } else {
        d.add({"linear classifier.0", wide, hidden});
        d.add({"hardswish"});
        d.add({"linear classifier.3", hidden, classes});
    }
    return d.text;
}

} // namespace detail

/// The description of that name (see the top), for images of another height or number of channels
/// if that is given; or empty. A plain CNN takes a few lines: see import/description.hpp.
[[nodiscard]] inline std::string built_in(std::string_view name, std::size_t classes,
                                          std::size_t height = 0, std::size_t channels = 3) {
    auto text = detail::resnet(name, classes, height, channels);
    return !text.empty() ? text : detail::mobilenet(name, classes, height, channels);
}

} // namespace s3::importing

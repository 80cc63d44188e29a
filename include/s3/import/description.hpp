#pragma once
// A network's structure as text, one layer per line, as its importer needs it beside the weights:
//
//   input HEIGHT WIDTH CHANNELS [mean=M,…] [std=S,…] [scale=1/255] [bits=8]
//   conv NAME IN OUT kernel=K [stride=1] [padding=0] [dilation=1] [groups=1] [format=F]
//   linear NAME IN OUT [format=F]            of a vector, or of an image after `flatten`
//   bn NAME [eps=1e-5]                       after conv or linear
//   relu [NAME]    relu6 [NAME]              after conv, linear, bn or add
//   add OTHER                                the line before plus the value named OTHER
//   maxpool [NAME] kernel=K [stride=K] [padding=0]     avgpool [NAME] kernel=K …
//   globalmean [NAME]    flatten
//
// NAME is the prefix of the layer's tensors and names its value (of relu and pooling: the value
// alone). A line takes the value of the line before, or `from=NAME`; `input` names the image. Sizes
// may be HxW. `bits=B` sets the bits of the activations that come out. `format` is auto, int8, or
// of format/list.hpp (real weights are rounded to it), or deepshift2 … deepshift5 (rounded in
// log2), or float: only of a `linear` that is the last line, and it promises no bits. A real input
// is (scale·pixel − mean)/std. `#` starts a comment.
//
// Errors are values; `where` then says which line and what is wrong with it.

#include <s3/core/conv.hpp>
#include <s3/core/error.hpp>
#include <s3/core/is_finite.hpp>

#include <cerrno>
#include <cstdlib>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace s3::importing {

enum class step_kind : unsigned char {
    conv,
    linear,
    norm,
    relu,
    relu6,
    add,
    max_pool,
    mean_pool,
    global_mean,
    flatten
};

/// A line. Values count as in net/model.hpp: 0 is the input, step i gives value i + 1.
struct step {
    step_kind kind = step_kind::conv;
    std::size_t line = 0;
    std::string name;
    std::size_t from = 0;
    std::size_t other = 0;
    std::size_t in = 0, out = 0;
    extent kernel = 1, stride = 1, padding = 0, dilation = 1;
    std::size_t groups = 1;
    std::string format = "auto";
    int bits = 0; ///< 0: the importer's choice
    double eps = 1e-5;
};

struct description {
    std::size_t height = 1, width = 1, channels = 1;
    std::vector<double> mean, deviation; ///< empty, or one per channel
    double scale = 1.0 / 255;
    int bits = 8;
    std::vector<step> steps;
};

/// Says in `where` which line is wrong and why; gives `e` back.
[[nodiscard]] inline error refuse(const step& s, const std::string& why, const error& e,
                                  std::string& where) {
    where =
        "line " + std::to_string(s.line) + (s.name.empty() ? "" : " (" + s.name + ")") + ": " + why;
    return e;
}

namespace detail {

class description_parser {
public:
    explicit description_parser(std::string& where) : where_(where) {}

    result<description> parse(std::string_view text) {
        for (std::size_t line = 1; !text.empty() && !failed_; ++line) {
            const std::size_t end = std::min(text.find('\n'), text.size());
            line_ = line;
            read_line(text.substr(0, end));
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        if (!failed_ && !seen_input_)
            fail("there is no input line");
        if (!failed_ && d_.steps.empty())
            fail("there is no layer");
        if (failed_)
            return error(errc::bad_option, "description").at(line_);
        return d_;
    }

private:
    using words = std::vector<std::string>;

    void fail(const std::string& why) {
        if (!failed_)
            where_ = "line " + std::to_string(line_) + ": " + why;
        failed_ = true;
    }
    void read_line(std::string_view text) {
        text = text.substr(0, text.find('#'));
        words plain;
        options_.clear();
        constexpr std::string_view space = " \t\r";
        for (std::size_t at = 0; (at = text.find_first_not_of(space, at)) < text.size();) {
            const std::size_t end = std::min(text.find_first_of(space, at), text.size());
            const std::string word(text.substr(at, end - at));
            const std::size_t equals = word.find('=');
            if (equals == std::string::npos)
                plain.push_back(word);
            else if (!options_.emplace(word.substr(0, equals), word.substr(equals + 1)).second)
                return fail("'" + word.substr(0, equals) + "' is given twice");
            at = end;
        }
        if (plain.empty())
            return options_.empty() ? void() : fail("the line names no layer");
        if (plain[0] == "input")
            read_input(plain);
        else if (!seen_input_)
            return fail("the first line must be 'input HEIGHT WIDTH CHANNELS'");
        else
            read_step(plain);
        if (!options_.empty())
            fail("'" + plain[0] + "' has no option '" + options_.begin()->first + "'");
    }
    void read_input(const words& w) {
        if (seen_input_)
            return fail("there is a second input line");
        if (w.size() != 4)
            return fail("'input' needs height, width and channels");
        seen_input_ = true;
        d_.height = size_of(w[1], 1);
        d_.width = size_of(w[2], 1);
        d_.channels = size_of(w[3], 1);
        d_.mean = list("mean");
        d_.deviation = list("std");
        d_.scale = number("scale", d_.scale);
        d_.bits = bits(8);
        for (const double s : d_.deviation)
            if (!(s > 0))
                fail("'std' must be positive");
        if (!(d_.scale > 0))
            fail("'scale' must be positive");
        values_["input"] = 0;
    }
    void read_step(const words& w) {
        struct rule {
            const char* word;
            step_kind kind;
            std::size_t least, most;
        };
        static constexpr rule rules[] = {{"conv", step_kind::conv, 3, 3},
                                         {"linear", step_kind::linear, 3, 3},
                                         {"bn", step_kind::norm, 1, 1},
                                         {"relu", step_kind::relu, 0, 1},
                                         {"relu6", step_kind::relu6, 0, 1},
                                         {"add", step_kind::add, 1, 1},
                                         {"maxpool", step_kind::max_pool, 0, 1},
                                         {"avgpool", step_kind::mean_pool, 0, 1},
                                         {"globalmean", step_kind::global_mean, 0, 1},
                                         {"flatten", step_kind::flatten, 0, 0}};
        const rule* known = nullptr;
        for (const rule& r : rules)
            if (w[0] == r.word)
                known = &r;
        if (known == nullptr)
            return fail("there is no layer '" + w[0] + "'");
        if (w.size() - 1 < known->least || w.size() - 1 > known->most)
            return fail("'" + w[0] + "' takes " + std::to_string(known->most) +
                        " words before its options, not " + std::to_string(w.size() - 1));
        step s;
        s.kind = known->kind;
        s.line = line_;
        s.from = d_.steps.size();
        if (const auto from = option("from"); !from.empty())
            s.from = value_of(from);
        s.bits = bits(0);
        switch (s.kind) {
        case step_kind::add:
            s.other = value_of(w[1]);
            break;
        case step_kind::conv:
            s.dilation = pair("dilation", 1, 1);
            s.groups = size_of(option("groups", "1"), 1);
            [[fallthrough]];
        case step_kind::max_pool:
        case step_kind::mean_pool:
            if (options_.count("kernel") == 0)
                return fail("'" + w[0] + "' needs kernel=");
            s.kernel = pair("kernel", 1, 1);
            s.stride = pair("stride", s.kind == step_kind::conv ? extent(1) : s.kernel, 1);
            s.padding = pair("padding", 0, 0);
            break;
        case step_kind::norm:
            s.eps = number("eps", s.eps);
            break;
        default:
            break;
        }
        if (known->least == 3) {
            s.in = size_of(w[2], 1);
            s.out = size_of(w[3], 1);
            s.format = option("format", "auto");
        }
        if (s.kind != step_kind::add && w.size() > 1) {
            s.name = w[1];
            if (!values_.emplace(s.name, d_.steps.size() + 1).second)
                return fail("'" + s.name + "' is the name of an earlier line");
        }
        d_.steps.push_back(std::move(s));
    }
    /// Takes an option away.
    std::string option(const std::string& key, const std::string& otherwise = "") {
        const auto found = options_.find(key);
        if (found == options_.end())
            return otherwise;
        std::string value = found->second;
        options_.erase(found);
        if (value.empty())
            fail("'" + key + "' is empty");
        return value;
    }
    std::size_t value_of(const std::string& name) {
        const auto found = values_.find(name);
        if (found != values_.end())
            return found->second;
        fail("no earlier line is named '" + name + "'");
        return 0;
    }
    std::size_t size_of(const std::string& text, std::size_t least) {
        const bool digits = !text.empty() && text.size() < 10 &&
                            text.find_first_not_of("0123456789") == std::string::npos;
        const std::size_t value = digits ? std::stoul(text) : 0;
        if (!digits || value < least)
            fail("'" + text + "' is not a number of at least " + std::to_string(least));
        return value;
    }
    extent pair(const std::string& key, extent otherwise, std::size_t least) {
        const std::string text = option(key);
        if (text.empty())
            return otherwise;
        const std::size_t x = text.find('x');
        if (x == std::string::npos)
            return size_of(text, least);
        return {size_of(text.substr(0, x), least), size_of(text.substr(x + 1), least)};
    }
    double real(const std::string& text) {
        char* end = nullptr;
        const double value = std::strtod(text.c_str(), &end);
        if (text.empty() || *end != 0 || !is_finite(value))
            fail("'" + text + "' is not a number");
        return value;
    }
    double number(const std::string& key, double otherwise) {
        const std::string text = option(key);
        const std::size_t slash = text.find('/');
        if (text.empty())
            return otherwise;
        if (slash == std::string::npos)
            return real(text);
        return real(text.substr(0, slash)) / real(text.substr(slash + 1));
    }
    std::vector<double> list(const std::string& key) {
        std::vector<double> values;
        std::string text = option(key);
        while (!text.empty()) {
            const std::size_t comma = std::min(text.find(','), text.size());
            values.push_back(real(text.substr(0, comma)));
            text.erase(0, comma + 1);
        }
        if (values.size() == 1)
            values.assign(std::min<std::size_t>(d_.channels, 4096), values[0]);
        if (!values.empty() && values.size() != d_.channels)
            fail("'" + key + "' needs one number per channel");
        return values;
    }
    int bits(int otherwise) {
        const std::string text = option("bits");
        if (text.empty())
            return otherwise;
        const auto b = size_of(text, 2);
        if (b > 8)
            fail("'bits' must be 2 to 8");
        return static_cast<int>(std::min<std::size_t>(b, 8));
    }

    std::string& where_;
    description d_;
    std::size_t line_ = 0;
    bool failed_ = false;
    bool seen_input_ = false;
    std::map<std::string, std::string> options_;
    std::map<std::string, std::size_t> values_;
};

} // namespace detail

inline result<description> parse(std::string_view text, std::string& where) {
    return detail::description_parser(where).parse(text);
}

/// Descriptions that we bring: "resnet8", "resnet20", "resnet56" (for 32 × 32 images, He et al.
/// 2016, section 4.2; the tensors' names are torchvision's), "resnet18", "resnet50" (for 224 × 224
/// images). Empty for any other name. A plain CNN is described in a few lines: see the top.
[[nodiscard]] inline std::string built_in(std::string_view name, std::size_t classes,
                                          std::size_t height = 0, std::size_t channels = 3) {
    const bool small = name == "resnet8" || name == "resnet20" || name == "resnet56";
    const bool bottleneck = name == "resnet50";
    if (!small && !bottleneck && name != "resnet18")
        return {};
    if (height == 0)
        height = small ? 32 : 224;
    const auto text = [](std::size_t n) { return std::to_string(n); };
    std::string d = "input " + text(height) + " " + text(height) + " " + text(channels);
    d += channels == 3 ? " mean=0.485,0.456,0.406 std=0.229,0.224,0.225\n" : "\n";
    const auto conv = [&](const std::string& layer, const std::string& norm, std::size_t in,
                          std::size_t out, std::size_t kernel, std::size_t stride,
                          const std::string& more) {
        d += "conv " + layer + " " + text(in) + " " + text(out) + " kernel=" + text(kernel) +
             " stride=" + text(stride) + " padding=" + text(kernel / 2) + more + "\nbn " + norm +
             "\n";
    };
    std::size_t width = small ? 16 : 64;
    conv("conv1", "bn1", channels, width, small ? 3 : 7, small ? 1 : 2, "");
    d += "relu stem\n";
    std::string last = "stem";
    if (!small) {
        d += "maxpool pooled kernel=3 stride=2 padding=1\n";
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
            const std::string p = "layer" + text(stage + 1) + "." + text(b) + ".";
            const std::size_t stride = b == 0 && stage > 0 ? 2 : 1,
                              out = bottleneck ? 4 * width : width;
            std::string shortcut = last;
            if (stride != 1 || in != out) {
                conv(p + "downsample.0", p + "downsample.1", in, out, 1, stride, " from=" + last);
                shortcut = p + "downsample.1";
            }
            if (bottleneck) {
                conv(p + "conv1", p + "bn1", in, width, 1, 1, " from=" + last);
                d += "relu\n";
                conv(p + "conv2", p + "bn2", width, width, 3, stride, "");
                d += "relu\n";
                conv(p + "conv3", p + "bn3", width, out, 1, 1, "");
            } else {
                conv(p + "conv1", p + "bn1", in, out, 3, stride, " from=" + last);
                d += "relu\n";
                conv(p + "conv2", p + "bn2", out, out, 3, 1, "");
            }
            last = "layer" + text(stage + 1) + "." + text(b);
            d += "add " + shortcut + "\nrelu " + last + "\n";
            in = out;
        }
    return d + "globalmean\nlinear fc " + text(in) + " " + text(classes) + "\n";
}

} // namespace s3::importing

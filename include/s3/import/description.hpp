#pragma once
// A network's structure as text, one layer per line: what the importer needs besides the weights.
//
//   input HEIGHT WIDTH CHANNELS [mean=M,…] [std=S,…] [scale=1/255] [zero=0] [bits=8]
//   input LENGTH CHANNELS …                  a sequence, whose sizes are along its length
//   conv NAME IN OUT kernel=K [stride=1] [padding=0] [dilation=1] [groups=1] [format=F]
//   linear NAME IN OUT [format=F]            of a vector, or of an image after `flatten`
//   bn NAME [eps=1e-5]                       after conv or linear
//   relu [NAME]    relu6 [NAME]    clip [NAME] low=L high=H
//   sigmoid [NAME]    tanh [NAME]    hardsigmoid [NAME]    hardswish [NAME]    silu [NAME]
//   gelu [NAME]    elu [NAME] [alpha=1]    leakyrelu [NAME] [alpha=0.01]
//   add OTHER [name=NAME]                    the line before plus the value named OTHER
//   mul OTHER [name=NAME]                    the line before times OTHER; one of the two may be a
//                                            number per channel (1 × 1), as in squeeze-and-excite
//   concat OTHER… [name=NAME]                the channels of the line before, then of each OTHER
//   maxpool [NAME] kernel=K [stride=K] [padding=0]     avgpool [NAME] kernel=K …
//   upsample [NAME] [factor=2]               nearest neighbours
//   pad [NAME] [before=0] [after=0]          zeros above and to the left, below and to the right
//   globalmean [NAME]    flatten
//
// NAME is the prefix of the layer's tensors and the name of its value (for lines without tensors,
// only of the value). A line reads the value of the line before it, or `from=NAME`; `input` names
// the image. Sizes may be HxW. `bits=B` sets the bits of the line's output activations, and
// `scale=S [zero=Z]` gives them a quantizer, S·(q − Z), instead of calibration. `format` is
// auto, int8, or a name in format/list.hpp (real weights are rounded to it), or deepshift2 …
// deepshift5 (rounded in log2), or float. Only a `linear` that is the last line may be float, and
// it promises no bits. A real input is (scale·(pixel − zero) − mean)/std. `#` starts a comment.
// Around the input, where a convolution pads with zeros, there is one byte for all channels: it is
// exact where their means are equal.
//
// A depthwise convolution has groups=IN. relu, relu6 and clip cost nothing after a conv, linear,
// bn, add or mul that nothing else uses. Other functions, and these elsewhere, look each byte up in
// a table (net/layers/table.hpp). Only conv, linear, maxpool, upsample and pad can read an input
// with a mean or std.
//
// Numbers are read in the same way in every locale. Errors say which line is wrong, and why.

#include <s3/core/conv.hpp>
#include <s3/core/error.hpp>
#include <s3/core/is_finite.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/import/activations.hpp>
#include <s3/net/value.hpp>

#include <cmath>
#include <limits>
#include <locale>
#include <map>
#include <optional>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace s3::importing {

enum class line_kind : unsigned char {
    conv,
    linear,
    norm,
    function,
    add,
    multiply,
    concatenate,
    max_pool,
    mean_pool,
    global_mean,
    upsample,
    pad,
    flatten
};

/// A scale and a zero point that a description gives to activations: real = scale·(q − zero_point).
struct given_quantizer {
    double scale = 1;
    int zero_point = 0;
    friend bool operator==(const given_quantizer&, const given_quantizer&) = default;
};

/// A line after the input line. Values count as in net/model.hpp: 0 is the input, and line i
/// computes value i + 1.
struct line {
    line_kind kind = line_kind::conv;
    std::string word;       ///< its first word in the text
    std::size_t number = 0; ///< its number in the text, from 1
    std::string name;
    std::size_t from = 0;
    std::vector<std::size_t> others; ///< the further values that add, mul and concat read
    std::size_t in = 0, out = 0;
    extent kernel = 1, stride = 1, padding = 0, dilation = 1;
    extent factor = 1;            ///< of upsampling
    extent before = 0, after = 0; ///< of `pad`, rows and columns
    std::size_t groups = 1;
    std::string format = "auto";
    int bits = 0; ///< 0 leaves it to the importer; 8 if there is a given quantizer
    std::optional<given_quantizer> given;
    double eps = 1e-5;
    activation function = {};
};

struct description {
    net::value_kind kind = net::value_kind::image; ///< of all values; a sequence has height 1
    std::size_t height = 1, width = 1, channels = 1;
    std::vector<double> mean, deviation; ///< empty, or one per channel
    double scale = 1.0 / 255;
    int zero_point = 0;
    int bits = 8;
    std::vector<line> lines;
};

/// The error in a line, as its number and name, and why it is wrong.
[[nodiscard]] inline described_error refuse(const line& l, const std::string& why, const error& e) {
    return {e, "line " + std::to_string(l.number) + (l.name.empty() ? "" : " (" + l.name + ")") +
                   ": " + why};
}

namespace detail {

/// Whether a positive number is a normal number in float32, which has all its digits.
[[nodiscard]] inline bool is_normal(double v) noexcept {
    return v >= double{std::numeric_limits<float>::min()} &&
           v <= double{std::numeric_limits<float>::max()};
}
/// The error in the numbers of an input, or null. They are checked as float32, because the scale
/// and deviations become that.
[[nodiscard]] inline const char* wrong_input(const description& d) noexcept {
    if (!is_normal(d.scale))
        return "'scale' must be positive, and within float32";
    if (d.zero_point < 0 || d.zero_point >= 1 << d.bits)
        return "'zero' must be a number that 'bits' allow";
    for (const double s : d.deviation)
        if (!is_normal(s))
            return "'std' must be positive, and within float32";
    for (const double m : d.mean)
        if (m != 0 && !is_normal(std::fabs(m)))
            return "'mean' must be within float32";
    return nullptr;
}

class description_parser {
public:
    described_result<description> parse(std::string_view text) {
        while (!text.empty() && wrong_.empty()) {
            ++line_;
            const std::size_t end = std::min(text.find('\n'), text.size());
            read_line(text.substr(0, end));
            text.remove_prefix(std::min(end + 1, text.size()));
        }
        if (!seen_input_)
            fail("there is no input line");
        if (d_.lines.empty())
            fail("there is no layer");
        if (!wrong_.empty())
            return described_error(error(errc::bad_option, "description").at(line_), wrong_);
        return d_;
    }

private:
    using words = std::vector<std::string>;

    void fail(const std::string& why) {
        if (wrong_.empty())
            wrong_ = "line " + std::to_string(line_) + ": " + why;
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
            read_layer(plain);
        if (!options_.empty())
            fail("'" + plain[0] + "' has no option '" + options_.begin()->first + "'");
    }
    void read_input(const words& w) {
        if (seen_input_)
            return fail("there is a second input line");
        if (w.size() != 3 && w.size() != 4)
            return fail("'input' needs height, width and channels, or length and channels");
        seen_input_ = true;
        if (w.size() == 3)
            d_.kind = net::value_kind::sequence;
        d_.height = is_sequence() ? 1 : size_of(w[1], 1);
        d_.width = size_of(w[w.size() - 2], 1);
        d_.channels = size_of(w[w.size() - 1], 1);
        d_.mean = list("mean");
        d_.deviation = list("std");
        d_.scale = number("scale", d_.scale);
        d_.bits = bits(8);
        d_.zero_point = zero_point();
        if (const char* const wrong = wrong_input(d_))
            fail(wrong);
        values_["input"] = 0;
    }
    void read_layer(const words& w) {
        constexpr std::size_t most_others = 1000;
        struct rule {
            const char* word;
            line_kind kind;
            std::size_t least, most;
        };
        static constexpr rule rules[] = {{"conv", line_kind::conv, 3, 3},
                                         {"linear", line_kind::linear, 3, 3},
                                         {"bn", line_kind::norm, 1, 1},
                                         {"add", line_kind::add, 1, 1},
                                         {"mul", line_kind::multiply, 1, 1},
                                         {"concat", line_kind::concatenate, 1, most_others},
                                         {"maxpool", line_kind::max_pool, 0, 1},
                                         {"avgpool", line_kind::mean_pool, 0, 1},
                                         {"globalmean", line_kind::global_mean, 0, 1},
                                         {"upsample", line_kind::upsample, 0, 1},
                                         {"pad", line_kind::pad, 0, 1},
                                         {"flatten", line_kind::flatten, 0, 0}};
        static constexpr rule function{"", line_kind::function, 0, 1};
        const activation* const named = find_activation(w[0]);
        const rule* known = named == nullptr ? nullptr : &function;
        for (const rule& r : rules)
            if (w[0] == r.word)
                known = &r;
        if (known == nullptr)
            return fail("there is no layer '" + w[0] + "'");
        if (w.size() - 1 < known->least || w.size() - 1 > known->most)
            return fail("'" + w[0] + "' takes " + std::to_string(known->most) +
                        " words before its options, not " + std::to_string(w.size() - 1));
        line l;
        l.kind = known->kind;
        l.word = w[0];
        l.number = line_;
        l.from = d_.lines.size();
        if (const auto from = option("from"); !from.empty())
            l.from = value_of(from);
        l.bits = bits(0);
        if (options_.count("scale") != 0) {
            l.bits = l.bits == 0 ? 8 : l.bits;
            l.given = {number("scale", 1), zero_point()};
        }
        switch (l.kind) {
        case line_kind::add:
        case line_kind::multiply:
        case line_kind::concatenate:
            for (std::size_t i = 1; i < w.size(); ++i)
                l.others.push_back(value_of(w[i]));
            l.name = option("name");
            break;
        case line_kind::function:
            read_function(l.function = *named);
            break;
        case line_kind::upsample:
            l.factor = pair("factor", is_sequence() ? extent(1, 2) : extent(2), 1);
            break;
        case line_kind::pad:
            l.before = pair("before", 0, 0);
            l.after = pair("after", 0, 0);
            break;
        case line_kind::conv:
            l.dilation = pair("dilation", 1, 1);
            l.groups = size_of(option("groups", "1"), 1);
            [[fallthrough]];
        case line_kind::max_pool:
        case line_kind::mean_pool:
            if (options_.count("kernel") == 0)
                return fail("'" + w[0] + "' needs kernel=");
            l.kernel = pair("kernel", 1, 1);
            l.stride = pair("stride", l.kind == line_kind::conv ? extent(1) : l.kernel, 1);
            l.padding = pair("padding", 0, 0);
            break;
        case line_kind::norm:
            l.eps = number("eps", l.eps);
            if (!(l.eps >= 0))
                fail("'eps' must not be negative");
            break;
        default:
            break;
        }
        if (known->least == 3) {
            l.in = size_of(w[2], 1);
            l.out = size_of(w[3], 1);
            l.format = option("format", "auto");
        }
        if (l.others.empty() && w.size() > 1)
            l.name = w[1];
        if (!l.name.empty() && !values_.emplace(l.name, d_.lines.size() + 1).second)
            return fail("'" + l.name + "' is the name of an earlier line");
        d_.lines.push_back(std::move(l));
    }
    void read_function(activation& a) {
        if (a.alpha != 0)
            a.alpha = number("alpha", a.alpha);
        if (a.name != std::string_view("clip"))
            return;
        if (options_.count("low") == 0 || options_.count("high") == 0)
            return fail("'clip' needs low= and high=");
        a.low = number("low", 0);
        a.high = number("high", 0);
        if (!(a.low < a.high))
            fail("'low' is not below 'high'");
    }
    [[nodiscard]] bool is_sequence() const { return d_.kind == net::value_kind::sequence; }
    /// Returns an option and removes it, so that options which remain are known to be wrong.
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
        if (x == std::string::npos && is_sequence())
            return {least, size_of(text, least)};
        if (x == std::string::npos)
            return size_of(text, least);
        return {size_of(text.substr(0, x), least), size_of(text.substr(x + 1), least)};
    }
    double real(const std::string& text) {
        std::istringstream in(text);
        in.imbue(std::locale::classic());
        in.exceptions(std::ios::badbit); // set when memory is missing, which is no wrong number
        double value = 0;
        in >> std::noskipws >> value;
        if (in.fail() || in.peek() != std::istringstream::traits_type::eof() || !is_finite(value))
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
        const double quotient = real(text.substr(0, slash)) / real(text.substr(slash + 1));
        if (is_finite_result(quotient))
            return quotient;
        fail("'" + text + "' is not a number");
        return otherwise;
    }
    std::vector<double> list(const std::string& key) {
        std::vector<double> values;
        const std::string text = option(key);
        // One number more than there are channels suffices to refuse the list.
        for (std::size_t at = 0; at < text.size() && values.size() <= d_.channels;) {
            const std::size_t comma = std::min(text.find(',', at), text.size());
            values.push_back(real(text.substr(at, comma - at)));
            at = comma + 1;
        }
        if (values.size() == 1) // of which a copy is assigned: it must not be an element
            values.assign(std::min<std::size_t>(d_.channels, 4096), double{values[0]});
        if (!values.empty() && values.size() != d_.channels)
            fail("'" + key + "' needs one number per channel");
        return values;
    }
    int zero_point() { return static_cast<int>(size_of(option("zero", "0"), 0)); }
    int bits(int otherwise) {
        const std::string text = option("bits");
        if (text.empty())
            return otherwise;
        const auto b = size_of(text, 2);
        if (b > 8)
            fail("'bits' must be 2 to 8");
        return static_cast<int>(std::min<std::size_t>(b, 8));
    }

    description d_;
    std::size_t line_ = 0; ///< the line that is being read, from 1
    std::string wrong_;    ///< the first error
    bool seen_input_ = false;
    std::map<std::string, std::string> options_;
    std::map<std::string, std::size_t> values_;
};

} // namespace detail

/// Reads a description. Errors: bad_option, with the line as index and a message that says why.
inline described_result<description> parse(std::string_view text) {
    return s3::detail::or_out_of_memory([&] { return detail::description_parser().parse(text); });
}

} // namespace s3::importing

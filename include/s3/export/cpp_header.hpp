#pragma once
// A network as one C++ header: weights as packed arrays in read-only memory, or, for small layers,
// as template constants that become straight-line additions. What comes out needs
// export/embedded.hpp alone, no heap, file, exception or operating system, and gives the same
// outputs as program.hpp.
//
//   namespace NAME { void run(const std::uint8_t* input, output_type* output, arena_type& arena); }

#include <s3/net/plan.hpp>

#include <cinttypes>
#include <cstdio>
#include <string>
#include <string_view>

namespace s3::exporting {

struct export_options {
    std::string_view name = "network"; ///< of the namespace: a C++ identifier
    /// Layers of one group with at most so many shift weights become template constants.
    std::size_t most_constants = 0;
};

namespace detail {

/// Writes the header line by line.
class exporter {
public:
    exporter(const net::model& m, const export_options& o)
        : model_(m), options_(o), plan_(net::plan(m)) {}

    /// The whole header.
    [[nodiscard]] std::string text() {
        for (std::size_t i = 0; i < model_.layers.size(); ++i)
            std::visit([&](const auto& operation) { write(i, operation); },
                       model_.layers[i].operation);
        const std::string name(options_.name);
        return "#pragma once\n"
               "// Written by s3 from a model file: change that instead.\n\n"
               "#include <s3/export/embedded.hpp>\n\n"
               "namespace " +
               name + " {\n\n" + sizes() + "namespace data {\n\n" + data_ +
               "} // namespace data\n\n"
               "/// One image [height][width][channel] of bytes.\n"
               "inline void run(const std::uint8_t* input, output_type* output, arena_type& arena) "
               "noexcept {\n"
               "    std::uint8_t* const memory = arena.bytes;\n" +
               body_ + "}\n\n} // namespace " + name + "\n";
    }

private:
    [[nodiscard]] std::string sizes() const {
        const net::output_kind kind = net::output_of(model_);
        return constant("input_size", model_.input().size()) +
               constant("output_size", model_.output().size()) +
               constant("arena_bytes", plan_.bytes + row_bytes_) +
               "inline constexpr float output_scale = " + real(model_.output_scale) +
               "; ///< of an output's real number\n"
               "using output_type = " +
               (kind == net::output_kind::sums    ? "std::int32_t"
                : kind == net::output_kind::bytes ? "std::uint8_t"
                                                  : "float") +
               ";\n\nstruct arena_type {\n    alignas(4) std::uint8_t bytes[arena_bytes == 0 ? 1 : "
               "arena_bytes];\n};\n\n";
    }

    void write(std::size_t i, const net::convolution& c) {
        const auto& out = model_.values[i + 1];
        const std::string id = std::to_string(i);
        if (!c.raw)
            data_ += array("float", "scale_" + id, c.scale, real);
        if (!c.bias.empty())
            data_ += array("std::int32_t", "bias_" + id, c.bias,
                           [](std::int32_t v) { return std::to_string(v); });
        const std::string finish =
            "{" + (c.raw ? std::string("nullptr") : "data::scale_" + id) + ", " +
            (c.bias.empty() ? std::string("nullptr") : "data::bias_" + id) + ", " +
            std::to_string(c.options.padding_value) + ", " + range(out, c.low, c.high) + "}";
        std::visit([&](const auto& filter) { write(i, c, filter, finish); }, c.filter);
    }
    template <weight_format F>
    void write(std::size_t i, const net::convolution& c, const packed_filter<F>& filter,
               const std::string& finish) {
        const std::string id = std::to_string(i), kind = format_type<F>();
        const auto& f = filter.shape;
        const std::string window =
            list({f.height, f.width, c.options.stride.height, c.options.stride.width,
                  c.options.padding.height, c.options.padding.width, c.options.dilation.height,
                  c.options.dilation.width});
        std::string end = ", " + result(i);
        if (c.residual)
            end += ",\n        " + residual(c.residual->value, c.residual->scale);
        const std::string images = shape(c.input) + ", " + shape(i + 1) + ", " + value(c.input);
        const auto& matrix = filter.matrix;
        if (F::is_shift && c.options.groups == 1 && matrix.size() <= options_.most_constants) {
            data_ += "inline constexpr auto weights_" + id + " = s3::constant<" +
                     std::to_string(matrix.rows()) + ", " + std::to_string(matrix.columns()) +
                     ">({";
            std::vector<int> values;
            for (std::size_t r = 0; r < matrix.rows(); ++r)
                for (std::size_t k = 0; k < matrix.columns(); ++k)
                    values.push_back(matrix.value(r, k));
            data_ += items(values, [](int v) { return std::to_string(v); }) + "});\n\n";
            line(i, "s3::embedded::conv2d<data::weights_" + id + ">(" + finish + ", " + window +
                        ",\n        " + images + end + ");");
        } else {
            data_ += array("std::uint8_t", "weights_" + id, matrix.stream(),
                           [](std::uint8_t v) { return std::to_string(v); });
            const bool wide = F::max_value > 127;
            row_bytes_ = std::max(row_bytes_, (matrix.columns() * (wide ? 4 : 1) + 3) / 4 * 4);
            line(i, "s3::embedded::conv2d<" + kind + ">(data::weights_" + id + ", " + finish +
                        ",\n        " + window + ", " + std::to_string(c.options.groups) + ", " +
                        images + ",\n        reinterpret_cast<s3::embedded::unpacked<" + kind +
                        ">*>(memory + " + std::to_string(plan_.bytes) + ")" + end + ");");
        }
    }
    void write(std::size_t i, const net::pooling& p) {
        const std::string window = list({p.window.height, p.window.width, p.stride.height,
                                         p.stride.width, p.padding.height, p.padding.width});
        const auto& out = model_.values[i + 1];
        const std::string start =
            window + ", " + shape(p.input) + ", " + shape(i + 1) + ", " + value(p.input) + ", ";
        if (p.kind == net::pooling_kind::max)
            line(i, "s3::embedded::max_pool(" + start + result(i) + ");");
        else
            line(i, "s3::embedded::mean_pool(" + start +
                        std::to_string(model_.values[p.input].zero_point) + ", " + real(p.scale) +
                        ",\n        " + range(out, 0, out.top()) + ", " + result(i) + ");");
    }
    void write(std::size_t i, const net::addition& a) {
        const auto& out = model_.values[i + 1];
        line(i, "s3::embedded::add(" + std::to_string(out.size()) + ", " +
                    residual(a.a, a.a_scale) + ", " + residual(a.b, a.b_scale) + ",\n        " +
                    range(out, a.low, a.high) + ", " + result(i) + ");");
    }

    void write(std::size_t i, const net::float_linear& l) {
        const auto& in = model_.values[l.input];
        const std::string id = std::to_string(i);
        data_ += array("float", "weights_" + id, l.weights, real);
        if (!l.bias.empty())
            data_ += array("float", "bias_" + id, l.bias, real);
        line(i, "s3::embedded::float_linear(data::weights_" + id + ", " +
                    (l.bias.empty() ? std::string("nullptr") : "data::bias_" + id) + ", " +
                    std::to_string(in.size()) + ", " + std::to_string(model_.output().channels) +
                    ", " + value(l.input) + ",\n        " + real(in.step) + ", " +
                    std::to_string(in.zero_point) + ", output);");
    }

    void line(std::size_t i, const std::string& call) {
        std::string name;
        for (const char ch : model_.layers[i].name)
            name += ch >= ' ' && ch <= '~' && ch != '\\' && ch != '?' ? ch : '_';
        body_ += "    // " + name + "\n    " + call + "\n";
    }
    [[nodiscard]] std::string value(std::size_t v) const {
        return v == 0 ? std::string("input") : "memory + " + std::to_string(plan_.offset[v]);
    }
    [[nodiscard]] std::string result(std::size_t layer) const {
        return layer + 1 == model_.layers.size() ? std::string("output") : value(layer + 1);
    }
    [[nodiscard]] std::string shape(std::size_t v) const {
        const auto& info = model_.values[v];
        return list({info.height, info.width, info.channels});
    }
    [[nodiscard]] std::string residual(std::size_t v, float scale) const {
        return "{" + value(v) + ", " + real(scale) + ", " +
               std::to_string(model_.values[v].zero_point) + "}";
    }
    [[nodiscard]] static std::string range(const net::value_info& v, int low, int high) {
        return "{" + std::to_string(v.zero_point) + ", " + std::to_string(low) + ", " +
               std::to_string(high) + "}";
    }
    template <weight_format F>
    [[nodiscard]] static std::string format_type() {
        return F::is_shift ? "s3::" + std::string(F::name) : std::string("s3::int8_weights");
    }
    [[nodiscard]] static std::string constant(const char* name, std::size_t number) {
        return "inline constexpr std::size_t " + std::string(name) + " = " +
               std::to_string(number) + ";\n";
    }
    /// Exactly this number.
    [[nodiscard]] static std::string real(float v) {
        char text[40];
        std::snprintf(text, sizeof text, "%af", static_cast<double>(v));
        return text;
    }
    [[nodiscard]] static std::string list(std::initializer_list<std::size_t> numbers) {
        std::string text;
        for (const std::size_t n : numbers)
            text += (text.empty() ? "{" : ", ") + std::to_string(n);
        return text + "}";
    }
    template <class Range, class Text>
    [[nodiscard]] static std::string items(const Range& values, const Text& as_text) {
        std::string all, row;
        for (const auto& v : values) {
            row += as_text(v) + ", ";
            if (row.size() > 90) {
                all += "\n    " + row;
                row.clear();
            }
        }
        return all + "\n    " + row;
    }
    template <class Range, class Text>
    [[nodiscard]] static std::string array(const char* type, const std::string& name,
                                           const Range& values, const Text& as_text) {
        return "inline constexpr " + std::string(type) + " " + name + "[] = {" +
               items(values, as_text) + "};\n\n";
    }

    const net::model& model_;
    const export_options& options_;
    net::memory_plan plan_;
    std::size_t row_bytes_ = 0;
    std::string data_, body_;
};

[[nodiscard]] inline bool is_identifier(std::string_view name) noexcept {
    const auto letter = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    };
    return !name.empty() && letter(name[0]) && std::all_of(name.begin(), name.end(), [&](char c) {
        return letter(c) || (c >= '0' && c <= '9');
    });
}

} // namespace detail

/// The text of the header. Precondition: the model is sound (check.hpp). Errors: a name that is no
/// identifier.
inline result<std::string> cpp_header(const net::model& m, const export_options& options = {}) {
    if (!detail::is_identifier(options.name))
        return error(errc::bad_option, "options.name");
    return detail::exporter(m, options).text();
}

} // namespace s3::exporting

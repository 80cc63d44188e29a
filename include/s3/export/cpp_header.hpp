#pragma once
// A network as one C++ header. Its weights are packed arrays in read-only memory or, for small
// layers, template constants that become straight-line additions. The generated header needs only
// export/embedded.hpp and no heap, file, exception or operating system, and it gives the same
// outputs as net/program.hpp. It says what it takes of flash and RAM.
//
//   namespace NAME { void run(const std::uint8_t* input, output_type* output, arena_type& arena); }
//
// Each layer writes its own call (`emit` in net/layers/) by the functions of `cpp_writer`.

#include <s3/core/bit_cast.hpp>
#include <s3/core/out_of_memory.hpp>
#include <s3/net/check.hpp>
#include <s3/net/plan.hpp>

#include <string>
#include <string_view>
#include <vector>

namespace s3::exporting {

struct export_options {
    std::string_view name = "network"; ///< the name of the namespace, a C++ identifier
    /// Layers without groups and with at most this many shift weights become template constants.
    std::size_t most_constants = 0;
};

/// What an exported network takes, in bytes, besides its code.
struct exported_memory {
    std::size_t weights = 0;         ///< packed, in read-only memory
    std::size_t constants = 0;       ///< scales, biases and tables, in read-only memory
    std::size_t arena = 0;           ///< activations, and a layer's unpacked row of weights
    std::size_t input = 0;           ///< of one image, which the caller keeps
    std::size_t output = 0;          ///< of one image, which the caller keeps
    std::size_t weights_in_code = 0; ///< the number of weights that became template constants
    std::string largest_layer = {};  ///< the layer that needs the most of the arena
};

struct exported_header {
    std::string text;
    exported_memory memory;
};

/// Writes the header layer by layer. Functions return expressions as text, as arguments for `call`.
class cpp_writer {
public:
    cpp_writer(const net::model& m, const export_options& o) : model_(m), options_(o) {}

    /// Writes the whole header, with the plan that takes the least memory.
    [[nodiscard]] exported_header header() {
        net::memory_plan best;
        for (const auto order :
             {net::write_order::any, net::write_order::in_turn, net::write_order::exported}) {
            // Layers say what scratch memory they need while they are written.
            scratch_bytes_.assign(model_.layers.size(), 0);
            plan(order);
            write_layers();
            plan(order);
            if (order == net::write_order::any || plan_.bytes < best.bytes)
                best = std::move(plan_);
        }
        plan_ = std::move(best);
        only_planned_ = false;
        write_layers();
        memory_.arena = plan_.bytes;
        memory_.input = model_.input().bytes();
        memory_.output = model_.output().bytes();
        memory_.largest_layer = model_.layers[plan_.largest_layer].name;
        return {text(), memory_};
    }

    /// The type of a value, and the type of the output of the layer that is being written.
    [[nodiscard]] const net::value_info& operator[](net::value_id v) const {
        return model_.values[v];
    }
    [[nodiscard]] const net::value_info& out() const { return model_.values[index_ + 1]; }

    /// Writes a call of a function in s3::embedded, below a comment with the layer's name.
    void call(const std::string& function, const std::vector<std::string>& arguments) {
        body_ += "    // " + printable(model_.layers[index_].name) + "\n";
        std::string line = "    s3::embedded::" + function + "(";
        for (std::size_t i = 0; i < arguments.size(); ++i) {
            const std::string more = arguments[i] + (i + 1 < arguments.size() ? ", " : ");");
            if (line.size() + more.size() > 100) {
                body_ += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
                line = "        ";
            }
            line += more;
        }
        body_ += line + "\n";
    }

    /// Whether the output of the layer that is being written takes the place of a value.
    [[nodiscard]] bool in_place(net::value_id v) const {
        const bool last = index_ + 1 == model_.layers.size();
        return v != 0 && !last && plan_.offset[v] == plan_.offset[index_ + 1];
    }
    /// Pointers to a value, and to the output of the layer that is being written.
    [[nodiscard]] std::string value(net::value_id v) const {
        return v == 0 ? std::string("input") : "memory + " + std::to_string(plan_.offset[v]);
    }
    [[nodiscard]] std::string result() const {
        if (index_ + 1 == model_.layers.size())
            return "output";
        const std::string place = value(index_ + 1);
        if (out().element == net::element_type::uint8)
            return place;
        return "reinterpret_cast<" + type_of(out().element) + "*>(" + place + ")";
    }
    /// A pointer to memory besides the values, aligned for int32, for one call of a layer.
    [[nodiscard]] std::string scratch(std::size_t bytes) {
        scratch_bytes_[index_] = bytes;
        return "memory + " + std::to_string(plan_.scratch[index_]);
    }

    /// Braced lists: an image_shape, a residual, a byte_range of the output, or sizes.
    [[nodiscard]] std::string shape(net::value_id v) const {
        const auto& info = model_.values[v];
        return list({info.height, info.width, info.channels});
    }
    [[nodiscard]] std::string shape_out() const { return shape(index_ + 1); }
    [[nodiscard]] std::string scaled(net::value_id v, float scale) const {
        return braced({value(v), real(scale), number(model_.values[v].zero_point)});
    }
    [[nodiscard]] std::string range(int low, int high) const {
        return braced({number(out().zero_point), number(low), number(high)});
    }
    [[nodiscard]] static std::string list(std::initializer_list<std::size_t> numbers) {
        std::vector<std::string> items;
        for (const std::size_t n : numbers)
            items.push_back(number(n));
        return braced(items);
    }
    [[nodiscard]] static std::string braced(const std::vector<std::string>& items) {
        std::string all;
        for (const std::string& item : items)
            all.append(all.empty() ? "{" : ", ").append(item);
        return all.append("}");
    }

    template <std::integral T>
    [[nodiscard]] static std::string number(T v) {
        return std::to_string(v);
    }
    /// A hexadecimal literal of exactly this number, which no locale changes.
    [[nodiscard]] static std::string real(float v) {
        const auto bits = bit_cast<std::uint32_t>(v);
        const int exponent = static_cast<int>(bits >> 23 & 255u);
        const std::uint32_t fraction = bits & 0x7fffffu;
        std::string digits;
        for (std::uint32_t m = exponent == 0 ? fraction : fraction | 0x800000u; m != 0; m >>= 4)
            digits.insert(digits.begin(), "0123456789abcdef"[m & 15]);
        return (bits >> 31 != 0 ? "-0x" : "0x") + (digits.empty() ? "0" : digits) + "p" +
               std::to_string(std::max(exponent, 1) - 150) + "f";
    }

    /// Writes a constant array of the layer, and returns its name; a null pointer if it is empty.
    template <class Range>
    std::string array(const char* type, const std::string& name, const Range& values) {
        if (values.empty())
            return "nullptr";
        (name == "weights" ? memory_.weights : memory_.constants) +=
            values.size() * sizeof(*std::data(values));
        const std::string own = name + "_" + std::to_string(index_);
        data_ += "inline constexpr " + std::string(type) + " " + own + "[] = {" + items(values) +
                 "};\n\n";
        return "data::" + own;
    }
    /// Writes a constant matrix [rows][columns] of the layer, and returns its name.
    std::string constant_matrix(const std::string& name, std::size_t rows, std::size_t columns,
                                const std::vector<int>& values) {
        memory_.weights_in_code += values.size();
        const std::string own = name + "_" + std::to_string(index_);
        data_ += "inline constexpr auto " + own + " = s3::constant<" + std::to_string(rows) + ", " +
                 std::to_string(columns) + ">({" + items(values) + "});\n\n";
        return "data::" + own;
    }
    [[nodiscard]] bool as_constants(std::size_t weights) const {
        return weights <= options_.most_constants;
    }

private:
    void plan(net::write_order order) {
        plan_ = net::plan(
            model_,
            {.order = order, .alignment = 4, .places_output = false, .scratch = scratch_bytes_});
    }
    void write_layers() {
        memory_ = {};
        data_.clear();
        body_.clear();
        for (index_ = 0; index_ < model_.layers.size(); ++index_)
            std::visit([&](const auto& l) { l.emit(*this); }, model_.layers[index_].operation);
    }
    [[nodiscard]] std::string text() const {
        const std::string name(options_.name);
        const auto bytes = [](std::size_t n) { return std::to_string(n); };
        return "#pragma once\n"
               "// Written by s3 from a model file: change that instead.\n//\n"
               "//   flash  " +
               bytes(memory_.weights) + " bytes of weights, " + bytes(memory_.constants) +
               " of scales, biases and tables, besides code\n" +
               (memory_.weights_in_code == 0 ? ""
                                             : "//          and " + bytes(memory_.weights_in_code) +
                                                   " weights that are code\n") +
               "//   RAM    " + bytes(memory_.arena) + " bytes, arena_bytes; besides " +
               bytes(memory_.input) + " of input and " + bytes(memory_.output) +
               " of output, and the stack\n"
               "//          the layer that needs the most of it: " +
               printable(memory_.largest_layer) +
               "\n\n"
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
    [[nodiscard]] std::string sizes() const {
        return constant("input_size", model_.input().size()) +
               constant("output_size", model_.output().size()) +
               constant("weight_bytes", memory_.weights) +
               constant("constant_bytes", memory_.constants) +
               constant("arena_bytes", memory_.arena) +
               "inline constexpr float output_scale = " + real(model_.output_scale) +
               "; ///< of an output's real number\n"
               "using output_type = " +
               type_of(model_.output().element) +
               ";\n\nstruct arena_type {\n    alignas(4) std::uint8_t bytes[arena_bytes == 0 ? 1 : "
               "arena_bytes];\n};\n\n";
    }
    [[nodiscard]] static std::string constant(const char* name, std::size_t value) {
        return "inline constexpr std::size_t " + std::string(name) + " = " + std::to_string(value) +
               ";\n";
    }
    [[nodiscard]] static std::string type_of(net::element_type e) {
        return e == net::element_type::uint8   ? "std::uint8_t"
               : e == net::element_type::int32 ? "std::int32_t"
                                               : "float";
    }
    [[nodiscard]] static std::string printable(std::string name) {
        for (char& c : name)
            c = c >= ' ' && c <= '~' && c != '\\' && c != '?' ? c : '_';
        return name;
    }
    template <class Range>
    [[nodiscard]] std::string items(const Range& values) const {
        std::string all, row;
        if (only_planned_)
            return all;
        for (const auto& v : values) {
            if constexpr (std::is_same_v<std::remove_cvref_t<decltype(v)>, float>)
                row += real(v) + ", ";
            else
                row += number(v) + ", ";
            if (row.size() > 90) {
                all += "\n    " + row;
                row.clear();
            }
        }
        return all + "\n    " + row;
    }

    const net::model& model_;
    const export_options& options_;
    net::memory_plan plan_;
    std::size_t index_ = 0;                  ///< the layer that is being written
    std::vector<std::size_t> scratch_bytes_; ///< of each layer
    bool only_planned_ = true;               ///< the text of arrays is left out
    exported_memory memory_;
    std::string data_, body_;
};

namespace detail {

/// Whether a namespace can have this name: it must not be a keyword, `std` or `s3`.
[[nodiscard]] inline bool is_free_identifier(std::string_view name) noexcept {
    static constexpr std::string_view taken[] = {"alignas",
                                                 "alignof",
                                                 "and",
                                                 "and_eq",
                                                 "asm",
                                                 "auto",
                                                 "bitand",
                                                 "bitor",
                                                 "bool",
                                                 "break",
                                                 "case",
                                                 "catch",
                                                 "char",
                                                 "char16_t",
                                                 "char32_t",
                                                 "char8_t",
                                                 "class",
                                                 "co_await",
                                                 "co_return",
                                                 "co_yield",
                                                 "compl",
                                                 "concept",
                                                 "const",
                                                 "const_cast",
                                                 "consteval",
                                                 "constexpr",
                                                 "constinit",
                                                 "continue",
                                                 "decltype",
                                                 "default",
                                                 "delete",
                                                 "do",
                                                 "double",
                                                 "dynamic_cast",
                                                 "else",
                                                 "enum",
                                                 "explicit",
                                                 "export",
                                                 "extern",
                                                 "false",
                                                 "float",
                                                 "for",
                                                 "friend",
                                                 "goto",
                                                 "if",
                                                 "inline",
                                                 "int",
                                                 "long",
                                                 "mutable",
                                                 "namespace",
                                                 "new",
                                                 "noexcept",
                                                 "not",
                                                 "not_eq",
                                                 "nullptr",
                                                 "operator",
                                                 "or",
                                                 "or_eq",
                                                 "private",
                                                 "protected",
                                                 "public",
                                                 "register",
                                                 "reinterpret_cast",
                                                 "requires",
                                                 "return",
                                                 "s3",
                                                 "short",
                                                 "signed",
                                                 "sizeof",
                                                 "static",
                                                 "static_assert",
                                                 "static_cast",
                                                 "std",
                                                 "struct",
                                                 "switch",
                                                 "template",
                                                 "this",
                                                 "thread_local",
                                                 "throw",
                                                 "true",
                                                 "try",
                                                 "typedef",
                                                 "typeid",
                                                 "typename",
                                                 "union",
                                                 "unsigned",
                                                 "using",
                                                 "virtual",
                                                 "void",
                                                 "volatile",
                                                 "wchar_t",
                                                 "while",
                                                 "xor",
                                                 "xor_eq"};
    const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
    // Names with an initial underscore, or two in a row, are reserved for the implementation.
    return !name.empty() && letter(name[0]) && name.find("__") == std::string_view::npos &&
           std::find(std::begin(taken), std::end(taken), name) == std::end(taken) &&
           std::all_of(name.begin(), name.end(),
                       [&](char c) { return letter(c) || c == '_' || (c >= '0' && c <= '9'); });
}

} // namespace detail

/// Writes the header. Errors: those of net/check.hpp; a
/// name that no namespace can have.
inline result<exported_header> write_header(const net::model& m,
                                            const export_options& options = {}) {
    if (!detail::is_free_identifier(options.name))
        return error(errc::bad_option, "options.name");
    if (auto s = net::check(m); !s)
        return s.error();
    return s3::detail::or_out_of_memory(
        [&]() -> result<exported_header> { return cpp_writer(m, options).header(); });
}

/// The text of that header alone.
inline result<std::string> cpp_header(const net::model& m, const export_options& options = {}) {
    auto header = write_header(m, options);
    if (!header)
        return header.error();
    return std::move(header->text);
}

} // namespace s3::exporting

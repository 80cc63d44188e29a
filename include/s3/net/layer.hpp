#pragma once
// What every kind of layer has in common. A layer is a struct in net/layers/ with
//
//   names                  its name in model files; a layer with several names has a `kind`, the
//                          number of its name
//   fields(layer, f)       calls f(name in files, member) for each member; inputs are of type
//                          `value_id`, and weights are named "weight"
//   infer(site)            the shape and kind of its output, or the error in its inputs
//   check(site)            checks whatever else it needs to run
//   run(site, y)           computes its output, for each type of y that it can write
//   reference(site, y)     the same by its definition, as int32, however slowly
//   emit(writer)           writes the call that computes it in an exported header
//                          (export/cpp_header.hpp)
//
// and, where it needs them: element(), the type of its output's elements if that is not uint8;
// complete(values), which sets members that follow from its inputs, after reading a file;
// replaces(site, order), the inputs whose memory its output may take, if each element of them is
// read before it is overwritten; scratch_bytes(out, batch, workers); and a type prepared<Formats,
// Arch> with prepare<Formats, Arch>(site, options), which then runs instead of the layer, and with
// tune<Formats>(site, options, measure), which measures its kernels (net/tune.hpp). net/layers.hpp
// lists the layers.

#include <s3/exec/executor_ref.hpp>
#include <s3/net/value.hpp>
#include <s3/ops/prepare.hpp>

#include <algorithm>
#include <array>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace s3::net {

/// An input that becomes a part of a layer's output as round((q − zero_point of the value)·scale).
struct scaled_input {
    value_id value = {};
    float scale = 1;
};

/// What is known when a network is prepared.
struct program_options {
    std::size_t batch = 1; ///< images per run that kernels are chosen for; any batch runs
    /// family::shift_add makes convolutions avoid multiplications where their format has such
    /// kernels.
    family kernels = family::automatic;
    /// The name of a kernel for each layer, as net::tune measured them. An empty name, or an empty
    /// list, leaves the choice to the estimate.
    std::span<const std::string> layer_kernels = {};
};

/// The order in which a layer writes its output, which decides whether it may write over an input.
enum class write_order : unsigned char {
    any,      ///< several workers at once, each in its part
    in_turn,  ///< one worker, which begins at the first element, or at the last
    exported, ///< as export/embedded.hpp does: in turn, and a depthwise convolution by channels
};

/// The place of a layer in a network: the types of all values, and the layer's number.
struct layer_site {
    std::span<const value_info> values;
    std::size_t index = 0; ///< the number of the layer

    [[nodiscard]] const value_info& operator[](value_id v) const noexcept { return values[v]; }
    [[nodiscard]] const value_info& out() const noexcept { return values[index + 1]; }
};

/// The place of a layer in a run of the reference, which has computed all earlier values. Their
/// elements are widened to int32.
struct reference_site : layer_site {
    std::size_t batch;
    std::span<const std::vector<std::int32_t>> computed;

    /// Element i of a value, minus the value's zero point.
    [[nodiscard]] std::int32_t centered(value_id v, std::size_t i) const {
        return computed[v][i] - values[v].zero_point;
    }
    [[nodiscard]] image_view<const std::int32_t> image(value_id v) const {
        const value_info& i = values[v];
        return {computed[v], batch, i.height, i.width, i.channels};
    }
    [[nodiscard]] image_view<std::int32_t> output(std::vector<std::int32_t>& y) const {
        return {y, batch, out().height, out().width, out().channels};
    }
};

/// The place of a layer in one run of a program: earlier values lie in memory.
template <architecture Arch>
struct run_site : layer_site {
    using arch = Arch;

    std::size_t batch;
    const std::uint8_t* input;           ///< the input of the network
    std::span<const std::size_t> offset; ///< bytes per image from `base` to each value
    std::byte* base;
    std::span<std::byte> scratch;
    executor_ref ex;

    [[nodiscard]] std::byte* place(value_id v) const noexcept { return base + batch * offset[v]; }
    [[nodiscard]] std::span<const std::uint8_t> bytes(value_id v) const noexcept {
        return {v == 0 ? input : reinterpret_cast<const std::uint8_t*>(place(v)),
                batch * values[v].size()};
    }
    [[nodiscard]] image_view<const std::uint8_t> image(value_id v) const noexcept {
        const value_info& i = values[v];
        return {bytes(v), batch, i.height, i.width, i.channels};
    }
    /// Divides `units` of work among the executor's workers and calls f(begin, end) for each piece.
    template <class Function>
    void in_pieces(std::size_t units, Function&& f) const {
        const std::size_t workers = ex.concurrency();
        const std::size_t tasks = std::min(units, workers == 1 ? 1 : 4 * workers);
        ex.run(tasks, [&](std::size_t t, std::size_t) {
            f(s3::detail::piece_begin(units, tasks, t),
              s3::detail::piece_begin(units, tasks, t + 1));
        });
    }
};

/// The name of a layer in model files.
template <class L>
[[nodiscard]] const char* name_of(const L& l) noexcept {
    if constexpr (requires { l.kind; })
        return L::names[static_cast<std::size_t>(l.kind)];
    else
        return L::names[0];
}

namespace detail {

/// Visits the fields of a layer and calls f(name, value) for the inputs among them.
template <class Function>
struct input_visitor {
    Function& f;

    void operator()(const char* name, value_id v) { f(name, v); }
    void operator()(const char*, const std::optional<scaled_input>& r) {
        if (r)
            f("residual.value", r->value);
    }
    void operator()(const char* name, const std::vector<scaled_input>& inputs) {
        for (const scaled_input& from : inputs)
            f(name, from.value);
    }
    template <class T>
    void operator()(const char*, const T&) {}
};

} // namespace detail

/// The type of the elements that a layer computes: bytes, unless the layer says otherwise.
template <class L>
[[nodiscard]] element_type element_of(const L& l) noexcept {
    if constexpr (requires { l.element(); })
        return l.element();
    else
        return element_type::uint8;
}

/// Calls f(field, value) for each input of a layer.
template <class L, class Function>
void each_input(const L& l, Function&& f) {
    L::fields(l, detail::input_visitor<Function>{f});
}

namespace detail {

/// Checks that all inputs are earlier values of bytes, the only ones that layers read so far.
template <class L>
status check_inputs(const layer_site& s, const L& l) {
    status found;
    each_input(l, [&](const char* name, value_id v) {
        if (!found)
            return;
        if (v > s.index)
            found = error(errc::bad_option, name).got(v.number).limit(s.index);
        else if (s[v].element != element_type::uint8)
            found = error(errc::unsupported, name);
    });
    return found;
}

/// A value of the same kind as `like`, but of another size.
[[nodiscard]] inline value_info resized(const value_info& like, const extent& size,
                                        std::size_t channels) {
    value_info v;
    v.height = size.height;
    v.width = size.width;
    v.channels = channels;
    v.kind = like.kind;
    return v;
}

} // namespace detail
} // namespace s3::net

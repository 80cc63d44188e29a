#pragma once
// A function of single activations, given as its output for every input byte:
//
//   y = table[q], with an entry for each q that the input's bits allow
//
// It can be any function, since scales and zero points are in the entries: sigmoid, tanh,
// hard-swish, a ReLU that no convolution takes, or a change of scale.

#include <s3/net/layer.hpp>

namespace s3::net {

struct table {
    value_id input = {};
    std::vector<std::uint8_t> entries = {}; ///< 2^bits of the input, each within the output's bits

    static constexpr std::array names{"table"};

    template <class Self, class Function>
    static void fields(Self& l, Function&& f) {
        f("input", l.input);
        f("table", l.entries);
    }

    result<value_info> infer(const layer_site& s) const { return s[input]; }
    status check(const layer_site& s) const {
        const auto needed = static_cast<std::size_t>(s[input].top()) + 1;
        if (entries.size() != needed)
            return error(errc::shape_mismatch, "table").got(entries.size()).needs(needed);
        for (const std::uint8_t q : entries)
            if (q > s.out().top())
                return error(errc::bad_option, "table").got(q).limit(s.out().top());
        return {};
    }

    /// Each element of the input is read just before the same element of y is written.
    [[nodiscard]] std::vector<value_id> replaces(const layer_site&, write_order) const {
        return {input};
    }

    template <architecture Arch>
    status run(const run_site<Arch>& s, std::uint8_t* y) const {
        const auto x = s.bytes(input);
        s.in_pieces(x.size(), [&](std::size_t begin, std::size_t end) {
            for (std::size_t i = begin; i < end; ++i)
                y[i] = entries[x[i]];
        });
        return {};
    }

    void reference(const reference_site& s, std::vector<std::int32_t>& y) const {
        for (std::size_t i = 0; i < y.size(); ++i)
            y[i] = entries[static_cast<std::size_t>(s.computed[input][i])];
    }

    template <class Writer>
    void emit(Writer& w) const {
        w.call("look_up", {w.number(w.out().size()), w.array("std::uint8_t", "table", entries),
                           w.value(input), w.result()});
    }
};

} // namespace s3::net

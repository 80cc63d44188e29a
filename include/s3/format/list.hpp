#pragma once
// The list of formats. Import, model files, export and tests run over it, so a format that is
// listed here can be used everywhere. A program that needs only a few formats may name a list of
// its own.
//
//   all_formats::each([]<weight_format F>() { … })             calls it for each format, in order
//   all_formats::visit("shift3", []<weight_format F>() { … })  calls it for the one of that name

#include <s3/format/integer.hpp>
#include <s3/format/shift.hpp>

#include <cstddef>
#include <string_view>
#include <type_traits>

namespace s3 {

template <weight_format... F>
struct format_list {
    static constexpr std::size_t size = sizeof...(F);
    template <class G>
    static constexpr bool has = (std::is_same_v<F, G> || ...);
    /// `List<Of<F>...>`: for example a variant, or the list of some other template.
    template <template <class...> class List, template <class> class Of = std::type_identity_t>
    using as = List<Of<F>...>;

    /// Calls `f.operator()<F>()` for each format.
    template <class Function>
    static constexpr void each(Function&& f) {
        (f.template operator()<F>(), ...);
    }
    /// Calls `f.operator()<F>()` for the format of this name; false if there is none.
    template <class Function>
    static constexpr bool visit(std::string_view name, Function&& f) {
        return ((name == F::name && (f.template operator()<F>(), true)) || ...);
    }
};

using all_formats =
    format_list<shift2, shift3, shift4, shift5, dense2, dense3, dense4, dense5, int8_weights>;

} // namespace s3

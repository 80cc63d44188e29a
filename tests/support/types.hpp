#pragma once
// The types that tests run over: formats, activations, architectures of this build.

#include <s3/format/list.hpp>

#include <cstdint>

namespace s3::test {

template <class... T>
struct type_list {
    /// Calls f.operator()<T>() for each T.
    template <class Function>
    static constexpr void each(Function&& f) {
        (f.template operator()<T>(), ...);
    }
};

using zero_formats = type_list<shift2, shift3, shift4, shift5>;
using dense_formats = type_list<dense2, dense3, dense4, dense5>;
using shift_formats = type_list<shift2, shift3, shift4, shift5, dense2, dense3, dense4, dense5>;
using s3::all_formats;
/// What does not depend on kernels is tested with all formats; in brief, with those that differ
/// most.
#if defined(S3_TEST_BRIEF)
using tested_formats = format_list<shift3, shift5, dense3, int8_weights>;
#else
using tested_formats = all_formats;
#endif
using integer_activations = type_list<std::int8_t, std::uint8_t>;

} // namespace s3::test

#pragma once
// Packed weights whose format is known only at run time: a pointer to a matrix or filter of any
// format in format/list.hpp.

#include <s3/format/list.hpp>
#include <s3/pack/pack.hpp>

#include <variant>

namespace s3::runtime::detail {

template <class F>
using matrix_pointer = const packed_matrix<F>*;
template <class F>
using filter_pointer = const packed_filter<F>*;

using any_matrix = all_formats::as<std::variant, matrix_pointer>;
using any_filter = all_formats::as<std::variant, filter_pointer>;

} // namespace s3::runtime::detail

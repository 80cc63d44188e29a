#pragma once
// What the objects of the compiled library define for each other: a specialization for each
// instruction set (`isa`), and for each weight format and activation type that the library is built
// for.

#include <s3/runtime/conv2d.hpp>
#include <s3/runtime/linear.hpp>
#include <s3/runtime/linear_layer.hpp>
#include <s3/runtime/program.hpp>

namespace s3::runtime::detail {

template <class T>
using made = result<std::unique_ptr<const T>>;

template <isa, activation X, weight_format F>
made<linear_kernel> make_linear(const packed_matrix<F>&, const prepare_options&);

template <isa, activation X, weight_format F>
made<conv2d_kernel> make_conv2d(const packed_filter<F>&, const conv_options&,
                                const prepare_options&);

template <isa>
result<std::unique_ptr<linear_layer_kernel>> make_linear_layer(any_matrix,
                                                               const linear_layer_options&);

template <isa>
made<program_kernels> make_program(const net::model&, const program_options&);

template <isa>
result<std::vector<std::string>> tune_program(const net::model&, const program_options&,
                                              double seconds, const layer_observer& after);

} // namespace s3::runtime::detail

#pragma once
// All kernels. To add one, write a file that declares it (see kernel/seams.hpp), and add an include
// and a line here. Of kernels with equal ranks, the first in the list is taken.

#include <s3/kernel/dot_bytes_depthwise.hpp>
#include <s3/kernel/dot_bytes_direct.hpp>
#include <s3/kernel/dot_bytes_direct_tiles.hpp>
#include <s3/kernel/dot_bytes_group_tiles.hpp>
#include <s3/kernel/dot_bytes_groups.hpp>
#include <s3/kernel/dot_bytes_panels.hpp>
#include <s3/kernel/dot_bytes_tiles.hpp>
#include <s3/kernel/dot_bytes_winograd.hpp>
#include <s3/kernel/dot_words_depthwise.hpp>
#include <s3/kernel/dot_words_groups.hpp>
#include <s3/kernel/dot_words_panels.hpp>
#include <s3/kernel/parts/kernel_list.hpp>
#include <s3/kernel/shift_add_bytes_shuffle.hpp>
#include <s3/kernel/shift_add_bytes_table.hpp>
#include <s3/kernel/shift_add_groups.hpp>
#include <s3/kernel/shift_add_int16_permute.hpp>
#include <s3/kernel/shift_add_table.hpp>
#include <s3/kernel/shift_add_words_depthwise.hpp>
#include <s3/kernel/shift_add_words_panels.hpp>

namespace s3::kernel {

/// Lists whose members must be declared as kernel/seams.hpp says.
template <product_kernel... Kernels>
using product_list = kernel_list<Kernels...>;
template <direct_kernel... Kernels>
using direct_list = kernel_list<Kernels...>;

/// Matrix products; convolutions use them behind a gather.
template <weight_format F, activation X, architecture Arch>
using products = product_list<           //
    dot_bytes_tiles<F, X, Arch>,         //
    dot_bytes_panels<F, X, Arch>,        //
    dot_words_panels<F, X, Arch>,        //
    shift_add_bytes_table<F, X, Arch>,   //
    shift_add_int16_permute<F, X, Arch>, //
    shift_add_table<F, X, Arch>,         //
    shift_add_bytes_shuffle<F, X, Arch>, //
    shift_add_words_panels<F, X, Arch>>;

/// Matrix products with scales for groups of weights, on activations that are rounded to int8.
template <weight_format F, architecture Arch>
using group_products = product_list<         //
    dot_bytes_group_tiles<F, Arch>,          //
    dot_bytes_groups<F, Arch>,               //
    dot_words_groups<F, Arch>,               //
    shift_add_int16_permute_groups<F, Arch>, //
    shift_add_table_groups<F, Arch>,         //
    shift_add_bytes_shuffle_groups<F, Arch>, //
    shift_add_words_groups<F, Arch>>;

/// Convolutions of NHWC images without a gather.
template <weight_format F, activation X, architecture Arch>
using direct_convolutions = direct_list<   //
    dot_bytes_depthwise<F, X, Arch>,       //
    dot_words_depthwise<F, X, Arch>,       //
    shift_add_words_depthwise<F, X, Arch>, //
    dot_bytes_winograd<F, X, Arch>,        //
    dot_bytes_direct_tiles<F, X, Arch>,    //
    dot_bytes_direct_half<F, X, Arch>,     //
    dot_bytes_direct<F, X, Arch>>;

} // namespace s3::kernel

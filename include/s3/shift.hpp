#pragma once
// s3: low-bit shift networks. This header includes everything but the opt-in headers of io/ and
// interop/, in the order in which they are best read.

// clang-format off
#include <s3/version.hpp>
#include <s3/config.hpp>

#include <s3/core/error.hpp>
#include <s3/core/view.hpp>
#include <s3/core/conv.hpp>
#include <s3/core/buffer.hpp>
#include <s3/core/constant_matrix.hpp>

#include <s3/format/activation.hpp>
#include <s3/format/triple.hpp>
#include <s3/format/weight_format.hpp>
#include <s3/format/identity.hpp>
#include <s3/format/shift.hpp>
#include <s3/format/integer.hpp>
#include <s3/format/codebook.hpp>
#include <s3/format/list.hpp>
#include <s3/format/bounds.hpp>

#include <s3/pack/layout.hpp>
#include <s3/pack/pack.hpp>
#include <s3/pack/quantize.hpp>
#include <s3/pack/record.hpp>

#include <s3/simd/arch.hpp>
#include <s3/simd/isa.hpp>
#include <s3/kernel/reference.hpp>

#include <s3/exec/executor.hpp>
#include <s3/ops/epilogue.hpp>
#include <s3/ops/prepare_options.hpp>
#include <s3/ops/prepare.hpp>
#include <s3/ops/matmul.hpp>
#include <s3/ops/conv2d.hpp>
#include <s3/ops/linear.hpp>
#include <s3/ops/tune.hpp>
#include <s3/ops/constant.hpp>

#include <s3/net/model.hpp>
#include <s3/net/check.hpp>
#include <s3/net/plan.hpp>
#include <s3/net/program.hpp>
#include <s3/net/tune.hpp>

#include <s3/train/reparam.hpp>
#include <s3/train/absmean.hpp>
#include <s3/train/regularize.hpp>
#include <s3/train/optimizer.hpp>
#include <s3/train/init.hpp>
#include <s3/train/dynamics.hpp>
// clang-format on

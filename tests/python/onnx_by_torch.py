"""Evaluates the ONNX operators that s3 writes, and those that the tests use, by PyTorch: what they
compute by their specification, in float32 as runtimes do.
"""

import math

import onnx
import torch
from torch.nn import functional as F

INTEGERS = {onnx.TensorProto.UINT8: torch.uint8, onnx.TensorProto.INT8: torch.int8,
            onnx.TensorProto.INT32: torch.int32, onnx.TensorProto.FLOAT: torch.float32}


def _per_axis(numbers, x, axis):
    return numbers.reshape([-1 if i == axis else 1 for i in range(x.ndim)]) if numbers.numel() > 1 \
        else numbers.reshape(())


def _quantize(x, scale, zero=None, axis=1):
    zero = torch.zeros((), dtype=torch.uint8) if zero is None else zero
    limits = torch.iinfo(zero.dtype)
    q = torch.round(x / _per_axis(scale, x, axis)) + _per_axis(zero, x, axis)
    return q.clamp(limits.min, limits.max).to(zero.dtype)


def _dequantize(x, scale, zero=None, axis=1):
    q = x.to(torch.int32) - (0 if zero is None else _per_axis(zero, x, axis).to(torch.int32))
    return q.float() * _per_axis(scale, x, axis)


def _quant(x, scale, zero, bits, signed, narrow, rounding_mode):
    """QONNX's Quant."""
    assert rounding_mode == "ROUND" and not narrow
    low, high = (-2 ** (bits - 1), 2 ** (bits - 1) - 1) if signed else (0, 2 ** bits - 1)
    return (torch.round(x / scale + zero).clamp(low, high) - zero) * scale


def _padded(x, pads, kernel, strides, auto_pad, value=0.0):
    if auto_pad.startswith("SAME"):
        total = [max((math.ceil(n / s) - 1) * s + k - n, 0)
                 for n, s, k in zip(x.shape[2:], strides, kernel)]
        first = [t // 2 if auto_pad == "SAME_UPPER" else t - t // 2 for t in total]
        pads = first + [t - f for t, f in zip(total, first)]
    rank = len(kernel)
    both = [p for i in reversed(range(rank)) for p in (pads[i], pads[rank + i])]
    return F.pad(x, both, value=value)


def _window(x, kernel_shape, strides=None, pads=None, dilations=None, auto_pad="NOTSET", value=0.0):
    """(padded x, kernel, strides)."""
    rank = len(kernel_shape)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    reach = [d * (k - 1) + 1 for k, d in zip(kernel_shape, dilations)]
    return _padded(x, pads or [0] * 2 * rank, reach, strides, auto_pad, value), strides, dilations


def _conv(x, w, b=None, group=1, **o):
    x, strides, dilations = _window(x, **{"kernel_shape": w.shape[2:], **o})
    return (F.conv1d if w.ndim == 3 else F.conv2d)(x, w, b, strides, 0, dilations, group)


def _max_pool(x, kernel_shape, **o):
    x, strides, _ = _window(x, kernel_shape, value=-math.inf, **o)
    return (F.max_pool1d if len(kernel_shape) == 1 else F.max_pool2d)(x, kernel_shape, strides)


def _average_pool(x, kernel_shape, count_include_pad=0, **o):
    x, strides, _ = _window(x, kernel_shape, **o)
    assert count_include_pad or not any(o.get("pads", []))
    return (F.avg_pool1d if len(kernel_shape) == 1 else F.avg_pool2d)(x, kernel_shape, strides)


def _gemm(a, b, c=0, alpha=1.0, beta=1.0, transA=0, transB=0):
    return alpha * (a @ (b.T if transB else b)) + beta * c


def _clip(x, low=None, high=None, min=-math.inf, max=math.inf):
    return x.clamp(min if low is None else float(low), max if high is None else float(high))


def _mean(x, axes=None, keepdims=1, **o):
    return x.mean([*map(int, o.get("axes", axes))], bool(keepdims))


OPERATORS = {
    "QuantizeLinear": _quantize, "DequantizeLinear": _dequantize, "Quant": _quant, "Conv": _conv,
    "MaxPool": _max_pool, "AveragePool": _average_pool, "Gemm": _gemm, "Clip": _clip,
    "GlobalAveragePool": lambda x: x.mean([*range(2, x.ndim)], True),
    "ReduceMean": _mean, "MatMul": torch.matmul, "Add": torch.add, "Sub": torch.sub,
    "Mul": torch.mul, "Div": torch.div, "Round": torch.round, "Relu": torch.relu,
    "Sigmoid": torch.sigmoid, "Tanh": torch.tanh, "Identity": lambda x: x,
    "LeakyRelu": lambda x, alpha=0.01: F.leaky_relu(x, alpha),
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: (alpha * x + beta).clamp(0, 1),
    "HardSwish": F.hardswish,
    "BatchNormalization": lambda x, g, b, m, v, epsilon=1e-5: F.batch_norm(x, m, v, g, b, eps=epsilon),
    "Concat": lambda *x, axis: torch.cat(x, axis),
    "Flatten": lambda x, axis=1: x.flatten(axis),
    "Reshape": lambda x, to: x.reshape(len(x), *map(int, to[1:])),
    "Transpose": lambda x, perm: x.permute(perm),
    "Squeeze": lambda x, axes: x.flatten(-1 - len(axes)),  # for axes at the end
    "Dropout": lambda x, ratio=0.5: x,
    "Pad": lambda x, pads, mode="constant": _padded(
        x, [*map(int, pads[2:x.ndim]), *map(int, pads[x.ndim + 2:])], [1] * (x.ndim - 2), [],
        "NOTSET"),
    "Upsample": lambda x, scales: F.interpolate(x, scale_factor=scales[2:]),
    "Resize": lambda x, _, s, **o: F.interpolate(x, scale_factor=s[2:].tolist(), mode="nearest"),
    "Gather": lambda table, i: table[i.long()],
    "Cast": lambda x, to: x.to(INTEGERS[to]),
}


def evaluate(model, x):
    """The first output of a graph, as an array, for an array x."""
    graph = model.graph
    known = {t.name: torch.from_numpy(onnx.numpy_helper.to_array(t).copy()) for t in graph.initializer}
    known[graph.input[0].name] = torch.from_numpy(x.copy())
    for node in graph.node:
        options = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
        options = {k: v.decode() if isinstance(v, bytes) else v for k, v in options.items()}
        known[node.output[0]] = OPERATORS[node.op_type](
            *(known[name] if name else None for name in node.input), **options)
    return known[graph.output[0].name].numpy()

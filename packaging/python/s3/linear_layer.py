"""Linear layers of floats: packed weights, activations that are rounded as they come."""

import math

import numpy

from . import _runtime
from ._runtime import Error
from .network import _array

FORMATS = {2: "shift2", 3: "shift3", 4: "shift4", 5: "shift5", 8: "int8"}


class Linear:
    """y = x @ W.T + bias with packed weights W [M, K], from s3.linear.

    Each activation vector is rounded to int8 by its largest magnitude (or each of its groups, with
    `grouped_activations`), sums inside a group of weights are exact integers, and scales are applied
    in float32 in a fixed order: the same bits on every machine, for any batch and any threads.
    """

    def __init__(self, format, record, bias, options):
        self.format, self.record, self._options = format, record, options
        self._layer = _runtime.LinearLayer(format, record, *options)
        self.out_features, self.in_features = self._layer.rows, self._layer.columns
        self.group = self._layer.group  # 0 for a scale per row
        self.bias = numpy.zeros(0, numpy.float32)
        if bias is not None:
            bias = _floats(bias, "bias")
            if bias.shape != (self.out_features,):
                raise Error(f"bias: shape does not fit (got {[*bias.shape]}, needs [{self.out_features}])")
            if not numpy.isfinite(bias).all():
                raise Error("bias: its numbers must be finite")
            self.bias = bias.copy()

    def __call__(self, x):
        """y [..., M] in float32 of x [..., K], floats: a NumPy array, or a torch.Tensor in the CPU's
        memory, and the result is of the same kind. Other Python threads go on meanwhile.

        Raises s3.Error for another shape, type or device, and for x that is not finite.
        """
        rows = _floats(x, "x")
        if rows.ndim == 0 or rows.shape[-1] != self.in_features:
            raise Error(f"x: shape does not fit (got {[*rows.shape]}, needs [..., {self.in_features}])")
        shape = (*rows.shape[:-1], self.out_features)
        flat = rows.reshape(math.prod(rows.shape[:-1]), self.in_features)
        y = self._layer.run(flat, self.bias).reshape(shape)
        if isinstance(x, numpy.ndarray) or not hasattr(x, "new_tensor"):
            return y
        import torch
        return torch.from_numpy(y)

    @property
    def values(self):
        """The integers of the weights, int32 [M, K]."""
        return _runtime.unpack(self.format, self.record)[0]

    @property
    def scale(self):
        """Their scales, float32 [M, groups]."""
        return _runtime.unpack(self.format, self.record)[1]

    @property
    def weight(self):
        """The real weights that they stand for, float32 [M, K]."""
        values, scale = _runtime.unpack(self.format, self.record)
        return values * scale.repeat(self.group or self.in_features, axis=1)

    @property
    def bits_per_weight(self):
        """The bits of a stored weight, scales included."""
        header = 64
        return 8 * (len(self.record) - header) / max(self.out_features * self.in_features, 1)

    @property
    def nbytes(self):
        """The bytes of the prepared weights and scales, which a call reads."""
        return self._layer.bytes

    @property
    def kernel(self):
        """The name of the kernel."""
        return self._layer.kernel

    @property
    def instruction_set(self):
        """The instruction set of the kernel."""
        return self._layer.instruction_set

    def __reduce__(self):
        return Linear, (self.format, self.record, self.bias if self.bias.size else None, self._options)

    def __repr__(self):
        return (f"<s3.Linear: {self.in_features} -> {self.out_features}, {self.format}, "
                f"{f'groups of {self.group}' if self.group else 'a scale per row'}, {self.nbytes:,} bytes>")


def linear(weight, bits=3, group=128, *, format=None, bias=None, scales="real", stored="float16",
           batch=1, threads=1, grouped_activations=False, instruction_set=""):
    """A layer s3.Linear of float weights [M, K], a NumPy array or torch.Tensor, rounded to `bits`.

        layer = s3.linear(weight, bits=3, group=128)
        y = layer(x)                                  # float32 [N, K] -> [N, M]

    `bits` are 2, 3, 4, 5 (shift2 ... shift5) or 8 (int8); `format` names one instead, e.g. "dense3".
    `group` consecutive weights of a row share a scale: 32, 64, 128 or 256, a divisor of K; None is one
    scale per row. `scales` are "real", of least squared error, or "powers of two"; those of groups are
    `stored` as "float16" or "bfloat16". `batch` is how many vectors are computed together. With
    `grouped_activations` each group of activations has a scale, too.

    Raises s3.Error that names the argument.
    """
    if format is None:
        if bits not in FORMATS:
            raise Error(f"bits: must be one of {', '.join(map(str, FORMATS))}, not {bits!r}")
        format = FORMATS[bits]
    if scales not in ("real", "powers of two"):
        raise Error(f"scales: must be 'real' or 'powers of two', not {scales!r}")
    if stored not in ("float16", "bfloat16"):
        raise Error(f"stored: must be 'float16' or 'bfloat16', not {stored!r}")
    whole = {"group": 0 if group is None else group, "batch": batch, "threads": threads}
    for name, number in whole.items():
        if not isinstance(number, (int, numpy.integer)) or not 0 <= number < 2**31:
            raise Error(f"{name}: a whole number is needed, not {number!r}")
    if group is not None and not group:
        raise Error("group: must be 32, 64, 128 or 256, or None for a scale per row")
    if grouped_activations and group is None:
        raise Error("grouped_activations: the weights have no groups")
    weight = _floats(weight, "weight")
    if weight.ndim != 2:
        raise Error(f"weight: shape {[*weight.shape]} is not [M, K]")
    record = _runtime.quantize(format, weight, whole["group"], scales == "powers of two",
                               stored == "bfloat16")
    return Linear(format, record, bias, (batch, threads, bool(grouped_activations), instruction_set))


def _floats(x, name):
    """A float32 array of x, without a copy where x is one without gaps."""
    if hasattr(x, "detach"):
        x = x.detach()
        if str(x.dtype) == "torch.bfloat16":
            x = x.float()
    array = _array(x, name)
    if not numpy.issubdtype(array.dtype, numpy.floating):
        raise Error(f"{name}: an array of floats is needed, not of {array.dtype}")
    return numpy.ascontiguousarray(array, numpy.float32) if array.ndim else array.astype(numpy.float32)

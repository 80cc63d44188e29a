"""The operators of real numbers, as lines of a description.

Each method visit_OPERATOR takes a node and its inputs, in the order of the ONNX specification, and
returns the node's value. It takes the attributes that it knows from the node, and raises Unsupported
for what cannot be expressed.
"""

import math

import numpy

from ..description import need
from .graph import Constant, axes_of, package, reshaped, squeezed, unsqueezed

LARGEST = 3e38  # for limits that are open


class Value:
    """An activation by its name in the description. `image` is its shape, by "C", "H" and "W";
    `axes` has for each axis of the ONNX tensor the letters that it consists of: "CHW" is an image
    that was flattened, "" a dimension of 1. `integers` is the type of a tensor of bytes, "uint8" or
    "int8", and "" for real numbers."""

    def __init__(self, name, image, axes, integers=""):
        self.name, self.image, self.axes, self.integers = name, image, list(axes), integers

    def like(self, name, **changed):
        return Value(name, **{**dict(image=self.image, axes=self.axes), **changed})

    def core(self, axis):
        """The letters of an axis whose sizes are not 1."""
        return "".join(c for c in self.axes[axis] if self.size(c) > 1)

    def size(self, letter):
        return self.image.get(letter, 1)

    @property
    def shape(self):
        return [math.prod(self.size(c) for c in axis) for axis in self.axes]


class Layers:
    """What needs a description, values by tensor, and quantizers: reader.py has them."""

    # Layers with weights

    def weights(self, node, weights, rows, change):
        """{field: tensor} of a layer's weights: integers with their scales, or real numbers.
        `change` brings an array to the order [out, in, ...]; `rows` is the axis of outputs."""
        need(isinstance(weights, Constant), "its weights must be constants")
        if weights.integers is None:
            return {"weight": change(weights.array.astype("f4"))}
        need(weights.axis in (None, rows), f"its weights have a scale per index of axis "
                                           f"{weights.axis}: one for all, or one per output")
        low, high = weights.integers.min(), weights.integers.max()
        need(low >= -128 and high <= 127, f"its weights, less their zero point, go from {low} to "
                                          f"{high}: they must fit int8")
        self.quantized_weights = True
        return {"weight": change(weights.integers.astype("i1")),
                "scale": weights.scale.astype("f4")}

    def keep(self, name, **tensors):
        for field, array in tensors.items():
            self.description.tensors[f"{name}.{field}"] = array

    @staticmethod
    def bias(bias, outputs):
        """{"bias": one number per output} of a constant, if there is one."""
        if bias is None:
            return {}
        need(isinstance(bias, Constant) and bias.array.size in (1, outputs),
             f"its bias is not {outputs} constants")
        need(bias.array.size == 1 or bias.array.shape[-1] == outputs,
             f"its bias has the shape {[*bias.array.shape]}, a number per input of the batch")
        return {"bias": numpy.broadcast_to(bias.array.astype("f4").reshape(-1), outputs)}

    @staticmethod
    def need_image(x, letters):
        need(all(x.core(i) == (c if x.size(c) > 1 else "") for i, c in enumerate(letters)),
             f"its input has the axes {x.axes}: {[*letters]} are needed")

    def window(self, node, x, kernel, dilation=(1, 1)):
        """(stride, padding before, padding after, size of the output) of a window, as pairs."""
        rank = len(x.axes) - 2
        need(rank in (1, 2), f"its input has {rank} dimensions besides batch and channels")
        self.need_image(x, "NCW" if rank == 1 else "NCHW")
        stride = self.pair(node.take("strides", [1] * rank))
        pads, mode = node.take("pads", [0] * 2 * rank), node.take("auto_pad", "NOTSET")
        before, after = self.pair(pads[:rank], 0), self.pair(pads[rank:], 0)
        need(min(before + after) >= 0, f"pads={pads}")
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation)]
        sizes = [x.size("H"), x.size("W")]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = [max((-(-n // s) - 1) * s + r - n, 0) for n, s, r in zip(sizes, stride, reach)]
            small, large = (t // 2 for t in total), [t - t // 2 for t in total]
            before, after = [*small], large
            if mode == "SAME_LOWER":
                before, after = after, before
        else:
            need(mode in ("NOTSET", "VALID"), f"auto_pad={mode}")
        size = [(n + a + b - r) // s + 1
                for n, a, b, r, s in zip(sizes, before, after, reach, stride)]
        need(min(size) >= 1, f"its window is larger than its input, {sizes}")
        if node.take("ceil_mode", 0):
            need(all((n + a + b - r) % s == 0 for n, a, b, r, s in
                     zip(sizes, before, after, reach, stride)), "ceil_mode=1")
        return stride, before, after, size

    def pair(self, numbers, otherwise=1):
        return [otherwise] * (2 - len(numbers)) + [int(n) for n in numbers]

    def padded(self, x, name, before, after):
        """x, and the padding that is left to the layer: what differs is padded beforehand."""
        if before == after:
            return x, before
        image = {**x.image, "H": x.size("H") + before[0] + after[0],
                 "W": x.size("W") + before[1] + after[1]}
        return self.add("pad", x, name + ".pad", image=image, before=before, after=after), [0, 0]

    def visit_Conv(self, node, x, weights, bias=None):
        need(isinstance(x, Value) and isinstance(weights, Constant), "its weights must be constant")
        w, rank, groups = weights.array, len(x.axes) - 2, node.take("group", 1)
        need(w.ndim == rank + 2, f"its weights have the shape {[*w.shape]}")
        need(node.take("kernel_shape", [*w.shape[2:]]) == [*w.shape[2:]], "kernel_shape")
        need(w.shape[1] * groups == x.size("C"),
             f"its input has {x.size('C')} channels, not {w.shape[1] * groups}")
        kernel, dilation = self.pair(w.shape[2:]), self.pair(node.take("dilations", [1] * rank))
        stride, before, after, size = self.window(node, x, kernel, dilation)
        name = self.name(node, 1)
        x, padding = self.padded(x, name, before, after)
        image = {**x.image, "C": w.shape[0]}
        image.update((c, n) for c, n in zip("HW", size) if c in image)
        y = self.add("conv", x, name, (w.shape[1] * groups, w.shape[0]), image=image,
                     axes="NCW" if rank == 1 else "NCHW", kernel=kernel, stride=stride,
                     padding=padding, dilation=dilation, groups=groups)
        self.keep(y.name, **self.bias(bias, w.shape[0]), **self.weights(
            node, weights, 0, lambda a: a.reshape(*a.shape[:2], *kernel)))
        return y

    def visit_Gemm(self, node, x, weights, bias=None):
        need(isinstance(weights, Constant), "its second input must be a constant")
        need(not node.take("transA", 0), "transA=1")
        alpha, beta = node.take("alpha", 1.0), node.take("beta", 1.0)
        turned = bool(node.take("transB", 0))
        return self.linear(node, x, weights, turned, bias, alpha, beta)

    def visit_MatMul(self, node, x, weights):
        need(isinstance(x, Value) and isinstance(weights, Constant) and weights.array.ndim == 2,
             "its second input must be a constant matrix")
        return self.linear(node, x, weights, False)

    def linear(self, node, x, weights, turned, bias=None, alpha=1.0, beta=1.0):
        """A product with a matrix [in, out] or, `turned`, [out, in]."""
        need(isinstance(x, Value), "its first input must be a value of the network")
        w, name = weights.array, self.name(node, 1)
        outputs, inputs = w.shape if turned else w.shape[::-1]
        need(x.shape[-1] == inputs, f"its input has {x.shape[-1]} numbers, not {inputs}")
        letters = x.core(len(x.axes) - 1) or "C"
        order = [letters.index(c) for c in "CHW" if c in letters]
        sizes = [x.size(c) for c in letters]

        def change(array):
            array = array if turned else array.T
            return array.reshape(outputs, *sizes).transpose(0, *(1 + i for i in order)) \
                .reshape(outputs, inputs)

        tensors = self.weights(node, weights, 0 if turned else 1, change)
        field = "scale" if "scale" in tensors else "weight"
        tensors[field] = tensors[field] * numpy.float32(alpha)
        if len(x.axes) == 2:
            name = self.description.linear(x.name, name, inputs, outputs,
                                           math.prod(x.image.values()) // x.size("N") > x.size("C"))
            y = Value(name, {"N": x.size("N"), "C": outputs}, "NC")
        else:  # a product for each pixel
            need(letters == "C", "it multiplies by a matrix along an axis other than channels")
            y = self.add("conv", x, name, (inputs, outputs), image={**x.image, "C": outputs},
                         axes=[*x.axes[:-1], "C"], kernel=1)
            tensors["weight"] = tensors["weight"].reshape(outputs, inputs, 1, 1)
        if bias is not None:
            tensors["bias"] = self.bias(bias, outputs)["bias"] * numpy.float32(beta)
        self.keep(y.name, **tensors)
        return y

    def visit_BatchNormalization(self, node, x, gain, bias, mean, variance):
        for unused in ("momentum", "spatial"):
            node.take(unused)
        need(not node.take("training_mode", 0), "training_mode=1")
        eps = node.take("epsilon", 1e-5)
        fields = dict(weight=gain, bias=bias, running_mean=mean, running_var=variance)
        need(all(isinstance(v, Constant) for v in fields.values()), "its numbers must be constants")
        fields = {key: v.array.astype("f4") for key, v in fields.items()}
        if self.open_layer(x) is not None:
            y = self.add("bn", x, self.name(node, 1), eps=repr(eps))
            self.keep(y.name, **fields)
            return y
        factor = fields["weight"] / numpy.sqrt(fields["running_var"].astype("f8") + eps)
        return self.affine(node, x, factor, fields["bias"] - fields["running_mean"] * factor)

    def open_layer(self, x):
        """The line of the convolution or linear layer whose value x is, if only one node reads it."""
        line = self.description.by_name.get(x.name)
        return line if line is not None and line.word in ("conv", "linear") \
            and x.name not in self.shared and "scale" not in line.options else None

    def affine(self, node, x, factor, offset):
        """x · factor + offset, a number each or one per channel: a part of the layer before, of the
        input, or a layer of its own."""
        factor, offset = (numpy.asarray(v, "f8").reshape(-1) for v in (factor, offset))
        need(numpy.isfinite(factor).all() and numpy.isfinite(offset).all(),
             "a number is not finite")
        tensors, line = self.description.tensors, self.open_layer(x)
        channels = x.size("C")
        if line is not None:
            scaled = f"{x.name}.scale" if f"{x.name}.scale" in tensors else f"{x.name}.weight"
            if (factor > 0).all() or scaled.endswith("weight"):
                w, rows = tensors[scaled], numpy.broadcast_to(factor, channels)
                if w.size == 1 and factor.size > 1:
                    w = numpy.repeat(w.reshape(-1), channels)
                tensors[scaled] = (w * (rows.reshape(-1, *[1] * (w.ndim - 1)) if w.size > 1
                                        else factor)).astype("f4")
                bias = tensors.get(f"{x.name}.bias", numpy.zeros(channels, "f4"))
                tensors[f"{x.name}.bias"] = (bias * rows + offset).astype("f4")
                return x
        if x.name == "input" and (factor > 0).all() and self.quantizer is None \
                and x.name not in self.shared:
            self.mean = self.mean - offset / factor * self.deviation
            self.deviation = self.deviation / factor
            return x
        name = self.name(node)
        y = self.add("conv", x, name, (channels, channels), kernel=1, groups=channels,
                     format="int8")  # which holds one weight per row exactly
        self.keep(y.name, bias=numpy.broadcast_to(offset, channels).astype("f4"),
                  weight=numpy.broadcast_to(factor, channels).reshape(-1, 1, 1, 1).astype("f4"))
        return y

    # Layers without

    def function(self, node, x):
        return self.add(node.op.lower(), x, self.name(node))

    visit_Relu = visit_Sigmoid = visit_Tanh = visit_HardSwish = function

    def visit_LeakyRelu(self, node, x):
        return self.add("leakyrelu", x, self.name(node), alpha=repr(node.take("alpha", 0.01)))

    def visit_Elu(self, node, x):
        return self.add("elu", x, self.name(node), alpha=repr(node.take("alpha", 1.0)))

    def visit_HardSigmoid(self, node, x):
        alpha, beta = node.take("alpha", 0.2), node.take("beta", 0.5)
        need(abs(alpha - 1 / 6) < 1e-6 and beta == 0.5, f"alpha={alpha:.6g}, beta={beta:.6g}: only "
                                                        "1/6 and 0.5")
        return self.add("hardsigmoid", x, self.name(node))

    def visit_Clip(self, node, x, low=None, high=None):
        low = node.take("min") if low is None else float(low.array)
        high = node.take("max") if high is None else float(high.array)
        low, high = -LARGEST if low is None else low, LARGEST if high is None else high
        if (low, high) == (0, 6) or low == 0 and high >= LARGEST:
            return self.add("relu6" if high == 6 else "relu", x, self.name(node))
        return self.add("clip", x, self.name(node), low=max(low, -LARGEST),
                        high=min(high, LARGEST))

    def visit_Add(self, node, a, b):
        if isinstance(a, Value) and isinstance(b, Value):
            need(a.image == b.image and self.aligned(a, b), f"of shapes {a.shape} and {b.shape}: "
                                                            "they must be the same")
            return self.add("add", a, self.name(node), [b.name])
        x, c = (a, b) if isinstance(a, Value) else (b, a)
        return self.affine(node, x, 1, self.per_channel(x, c))

    def visit_Sub(self, node, a, b):
        need(isinstance(a, Constant) or isinstance(b, Constant), "it subtracts two values")
        if isinstance(a, Value):
            return self.affine(node, a, 1, -self.per_channel(a, b))
        return self.affine(node, b, -1, self.per_channel(b, a))

    def visit_Div(self, node, a, b):
        need(isinstance(b, Constant), "it divides by a value")
        with numpy.errstate(divide="ignore"):
            return self.affine(node, a, 1 / self.per_channel(a, b), 0)

    def visit_Mul(self, node, a, b):
        if not (isinstance(a, Value) and isinstance(b, Value)):
            x, c = (a, b) if isinstance(a, Value) else (b, a)
            return self.affine(node, x, self.per_channel(x, c), 0)
        for x, y in ((a, b), (b, a)):
            line = self.description.by_name.get(y.name)
            gates = {"sigmoid": "silu", "hardsigmoid": "hardswish"}
            if line is not None and line.word in gates and line.source == x.name and \
                    "scale" not in line.options and self.aligned(x, y) and \
                    y.name not in self.shared and self.description.is_last(y.name):
                line.word = gates[line.word]  # x · sigmoid(x) is one function
                return y
        large, small = (a, b) if math.prod(a.image.values()) >= math.prod(b.image.values()) \
            else (b, a)
        need(small.image == large.image or small.size("C") == large.size("C")
             and math.prod(small.image.values()) == small.size("C") * small.size("N"),
             f"of shapes {a.shape} and {b.shape}: they must be the same, but one may be a number "
             "per channel")
        need(self.aligned(large, small), f"of axes {a.axes} and {b.axes}")
        return large.like(self.add("mul", a, self.name(node), [b.name]).name)

    @staticmethod
    def aligned(a, b):
        """Whether the axes of two values are the same, where b has any."""
        return len(a.axes) == len(b.axes) and all(
            b.core(i) in (a.core(i), "") for i in range(len(a.axes)))

    @staticmethod
    def per_channel(x, c):
        """The numbers of a constant that is one number, or one per channel of x."""
        array = c.array.astype("f8")
        if array.size > 1:
            shape = [1] * (len(x.axes) - array.ndim) + [*array.shape]
            need(all(s == 1 or x.axes[i] == "C" and s == x.size("C") for i, s in enumerate(shape)),
                 f"a constant of shape {[*array.shape]}: one number, or one per channel")
        return array.reshape(-1)

    def visit_MaxPool(self, node, x):
        kernel = self.pair(node.take("kernel_shape"))
        need(set(node.take("dilations", [1])) == {1}, "dilations")
        need(not node.take("storage_order", 0) and not any(node.outputs[1:]), "it gives indices")
        stride, before, after, size = self.window(node, x, kernel)
        if before != after:  # zeros are as good as nothing where no number is negative
            found, _ = self.quantizer_of(x.name)
            line = self.description.by_name.get(x.name)
            need(found is not None and found[1] == 0
                 or line is not None and line.word in ("relu", "relu6", "sigmoid", "hardsigmoid"),
                 f"pads={before + after}: they differ from side to side")
        return self.pool(node, "maxpool", x, kernel, stride, before, after, size)

    def visit_AveragePool(self, node, x):
        kernel = self.pair(node.take("kernel_shape"))
        inside = not node.take("count_include_pad", 0)
        need(set(node.take("dilations", [1])) == {1}, "dilations")
        stride, before, after, size = self.window(node, x, kernel)
        need(not inside or not any(before + after), "count_include_pad=0, with padding")
        return self.pool(node, "avgpool", x, kernel, stride, before, after, size)

    def pool(self, node, word, x, kernel, stride, before, after, size):
        integers = x.integers
        x, padding = self.padded(x, self.name(node), before, after)
        image = {**x.image, **{c: n for c, n in zip("HW", size) if c in x.image}}
        y = self.add(word, x, self.name(node), image=image, kernel=kernel, stride=stride,
                     padding=padding)
        return y.like(y.name, integers=integers)

    def visit_GlobalAveragePool(self, node, x):
        self.need_image(x, "NCHW"[:len(x.axes)] if len(x.axes) != 3 else "NCW")
        image = {"N": x.size("N"), "C": x.size("C"), **{c: 1 for c in "HW" if c in x.image}}
        return self.add("globalmean", x, self.name(node), image=image)

    def visit_GlobalMaxPool(self, node, x):
        kernel = [x.size("H"), x.size("W")]
        return self.pool(node, "maxpool", x, kernel, kernel, [0, 0], [0, 0], [1, 1])

    def visit_ReduceMean(self, node, x, axes=None):
        axes, keep = axes_of(node, axes and axes.array, len(x.axes)), node.take("keepdims", 1)
        node.take("noop_with_empty_axes")
        axes = [*range(len(x.axes))] if axes is None else axes
        inside = "".join(x.core(i) for i in axes)
        need("".join(sorted(inside)) == "".join(c for c in "HW" if x.size(c) > 1),
             f"the mean over the axes {axes}: only that over whole images")
        image = {"N": x.size("N"), "C": x.size("C"), **{c: 1 for c in "HW" if c in x.image}}
        axes = [a for i, a in enumerate(x.axes) if keep or i not in axes]
        return self.add("globalmean", x, self.name(node), image=image, axes=axes)

    def visit_Flatten(self, node, x):
        need(node.take("axis", 1) % len(x.axes) == 1, "axis is not 1")
        return self.reshape(x, [x.shape[0], math.prod(x.shape[1:])])

    def visit_Reshape(self, node, x, target=None):
        target = node.take("shape") if target is None else target.array.reshape(-1).tolist()
        return self.reshape(x, reshaped(node, x.shape, target))

    def visit_Squeeze(self, node, x, axes=None):
        return self.reshape(x, squeezed(node, x.shape, axes and axes.array))

    def visit_Unsqueeze(self, node, x, axes=None):
        return self.reshape(x, unsqueezed(node, x.shape, axes and axes.array))

    def reshape(self, x, target):
        """x with the dimensions `target`, if each of them joins whole axes."""
        letters = [c for i in range(len(x.axes)) for c in x.core(i)]
        axes = []
        for size in target:
            axis = ""
            while letters and math.prod(x.size(c) for c in axis) < size:
                axis += letters.pop(0)
            need(math.prod(x.size(c) for c in axis) == size,
                 f"from {x.shape} to {[*target]}: it must keep axes whole")
            axes.append(axis)
        need(not letters, f"from {x.shape} to {[*target]}")
        need(not any("N" in axis and len(axis) > 1 for axis in axes), "it changes the batch")
        return x.like(x.name, axes=axes, integers=x.integers)

    def visit_Transpose(self, node, x):
        order = node.take("perm", [*range(len(x.axes))][::-1])
        return x.like(x.name, axes=[x.axes[i] for i in order], integers=x.integers)

    def visit_Identity(self, node, x):
        return x

    def visit_Dropout(self, node, x, ratio=None, training=None):
        node.attributes.clear()
        need(training is None or not training.array.any(), "training_mode")
        return x

    def visit_Cast(self, node, x):
        kind = package().TensorProto.DataType.Name(node.take("to"))
        need(kind == "FLOAT", f"to {kind}")
        need(not x.integers or x.name == "input" and self.quantizer is None,
             "it makes real numbers of integers")
        self.input_cast = self.input_cast or bool(x.integers)
        return x.like(x.name)

    def visit_Concat(self, node, *parts):
        axis = node.take("axis")
        need(all(isinstance(p, Value) for p in parts), "a part is a constant")
        axis %= len(parts[0].axes)
        first = parts[0]
        for p in parts:
            others = [i for i in range(len(p.axes)) if i != axis]
            need(len(p.axes) == len(first.axes) and p.core(axis) in ("C", "")
                 and all("C" not in p.core(i) and p.core(i) == first.core(i) for i in others),
                 f"of axes {p.axes}: only channels can be concatenated")
            need({**p.image, "C": 0} == {**first.image, "C": 0}, "the parts have different sizes")
        if len(parts) == 1:
            return first
        axes = [*first.axes[:axis], "C", *first.axes[axis + 1:]]
        image = {**first.image, "C": sum(p.size("C") for p in parts)}
        y = self.add("concat", first, self.name(node), [p.name for p in parts[1:]], image=image,
                     axes=axes)
        if first.integers:
            found = {self.quantizer_of(p.name)[0] for p in parts}
            need(len(found) == 1 and None not in found, "it joins integers of different scales")
            scale, zero = found.pop()
            self.description.by_name[y.name].options.update(scale=scale, zero=zero)
        return y.like(y.name, integers=first.integers)

    def visit_Pad(self, node, x, pads=None, value=None, axes=None):
        need(node.take("mode", "constant") == "constant", "mode is not constant")
        pads = node.take("pads") if pads is None else pads.array.tolist()
        value = node.take("value", 0.0) if value is None else value.array.reshape(-1)[0]
        zero = 0
        if x.integers:
            found, _ = self.quantizer_of(x.name)
            zero = None if found is None else found[1]
            # A value that is left out is 0 of the tensor's own type.
            value = int(value) + (128 if x.integers == "int8" else 0)
        need(value == zero, f"it pads with {value}, not with zeros")
        axes = axes_of(node, axes and axes.array, len(x.axes))
        axes = [*range(len(x.axes))] if axes is None else axes
        before, after = {}, {}
        for axis, first, last in zip(axes, pads[:len(axes)], pads[len(axes):]):
            letter = x.axes[axis]
            need(first >= 0 and last >= 0 and (letter in ("H", "W") or first == last == 0),
                 f"pads={[*pads]}: only zeros around images")
            before[letter], after[letter] = int(first), int(last)
        before, after = ([d.get(c, 0) for c in "HW"] for d in (before, after))
        if not any(before + after):
            return x
        image = dict(x.image)
        for c, first, last in zip("HW", before, after):
            if c in image:
                image[c] += first + last
        y = self.add("pad", x, self.name(node), image=image, before=before, after=after)
        return y.like(y.name, integers=x.integers)

    def visit_Upsample(self, node, x, scales=None):
        need(node.take("mode", "nearest") == "nearest", "mode is not nearest")
        scales = node.take("scales") if scales is None else scales.array.tolist()
        return self.upsample(node, x, scales, "asymmetric", "floor")

    def visit_Resize(self, node, x, *more):
        need(node.take("mode", "nearest") == "nearest", "mode is not nearest")
        for unused in ("cubic_coeff_a", "exclude_outside", "extrapolation_value"):
            node.take(unused)
        need(not node.take("antialias", 0), "antialias=1")
        old = self.graph.opset < 11
        coordinates = node.take("coordinate_transformation_mode",
                                "asymmetric" if old else "half_pixel")
        rounding = node.take("nearest_mode", "floor" if old else "round_prefer_floor")
        _, scales, sizes, *_ = [None] * (old and len(more) == 1) + [*more] + [None] * 3
        axes = axes_of(node, None, len(x.axes)) or [*range(len(x.axes))]
        if sizes is not None and sizes.array.size:
            need(node.take("keep_aspect_ratio_policy", "stretch") == "stretch", "keeps the ratio")
            factors = [n / x.shape[i] for n, i in zip(sizes.array.tolist(), axes)]
        else:
            factors = scales.array.tolist()
        all_factors = [1.0] * len(x.axes)
        for i, f in zip(axes, factors):
            all_factors[i] = f
        return self.upsample(node, x, all_factors, coordinates, rounding)

    def upsample(self, node, x, factors, coordinates, rounding):
        by_letter = {}
        for i, f in enumerate(factors):
            need(f == int(f) >= 1, f"the factor {f:.6g} is not whole")
            need(f == 1 or x.axes[i] in ("H", "W"), "only images can grow")
            by_letter[x.axes[i]] = int(f)
            places = numpy.arange(x.shape[i] * int(f))
            at = {"asymmetric": places / f, "half_pixel": (places + 0.5) / f - 0.5,
                  "pytorch_half_pixel": (places + 0.5) / f - 0.5}.get(coordinates)
            need(at is not None or f == 1, f"coordinate_transformation_mode={coordinates}")
            nearest = None if at is None else {
                "floor": numpy.floor, "round_prefer_floor": lambda v: numpy.ceil(v - 0.5),
                "ceil": numpy.ceil, "round_prefer_ceil": lambda v: numpy.floor(v + 0.5)}[rounding](at)
            need(f == 1 or (nearest.clip(0, x.shape[i] - 1) == places // int(f)).all(),
                 f"{coordinates} and {rounding} do not repeat pixels")
        factor = [by_letter.get(c, 1) for c in "HW"]
        image = {c: n * by_letter.get(c, 1) if c in "HW" else n for c, n in x.image.items()}
        y = self.add("upsample", x, self.name(node), image=image, factor=factor)
        return y.like(y.name, integers=x.integers)

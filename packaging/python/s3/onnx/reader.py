"""An ONNX graph as the text that the library imports networks from, and its tensors.

Activations are followed with their axes, so that what only moves axes or joins them costs nothing.
Quantizers of activations go to the lines that compute them; int8 activations with zero point z are
uint8 ones with z + 128.
"""

import math

import numpy

from ..description import KEEP_BYTES, Description, Unsupported, input_line, need, refuse
from .graph import FOLDED, Constant
from .layers import Layers, Value


class Reader(Layers):
    def __init__(self, graph, normalized):
        """`normalized`: whether the caller tells a mean or deviation of the input."""
        self.graph, self.normalized = graph, normalized
        self.description, self.problems = Description(), []
        self.values = {}  # by tensor: a Value, a Constant, or None after a problem
        self.mean, self.deviation = 0.0, 1.0  # (x - mean) / deviation is computed of the input x
        self.quantizer = None  # of the input: (scale, zero point as uint8)
        self.input_cast = False  # whether bytes of the input are read as real numbers as they are
        self.shared = set()  # names of values that are read several times: no reader may change them
        self.quantized_weights = False

    def read(self):
        """Fills the description; raises Error with all that cannot be converted."""
        self.values[""] = None
        self.values.update(self.graph.constants)
        self.values[self.graph.input] = self.input_value()
        # Constants come first, as note_sharing compares those of quantizers further on.
        nodes = sorted(self.graph.nodes, key=lambda node: len(node.inputs) > 0)
        self.note_sharing(self.graph.input)
        for node in nodes:
            try:
                results = self.visit(node)
                node.finish()
            except Unsupported as problem:
                self.problems.append(f"{node}: {problem}")
                results = None
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                self.problems.append(f"{node}: is malformed: {error!r}")
                results = None
            results = results if isinstance(results, list) else [results]
            for name, value in zip(node.outputs, results):
                self.values[name] = value
                self.note_sharing(name)
        if not self.problems:
            self.check_output()
        refuse(self.problems, "graph")
        return self

    def note_sharing(self, tensor):
        """Remembers the value of a tensor that is read several times. Tensors that nodes pass on have
        the value's name, too; and quantizers that do the same count as one reader."""
        value, readers = self.values[tensor], self.graph.readers.get(tensor, [])
        if isinstance(value, Value) and len({self.same_quantizers(node) or i
                                             for i, node in enumerate(readers)}) > 1:
            self.shared.add(value.name)

    def same_quantizers(self, node):
        """What is equal for QuantizeLinear nodes that do the same, None for other nodes."""
        if node is None or node.op != "QuantizeLinear":
            return None
        numbers = [self.values.get(name) for name in node.inputs[1:]]
        return tuple((v.array.dtype, v.array.tobytes()) if isinstance(v, Constant) else id(node)
                     for v in numbers)

    def check_output(self):
        value, name = self.values.get(self.graph.output), f"output '{self.graph.output}'"
        if not isinstance(value, Value):
            self.problems.append(f"{name}: it does not depend on the input")
        elif any(len(value.core(i)) > 1 for i in range(len(value.axes))):
            self.problems.append(f"{name}: it is an image that was flattened")
        elif not self.in_order("".join(value.core(i) for i in range(len(value.axes)))):
            self.problems.append(f"{name}: it has the axes {value.axes}: those of an image must be in "
                                 "the order C, H, W or H, W, C")
        elif not self.description.is_last(value.name):
            self.problems.append(f"{name}: it must be the value of the last layer")

    @staticmethod
    def in_order(letters):
        return any(letters == "".join(c for c in order if c in letters) for order in ("NCHW", "NHWC"))

    def input_value(self):
        shape = self.graph.input_shape
        letters = {2: "NC", 3: "NCW", 4: "NCHW"}[len(shape)]
        back = {3: [0, 2, 1], 4: [0, 3, 1, 2]}.get(len(shape))
        names, readers = {self.graph.input}, []
        for node in self.graph.nodes:
            if names.intersection(node.inputs):
                if node.op in ("QuantizeLinear", "DequantizeLinear", "Cast"):
                    names.update(node.outputs)
                else:
                    readers.append(node)
        if readers and all(n.op == "Transpose" and [*n.attributes.get("perm", [])] == back
                           for n in readers):
            letters = "N" + letters[2:] + "C"  # as TensorFlow has them
        self.letters = letters
        return Value("input", dict(zip(letters, shape)), letters,
                     self.graph.input_type if self.graph.input_type != "float" else "")

    @property
    def sizes(self):
        """Those of one input, with channels last: height and width where the graph has them."""
        image = self.values[self.graph.input].image
        return [image[c] for c in "HWC" if c in image]

    def head(self, mean, std):
        """The input line, for a float input (q / 255 - mean) / std or one that is quantized."""
        if self.quantizer is not None:
            return input_line(self.sizes, scale=self.quantizer[0], zero=self.quantizer[1])
        mean, std = 0 if mean is None else mean, 1 if std is None else std
        if self.graph.input_type != "float":  # bytes are the input itself
            scale, zero = 1.0, 128 if self.graph.input_type == "int8" else 0
        else:
            scale, zero = None, None
        mean, std = mean + self.mean * std, std * self.deviation
        return input_line(self.sizes, scale=scale, zero=zero,
                          mean=mean if numpy.any(mean != 0) else None,
                          std=std if numpy.any(std != 1) else None)

    # Nodes

    def visit(self, node):
        known = [self.values.get(name, self) for name in node.inputs]
        for name, value in zip(node.inputs, known):
            need(value is not self, f"it reads '{name}', which nothing computes")
        if node.standard and node.op == "Shape" and isinstance(known[0], Value):
            shape = numpy.asarray(known[0].shape, "i8")
            return Constant(shape[node.take("start", 0):node.take("end")])
        if node.standard and node.op in FOLDED and all(isinstance(v, Constant) for v in known):
            return Constant(FOLDED[node.op](node, *(v.array for v in known)))
        ours = node.standard or node.domain == "com.microsoft" and node.op.startswith("Q")
        method = getattr(self, "visit_" + node.op, None) if ours else None
        if method is None:
            raise Unsupported("softmax: leave it out, the largest output is the same without it "
                              "(output= names the tensor before it)"
                              if node.op in ("Softmax", "LogSoftmax") else
                              "there is no such layer" + (f" in the domain {node.domain}"
                                                          if node.domain else ""))
        if any(v is None and name for v, name in zip(known, node.inputs)):
            node.attributes.clear()  # what it reads was refused
            return None
        return method(node, *known)

    def add(self, word, x, name, words=(), image=None, axes=None, **options):
        """Adds a line that reads x, and returns its value."""
        name = self.description.add(word, x.name, name, words, **options)
        return x.like(name, image=image or x.image, axes=axes or x.axes)

    def name(self, node, weights=None):
        """The name of a layer: that of its weights, as modules are named, else the node's."""
        name = weights and node.inputs[weights]
        if name and name.endswith(".weight"):
            return name[:-len(".weight")]
        return node.name or node.outputs[0]

    # Quantizers

    def quantizer_of(self, name):
        """The quantizer that a value has so far, and the line to give it one (None: the input)."""
        while name != "input":
            line = self.description.by_name[name]
            if "scale" in line.options:
                return (line.options["scale"], line.options["zero"]), line
            if line.word not in KEEP_BYTES:
                return None, line
            name = line.source
        return self.quantizer, None

    def alone(self, name):
        """Whether a quantizer of this value may go to the line that quantizer_of finds: no other node
        reads the value as it is before the quantizer, there or on the way. Bytes of the input that
        were cast to real numbers have a scale already, 1."""
        while name not in self.shared:
            if name == "input":
                return not self.input_cast
            line = self.description.by_name[name]
            if line.word not in KEEP_BYTES:
                return True
            name = line.source
        return False

    @staticmethod
    def zero_of(x):
        """The zero point of a node that tells none: 0 of the type of its integers."""
        need(x.integers, "it reads real numbers, not integers")
        return Constant(numpy.zeros((), x.integers))

    def given(self, scale, zero):
        """The (scale, zero point as uint8) of constants, which must fit, and the integers' type."""
        need(isinstance(scale, Constant) and isinstance(zero, (Constant, type(None))),
             "its scale and zero point must be constants")
        kind = "uint8" if zero is None else str(zero.array.dtype)
        need(kind in ("uint8", "int8"), f"activations of {kind}: uint8 and int8 are known")
        need(scale.array.size == 1 and (zero is None or zero.array.size == 1),
             f"activations have {scale.array.size} scales: one is needed")
        number = float(scale.array.reshape(-1)[0])
        need(math.isfinite(number) and number > 1e-37, f"the scale {number} is not positive")
        zero = 0 if zero is None else int(zero.array.reshape(-1)[0])
        return (number, zero + (128 if kind == "int8" else 0)), kind

    def quantize(self, x, scale, zero):
        """The integers of real activations."""
        wanted, kind = self.given(scale, zero)
        found, line = self.quantizer_of(x.name)
        if found is None and not self.alone(x.name) or found not in (None, wanted):
            # Others read x with another scale, or without any: a table makes these integers of it.
            # Its limits are what the integers reach, so that nothing beyond them is calibrated for.
            number, zero = wanted
            x = self.add("clip", x, x.name + ".quantized", low=-zero * number,
                         high=(255 - zero) * number, scale=number, zero=zero)
        elif found is None and line is None:
            self.quantize_input(wanted)
        elif found is None:
            line.options.update(scale=wanted[0], zero=wanted[1])
        return x.like(x.name, integers=kind)

    def dequantize(self, x, scale, zero):
        """The real activations of integers, whose quantizer must be this one."""
        zero_of_type = self.zero_of(x)
        wanted, kind = self.given(scale, zero or zero_of_type)
        need(x.integers == kind, f"its zero point is of {kind}, its integers are of {x.integers}")
        found, line = self.quantizer_of(x.name)
        if found is None and line is None:
            found = self.quantize_input(wanted)
        need(found == wanted, f"scale and zero point {wanted} are not those that the integers were "
                              f"made with, {found} (as uint8)")
        return x.like(x.name)

    def quantize_input(self, wanted):
        need(not self.normalized, "the graph quantizes its input itself: leave out mean and std")
        need(numpy.all(self.mean == 0) and numpy.all(self.deviation == 1),
             "the input is computed with before it is quantized")
        need(not self.input_cast, "the input's bytes are also read without scale and zero point")
        self.quantizer = wanted
        return wanted

    def visit_QuantizeLinear(self, node, x, scale, zero=None):
        axis = node.take("axis", 1)
        if isinstance(x, Value):
            need(not x.integers, "it quantizes integers")
            return self.quantize(x, scale, zero)
        kind = numpy.dtype("u1") if zero is None else zero.array.dtype
        need(kind in ("u1", "i1"), f"weights of {kind}: int8 and uint8 are known")
        _, shape = self.along(axis, scale.array, x.array)
        offset = 0 if zero is None else zero.array.reshape(shape).astype("f4")
        integers = numpy.rint(x.array / scale.array.reshape(shape)) + offset
        limits = numpy.iinfo(kind)
        return Constant(integers.clip(limits.min, limits.max).astype(kind))

    def visit_DequantizeLinear(self, node, x, scale, zero=None):
        axis = node.take("axis", 1)
        if isinstance(x, Value):
            return self.dequantize(x, scale, zero)
        return self.dequantized(x, scale, zero, axis)

    @staticmethod
    def along(axis, scales, array):
        """The axis of an array that has a scale per index, counted from the first, None where one
        scale is for all; and the shape with which the scales broadcast to the array."""
        if scales.size == 1:
            return None, [1] * array.ndim
        need(axis is not None and -array.ndim <= axis < array.ndim
             and array.shape[axis] == scales.size,
             f"{scales.size} scales along axis {axis} of weights of shape {[*array.shape]}")
        axis %= array.ndim
        return axis, [-1 if i == axis else 1 for i in range(array.ndim)]

    def dequantized(self, x, scale, zero, axis):
        """Weights, or a bias, of integers."""
        need(x.array.dtype in ("i1", "u1", "i4"), f"weights of {x.array.dtype}: int8 and uint8 are "
                                                  "known, and int32 for biases")
        scales = scale.array.astype("f8")
        need(numpy.isfinite(scales).all() and (scales > 0).all(), "a scale is not positive")
        axis, shape = self.along(axis, scales, x.array)
        integers = x.array.astype("i8")
        if zero is not None:
            integers = integers - zero.array.astype("i8").reshape(shape)
        return Constant((integers * scales.reshape(shape)).astype("f4"), integers,
                        scales.reshape(-1), axis)

    # Operators of integers: each is the operator of real numbers between quantizers.

    def visit_QLinearConv(self, node, x, xs, xz, w, ws, wz, ys, yz, bias=None):
        return self.quantize(self.visit_Conv(
            node, self.dequantize(x, xs, xz), self.dequantized(w, ws, wz, 0),
            self.bias_of(bias, xs, ws)), ys, yz)

    @staticmethod
    def bias_of(bias, xs, ws, alpha=1.0):
        """A bias of integers that are added to the products of integers, and scaled as these are."""
        return bias and Constant((bias.array.astype("f8") * xs.array * ws.array.reshape(-1) * alpha)
                                 .astype("f4"))

    def visit_QLinearMatMul(self, node, x, xs, xz, w, ws, wz, ys, yz):
        node.inputs[1] = node.inputs[3]  # where the weights are, for the layer's name
        return self.quantize(self.linear(node, self.dequantize(x, xs, xz),
                                         self.dequantized(w, ws, wz, 1), False), ys, yz)

    def visit_QGemm(self, node, x, xs, xz, w, ws, wz, bias=None, ys=None, yz=None):
        node.inputs[1] = node.inputs[3]
        turned, alpha = bool(node.take("transB", 0)), node.take("alpha", 1.0)
        need(not node.take("transA", 0), "transA=1")
        y = self.linear(node, self.dequantize(x, xs, xz),
                        self.dequantized(w, ws, wz, 0 if turned else 1), turned,
                        self.bias_of(bias, xs, ws, alpha), alpha)
        return y if ys is None else self.quantize(y, ys, yz)

    def two_integers(self, method, node, a, a_s, az, b, b_s, bz, ys, yz=None):
        node.inputs[1:] = [node.inputs[3]]
        yz = yz or self.zero_of(a if isinstance(a, Value) else b)
        return self.quantize(method(node, *(
            self.dequantize(v, s, z) if isinstance(v, Value) else self.dequantized(v, s, z, None)
            for v, s, z in ((a, a_s, az), (b, b_s, bz)))), ys, yz)

    def visit_QLinearAdd(self, node, *inputs):
        return self.two_integers(self.visit_Add, node, *inputs)

    def visit_QLinearMul(self, node, *inputs):
        return self.two_integers(self.visit_Mul, node, *inputs)

    def one_integer(self, method, node, x, xs, xz, ys, yz=None):
        need(not node.take("channels_last", 0), "channels_last=1")
        return self.quantize(method(node, self.dequantize(x, xs, xz)), ys, yz or self.zero_of(x))

    def visit_QLinearGlobalAveragePool(self, node, *inputs):
        return self.one_integer(self.visit_GlobalAveragePool, node, *inputs)

    def visit_QLinearAveragePool(self, node, *inputs):
        return self.one_integer(self.visit_AveragePool, node, *inputs)

    def visit_QLinearLeakyRelu(self, node, *inputs):
        return self.one_integer(self.visit_LeakyRelu, node, *inputs)

    def visit_QLinearSigmoid(self, node, *inputs):
        return self.one_integer(lambda n, x: self.add("sigmoid", x, self.name(n)), node, *inputs)

    def visit_QLinearConcat(self, node, ys, yz, *parts):
        values = [self.dequantize(*parts[i:i + 3]) for i in range(0, len(parts), 3)]
        return self.quantize(self.visit_Concat(node, *values), ys, yz)

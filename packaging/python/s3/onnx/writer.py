"""A network as an ONNX graph that computes the same numbers.

Every value of bytes q stands for real numbers step * (q - zero point). Inside the graph the steps are
powers of two near the network's own: what a layer multiplies its sums by is then a product of its
weights' scale and a power of two, in which nothing is rounded, so that a runtime that multiplies sums
by it gets the network's integers. Between two quantizers a graph computes in real numbers what the
network computes in integers:

    convolution   the weights' scale is multiplier * step out / step in; a row whose multiplier is
                  negative has its weights negated
    residual      is rounded by itself, as the network does, before it is added to the rounded sums
    limits        become a Relu or Clip before the quantizer
    table         becomes a Gather

Images are [N, channels, height, width], sequences [N, channels, length].
"""

import json
import math

import numpy

from .._runtime import Error
from .graph import package

OPSET = 13
QONNX = "qonnx.custom_op.general"


def graph_of(network, quantizers="qdq"):
    """The onnx.ModelProto of an s3.Network: `quantizers` are "qdq" or "qonnx".

    "qdq": the input is uint8, what Network.run takes but with channels before height and width.
    "qonnx": the input is the real numbers input_scale * (q - input_zero_point). The output is
    Network.run's, with channels first. Raises s3.Error for other quantizers.
    """
    writers = {"qdq": _Writer, "qonnx": _QonnxWriter}
    if quantizers not in writers:
        raise Error(f"quantizers: there are no {quantizers!r} (qdq, qonnx)")
    return writers[quantizers](package(), network._network.model()).write()


def _is_wide(weights):
    return weights.min() < -128 or weights.max() > 127


class _Writer:
    def __init__(self, onnx, model):
        self.onnx, self.model = onnx, model
        self.values = [{**v, "step": self.power_of_two(v["step"])} for v in model["values"]]
        self.layers = model["layers"]
        self.output_step = model["values"][-1]["step"]
        self.nodes, self.constants, self.exponents = [], [], {}
        self.rank = 1 if self.values[0]["sequence"] else 2
        self.tensors = {}  # by value: the name of its tensor

    # The graph

    @staticmethod
    def power_of_two(step):
        return 2.0 ** round(math.log2(step))

    def write(self):
        helper = self.onnx.helper
        first, last = self.values[0], self.values[-1]
        self.input(first)
        for i, layer in enumerate(self.layers):
            self.layer, self.out, self.index = layer, self.values[i + 1], i + 1
            self.prefix = layer["name"]
            getattr(self, "write_" + layer["kind"])(layer)
        self.prefix, shape = "output", self.shape(last)
        result = self.real(len(self.layers), self.output_step)
        if last["height"] == last["width"] == 1:
            self.node("Flatten", [result], axis=1)
            shape = shape[:1]
        self.nodes[-1].output[0] = "output"
        kinds = self.onnx.TensorProto
        graph = helper.make_graph(
            self.nodes, "s3",
            [helper.make_tensor_value_info("input", self.input_type(kinds),
                                           ["N", *self.shape(first)])],
            [helper.make_tensor_value_info("output", kinds.FLOAT, ["N", *shape])], self.constants)
        model = helper.make_model(graph, producer_name="s3", opset_imports=self.opsets(helper))
        model.ir_version = 7  # of opset 13
        if self.exponents:
            helper.set_model_props(model, {"s3.exponent_weights": json.dumps(self.exponents)})
        return model

    def shape(self, value):
        return [value["channels"], *[value["height"], value["width"]][2 - self.rank:]]

    def spatial(self, pair):
        return [*pair][2 - self.rank:]

    def node(self, op, inputs, suffix=None, domain=None, **attributes):
        name = f"{self.prefix}/{suffix or op}"
        taken = {n.name for n in self.nodes}
        while name in taken:
            name += "_"
        self.nodes.append(self.onnx.helper.make_node(op, inputs, [name + ":0"], name, domain=domain,
                                                     **attributes))
        return name + ":0"

    def constant(self, name, array):
        name = f"{self.prefix}.{name}"
        while any(c.name == name for c in self.constants):
            name += "_"
        self.constants.append(self.onnx.numpy_helper.from_array(numpy.asarray(array), name))
        return name

    def number(self, name, value):
        return self.constant(name, numpy.float32(value))

    # Values

    def opsets(self, helper):
        return [helper.make_opsetid("", OPSET)]

    def input_type(self, kinds):
        return kinds.UINT8

    def input(self, value):
        self.tensors[0] = "input"

    def real(self, v, step=None):
        """The real numbers of a value or, with `step`, other multiples of its integers."""
        value = self.values[v]
        if v and self.is_float(v):
            return self.tensors[v]
        zero = numpy.uint8(value["zero_point"])
        return self.node("DequantizeLinear", [
            self.tensors[v], self.number("step", value["step"] if step is None else step),
            self.constant("zero", zero)])

    def is_float(self, v):
        layer = self.layers[v - 1]
        return layer["kind"] == "float_linear" or layer.get("raw", False)

    def integers(self, v):
        """The integers of a value, as int32."""
        return self.node("Cast", [self.tensors[v]], to=self.onnx.TensorProto.INT32)

    def quantize(self, x):
        """Makes the real numbers x the bytes of the layer's value, which are clamped to 8 bits."""
        self.tensors[self.index] = self.node("QuantizeLinear", [
            x, self.number("step", self.out["step"]),
            self.constant("zero", numpy.uint8(self.out["zero_point"]))])

    def rounded(self, x):
        """Real numbers as whole multiples of the layer's step, which no byte limits."""
        step = self.number("step", self.out["step"])
        return self.node("Mul", [self.node("Round", [self.node("Div", [x, step])]), step])

    def limited(self, x, low, high):
        """x within the bytes low ... high, as far as the quantizer does not do that."""
        zero, step, top = self.out["zero_point"], self.out["step"], (1 << self.out["bits"]) - 1
        low_real, high_real = (low - zero) * step, (high - zero) * step
        if low == zero and low > 0 and high == 255:
            return self.node("Relu", [x])
        if low > 0 or high < self.quantizer_top(top):
            return self.node("Clip", [x, self.number("low", low_real),
                                      self.number("high", high_real)])
        return x

    def quantizer_top(self, top):
        return 255

    # Layers

    def write_convolution(self, layer):
        weights, out = layer["weight"], self.out
        source = layer["input"]
        rows = weights.shape[0]
        step, zero = self.values[source]["step"], self.values[source]["zero_point"]
        if layer["raw"]:
            scale = numpy.full(rows, self.model["output_scale"] / step)
        else:
            scale = layer["scale"].astype("f8") * out["step"] / step
        bias = layer["bias"].astype("i8") if layer["bias"].size else numpy.zeros(rows, "i8")
        sign = numpy.where(scale < 0, -1, 1)
        used = numpy.where(scale == 0, 1.0, abs(scale))
        whole = not layer["raw"] and (layer["residual"] is not None or _is_wide(weights))
        multiplier, used = used, numpy.ones(rows) if whole else used
        # A row that is multiplied by 0 has weights 0 and the scale 1.
        sign = numpy.where(scale == 0, 0, sign)
        bias = (bias + zero * weights.astype("i8").sum((1, 2, 3))) * sign
        weights = weights * sign[:, None, None, None]
        y = self.node("Conv", [self.real(source), self.weights(weights, used, layer["format"]),
                               self.bias(bias, used * step)],
                      kernel_shape=self.spatial(weights.shape[2:]),
                      strides=self.spatial(layer["stride"]), group=layer["groups"],
                      dilations=self.spatial(layer["dilation"]),
                      pads=self.spatial(layer["padding"]) * 2)
        if layer["raw"]:
            self.tensors[self.index] = y
            return
        if whole:
            # No quantizer follows the convolution, so runtimes compute it in float: of whole numbers,
            # whose sums are exact there, and which are multiplied afterwards as the network does.
            shape = (-1, *[1] * self.rank)
            y = self.node("Mul", [y, self.constant("multiplier",
                                                   multiplier.reshape(shape).astype("f4"))])
            if layer["residual"] is not None:
                v, factor = layer["residual"]
                y = self.node("Add",
                              [self.rounded(y), self.rounded(self.real(v, factor * out["step"]))])
        self.quantize(self.limited(y, layer["low"], layer["high"]))

    def weights(self, weights, scale, format):
        """Real weights, from integers [out, in, height, width] and a scale per output."""
        if _is_wide(weights):  # runtimes have convolutions of int8 and of float
            scale = scale.reshape(-1, *[1] * (weights.ndim - 1))
            real = (weights * scale).astype("f4")
            name = self.constant("weight", real[:, :, 0] if self.rank == 1 else real)
            self.tell_exponents(name, format, weights)
            return name
        if self.rank == 1:
            weights = weights[:, :, 0]
        one = numpy.all(scale == scale[0])
        scale = (scale[:1].reshape(()) if one else scale).astype("f4")
        name = self.constant("weight", weights.astype("i1"))
        self.tell_exponents(name, format, weights)
        return self.node("DequantizeLinear", [
            name, self.constant("scale", scale),
            self.constant("weight_zero", numpy.zeros(scale.shape, "i1"))], axis=0)

    def bias(self, bias, scale):
        if abs(bias).max() >= 1 << 31:  # a real number, where int32 has no room
            return self.constant("bias", (bias * scale).astype("f4"))
        scale = scale.astype("f4")
        return self.node("DequantizeLinear", [
            self.constant("bias", bias.astype("i4")), self.constant("bias_scale", scale),
            self.constant("bias_zero", numpy.zeros(scale.shape, "i4"))], axis=0)

    def tell_exponents(self, name, format, weights):
        """That weights are sign and exponent, as tools have types for (hls4ml: ExponentPrecisionType)."""
        if format.startswith("dense"):
            self.exponents[name] = {"type": "sign * 2^shift", "bits": int(format[5:]),
                                    "shifts": [0, (1 << (int(format[5:]) - 1)) - 1]}

    def write_float_linear(self, layer):
        value = self.values[layer["input"]]
        sizes = [value["height"], value["width"], value["channels"]]
        weights = layer["weight"].reshape(-1, *sizes).transpose(0, 3, 1, 2)
        weights = weights[:, :, 0] if self.rank == 1 else weights
        inputs = [self.real(layer["input"]), self.constant("weight", weights)]
        if layer["bias"].size:
            inputs.append(self.constant("bias", layer["bias"]))
        self.tensors[self.index] = self.node("Conv", inputs)

    def write_addition(self, layer):
        a, b = (self.rounded(self.real(layer[v], layer[v + "_scale"] * self.out["step"]))
                for v in "ab")
        self.quantize(self.limited(self.node("Add", [a, b]), layer["low"], layer["high"]))

    def write_multiplication(self, layer):
        a = self.values[layer["a"]]["step"]
        y = self.node("Mul", [self.real(layer["a"]),
                              self.real(layer["b"], layer["scale"] * self.out["step"] / a)])
        self.quantize(self.limited(y, layer["low"], layer["high"]))

    def write_max_pooling(self, layer):
        self.quantize(self.node("MaxPool", [self.real(layer["input"])], **self.window(layer)))

    def write_mean_pooling(self, layer):
        value, (height, width) = self.values[layer["input"]], layer["window"]
        x = self.real(layer["input"], layer["scale"] * self.out["step"] * height * width)
        if (height, width) == (value["height"], value["width"]) and max(layer["padding"]) == 0:
            y = self.node("GlobalAveragePool", [x])
        else:
            y = self.node("AveragePool", [x], count_include_pad=1, **self.window(layer))
        self.quantize(self.limited(y, 0, (1 << self.out["bits"]) - 1))

    def window(self, layer):
        return dict(kernel_shape=self.spatial(layer["window"]), strides=self.spatial(layer["stride"]),
                    pads=self.spatial(layer["padding"]) * 2)

    def write_concatenation(self, layer):
        parts = [self.limited(self.real(v, factor * self.out["step"]), 0,
                              (1 << self.out["bits"]) - 1) for v, factor in layer["inputs"]]
        self.quantize(self.node("Concat", parts, axis=1))

    def write_padding(self, layer):
        pads = [0, 0, *self.spatial(layer["before"]), 0, 0, *self.spatial(layer["after"])]
        self.quantize(self.node("Pad", [self.real(layer["input"]),
                                        self.constant("pads", numpy.asarray(pads, "i8"))]))

    def write_upsampling(self, layer):
        factors = numpy.asarray([1, 1, *self.spatial(layer["factor"])], "f4")
        self.quantize(self.node("Resize", [self.real(layer["input"]), "",
                                           self.constant("factors", factors)], mode="nearest",
                                coordinate_transformation_mode="asymmetric", nearest_mode="floor"))

    def write_table(self, layer):
        self.tensors[self.index] = self.node(
            "Gather", [self.constant("table", layer["table"]), self.integers(layer["input"])])


class _QonnxWriter(_Writer):
    """Real numbers throughout, with Quant nodes where values are rounded (QONNX calls the operator
    IntQuant, too): y = (clamp(round(x / scale + zero), to the bits) - zero) * scale."""

    def opsets(self, helper):
        return [helper.make_opsetid("", OPSET), helper.make_opsetid(QONNX, 1)]

    def input_type(self, kinds):
        return kinds.FLOAT

    def quant(self, x, scale, zero, bits, signed):
        return self.node("Quant", [x, self.constant("scale", numpy.asarray(scale, "f4")),
                                   self.number("zero", zero), self.number("bits", bits)],
                         domain=QONNX, signed=int(signed), narrow=0, rounding_mode="ROUND")

    def input(self, value):
        value = self.values[0] = self.model["values"][0]  # whose real numbers come from outside
        self.prefix = "input"
        self.tensors[0] = self.quant("input", value["step"], value["zero_point"], value["bits"], False)

    def real(self, v, step=None):
        value = self.values[v]
        if v and self.is_float(v) or step is None or numpy.float32(step) == value["step"]:
            return self.tensors[v]
        return self.node("Mul", [self.tensors[v], self.number("factor", step / value["step"])])

    def integers(self, v):
        value = self.values[v]
        steps = self.node("Div", [self.tensors[v], self.number("step", value["step"])])
        q = self.node("Add", [self.node("Round", [steps]), self.number("zero", value["zero_point"])])
        return self.node("Cast", [q], to=self.onnx.TensorProto.INT32)

    def quantize(self, x):
        out = self.out
        self.tensors[self.index] = self.quant(x, out["step"], out["zero_point"], out["bits"], False)

    def rounded(self, x):
        return self.quant(x, self.out["step"], 0, 24, True)

    def quantizer_top(self, top):
        return top

    def weights(self, weights, scale, format):
        largest = max(-int(weights.min()), int(weights.max()) + 1, 1)
        bits = max(2, (largest - 1).bit_length() + 1)
        scale = scale.reshape(-1, *[1] * (1 + self.rank))
        scale = scale[:1] if numpy.all(scale == scale[0]) else scale
        weights = weights[:, :, 0] if self.rank == 1 else weights
        name = self.constant("weight", (weights * scale).astype("f4"))
        self.tell_exponents(name, format, weights)
        return self.quant(name, scale, 0, bits, True)

    def bias(self, bias, scale):
        return self.constant("bias", (bias * scale).astype("f4"))

    def write_table(self, layer):
        real = (layer["table"].astype("f8") - self.out["zero_point"]) * self.out["step"]
        self.tensors[self.index] = self.node(
            "Gather", [self.constant("table", real.astype("f4")), self.integers(layer["input"])])

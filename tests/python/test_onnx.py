"""Tests of ONNX graphs in and out of the Python package.

    PYTHONPATH=<build>/python /usr/bin/python3 tests/python/test_onnx.py

Graphs are evaluated by onnx_by_torch.py and, where npm can install onnxruntime-node or
S3_ONNXRUNTIME names a folder with its node_modules, by ONNX Runtime.
"""

import gzip
import io
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest

import numpy
import onnx
import s3
import torch
from onnx import TensorProto, helper, numpy_helper
from onnx_by_torch import evaluate
from s3.onnx import graph_of
from support import or_skip, pixels, settled
from torch import nn
from torch.nn import functional as F

HERE = os.path.dirname(os.path.abspath(__file__))
MODEL = os.path.join(HERE, "../../examples/models/fashion_mnist.safetensors")
DATA = "/usr/share/datasets/fashion-mnist"


def first(x):
    """Channels first."""
    return numpy.ascontiguousarray(numpy.moveaxis(x, -1, 1))


def graph(nodes, shape, constants=(), opset=13, kind=TensorProto.FLOAT, output="y"):
    """A graph of one input x; `constants` are arrays by name, and nodes (op, inputs, output, options)."""
    made = [helper.make_node(op, inputs, [out], f"{op}_{out}", **options)
            for op, inputs, out, options in nodes]
    g = helper.make_graph(made, "g", [helper.make_tensor_value_info("x", kind, shape)],
                          [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
                          [numpy_helper.from_array(numpy.asarray(a), n)
                           for n, a in dict(constants).items()])
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", opset),
                                               helper.make_opsetid("com.microsoft", 1)])


def exported(model, x, **options):
    """A torch.nn.Module as torch.onnx exports it."""
    file = io.BytesIO()
    torch.onnx.export(model, x[:1], file, **options)
    return onnx.load_from_string(file.getvalue())


def weights(*shape, seed=1):
    return (numpy.random.default_rng(seed).normal(size=shape) / numpy.sqrt(numpy.prod(shape[1:]))
            ).astype("f4")


def off(ours, theirs):
    """The error of outputs with channels last, relative to how much they differ between images."""
    theirs = numpy.moveaxis(theirs, 1, -1).reshape(ours.shape)
    return numpy.linalg.norm(ours - theirs) / numpy.linalg.norm(theirs - theirs.mean(0))


class Blocks(nn.Module):
    """What CNNs consist of: residuals, depthwise convolutions, squeeze-and-excite, branches."""

    def __init__(self, head=7):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8),
                                  nn.Hardswish())
        self.depthwise = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=8)
        self.point = nn.Conv2d(8, 8, 1)
        self.squeeze, self.excite = nn.Conv2d(8, 4, 1), nn.Conv2d(4, 8, 1)
        self.down = nn.Conv2d(16, 6, 3, 2, 1)
        self.head = nn.Linear(6 * 16, head)

    def forward(self, x):
        x = self.stem(x)
        x = F.relu6(self.point(F.relu6(self.depthwise(x))) + x)
        s = F.adaptive_avg_pool2d(x, 1)
        x = x * torch.sigmoid(self.excite(torch.relu(self.squeeze(s))))
        y = F.interpolate(F.max_pool2d(x, 2), scale_factor=2, mode="nearest")
        x = torch.cat([y, F.leaky_relu(x, 0.2)], 1)
        x = F.avg_pool2d(x, 3, 1, 1)
        return self.head(torch.flatten(F.silu(self.down(x)), 1))


def convert(test, *arguments, **options):
    return or_skip(test, s3.convert_onnx, *arguments, **options)


def fashion(name, start):
    with gzip.open(os.path.join(DATA, name + "-ubyte.gz")) as file:
        return numpy.frombuffer(file.read()[start:], numpy.uint8)


class FloatGraphs(unittest.TestCase):
    def check(self, model, x, limit, **options):
        """A network that equals its own definition, and the graph's outputs up to rounding."""
        net = convert(self, model, x, format="int8", **options)
        numpy.testing.assert_array_equal(net.run(x, integers=True), net.reference(x))
        real = (x / 255).astype("f4")
        self.assertLess(off(net.run(x), evaluate(model, first(real))), limit)
        return net

    def test_the_graph_and_the_module_give_the_same_network(self):
        torch.manual_seed(0)
        x = pixels(16, 8, 8, 3)
        real = torch.from_numpy(first(x) / 255).float()
        model = settled(Blocks(), real)
        kept = dict(training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False)
        expected = s3.convert_network(model, x, format="int8")
        for opset in (9, 11, 13, 14, 17):
            with self.subTest(opset=opset):
                net = convert(self, exported(model, real, opset_version=opset, **kept), x, format="int8")
                numpy.testing.assert_array_equal(net.run(x, integers=True),
                                                 expected.run(x, integers=True))
                named = {l["name"]: l["format"] for l in net._network.layers()}
                self.assertEqual(named["depthwise"], "int8")
                self.assertEqual({n for n in named if "/" not in n}, {
                    "stem.0", "depthwise", "point", "squeeze", "excite", "down", "head"})
        with torch.no_grad():
            self.assertLess(off(expected.run(x), model(real).numpy()), 0.15)
        # As most are exported: norms folded, and the batch open.
        folded = exported(model, real, input_names=["x"], dynamic_axes={"x": {0: "batch"}})
        self.assertFalse([n for n in folded.graph.node if n.op_type == "BatchNormalization"])
        net = convert(self, folded, x, format="int8")
        with torch.no_grad():
            self.assertLess(off(net.run(x), model(real).numpy()), 0.15)

    def test_sequences_and_vectors(self):
        torch.manual_seed(0)
        for model, shape in [
                (nn.Sequential(nn.Conv1d(6, 8, 9, 2, 4), nn.BatchNorm1d(8), nn.ReLU(), nn.MaxPool1d(2),
                               nn.Conv1d(8, 8, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool1d(1),
                               nn.Flatten(), nn.Linear(8, 4)), (40, 6)),
                (nn.Sequential(nn.Linear(20, 16), nn.ReLU(), nn.Linear(16, 3)), (20,))]:
            with self.subTest(shape=shape):
                x = pixels(16, *shape)
                real = torch.from_numpy(first(x) / 255).float()
                net = convert(self, exported(settled(model, real), real), x, format="int8")
                self.assertEqual(net.input_shape, shape)
                with torch.no_grad():
                    self.assertLess(off(net.run(x), model(real).numpy()), 0.15)

    def test_padding_of_every_kind(self):
        x = pixels(12, 9, 9, 2)
        constants = {"w": weights(4, 2, 4, 3), "v": weights(3, 4, 2, 2)}
        for options in [{"auto_pad": "SAME_UPPER", "strides": [2, 2]}, {"auto_pad": "SAME_LOWER"},
                        {"auto_pad": "VALID"}, {"pads": [1, 0, 2, 1]}, {"pads": [1, 1, 1, 1]}]:
            with self.subTest(options):
                self.check(graph([("Conv", ["x", "w"], "a", options), ("Relu", ["a"], "b", {}),
                                  ("MaxPool", ["b"], "c", {"kernel_shape": [3, 3], "strides": [2, 2],
                                                           "pads": [0, 0, 1, 1]}),
                                  ("Conv", ["c", "v"], "y", {})], ["N", 2, 9, 9], constants), x, 0.1)
        self.check(graph([("Pad", ["x", "pads"], "a", {}), ("Conv", ["a", "w"], "y", {})],
                         [1, 2, 9, 9], {**constants, "pads": [0, 0, 1, 2, 0, 0, 0, 3]}), x, 0.1)

    def test_constants_that_multiply_and_add(self):
        x = pixels(12, 6, 6, 2)
        constants = {"mean": numpy.float32([0.4, 0.6]).reshape(2, 1, 1), "half": numpy.float32(0.5),
                     "gain": weights(1, 4, 1, 1), "w": weights(4, 2, 3, 3), "v": weights(3, 4, 1, 1),
                     "g": weights(4), "b": weights(4, seed=2), "m": weights(4, seed=3),
                     "s": numpy.full(4, 0.8, "f4")}
        tail = ("Conv", ["d", "v"], "y", {})
        normalized = [("Sub", ["x", "mean"], "n", {}), ("Div", ["n", "half"], "a", {})]
        for name, nodes in {
                "of the input": [*normalized, ("Conv", ["a", "w"], "d", {}), tail],
                "of a convolution": [("Conv", ["x", "w"], "a", {}), ("Mul", ["a", "gain"], "b", {}),
                                     ("Add", ["b", "half"], "c", {}), ("Relu", ["c"], "d", {}), tail],
                "of their own": [("Conv", ["x", "w"], "a", {}), ("Relu", ["a"], "b", {}),
                                 ("Sub", ["half", "b"], "c", {}), ("Mul", ["gain", "c"], "d", {}), tail],
                "a norm of its own": [("Conv", ["x", "w"], "a", {}), ("Relu", ["a"], "c", {}), (
                    "BatchNormalization", ["c", "g", "b", "m", "s"], "d", {}), tail]}.items():
            with self.subTest(name):
                self.check(graph(nodes, ["N", 2, 6, 6], constants), x, 0.15)
        only = convert(self, graph([*normalized, ("Conv", ["a", "w"], "y", {})], ["N", 2, 6, 6],
                                   constants), x)
        self.assertEqual([l["kind"] for l in only._network.layers()], ["convolution"])

    def test_axes_that_move(self):
        """A graph as from TensorFlow: channels last, and a flatten in that order."""
        x = pixels(12, 6, 5, 3)
        nodes = [("Transpose", ["x"], "a", {"perm": [0, 3, 1, 2]}), ("Conv", ["a", "w"], "b", {}),
                 ("Transpose", ["b"], "c", {"perm": [0, 2, 3, 1]}), ("Add", ["c", "bias"], "d", {}),
                 ("Relu", ["d"], "e", {}), ("Reshape", ["e", "shape"], "f", {}),
                 ("MatMul", ["f", "m"], "g", {}), ("Add", ["g", "last"], "y", {})]
        constants = {"w": weights(4, 3, 3, 3), "bias": weights(4), "shape": [-1, 48],
                     "m": weights(5, 48).T, "last": weights(5)}
        model = graph(nodes, ["N", 6, 5, 3], constants)
        net = convert(self, model, x, format="int8")
        real = (x / 255).astype("f4")
        self.assertLess(off(net.run(x), evaluate(model, real)), 0.1)
        by_reals = convert(self, model, real, format="int8")
        numpy.testing.assert_array_equal(by_reals.run(x), net.run(x))

    def test_the_oldest_opset(self):
        """What became an input later is an attribute in it."""
        x = pixels(12, 6, 6, 2)
        constants = {"w": weights(4, 2, 3, 3), "m": weights(4, 3), "one": numpy.ones(4, "f4"),
                     "zero": numpy.zeros(4, "f4"), "b": numpy.zeros(3, "f4")}
        nodes = [("Pad", ["x"], "a", {"pads": [0, 0, 1, 0, 0, 0, 0, 1]}), ("Conv", ["a", "w"], "b0", {}),
                 ("BatchNormalization", ["b0", "one", "zero", "zero", "one"], "c", {}),
                 ("Clip", ["c"], "d", {"min": 0.0, "max": 6.0}), ("Dropout", ["d"], "e", {"ratio": 0.5}),
                 ("Upsample", ["e"], "f", {"scales": [1.0, 1.0, 2.0, 2.0]}),
                 ("ReduceMean", ["f"], "g", {"axes": [2, 3]}), ("Squeeze", ["g"], "h", {"axes": [2, 3]}),
                 ("Gemm", ["h", "m", "b"], "y", {})]
        self.check(graph(nodes, ["N", 2, 6, 6], constants, 7), x, 0.1)

    def test_newer_opsets(self):
        x = pixels(12, 6, 6, 2)
        constants = {"w": weights(4, 2, 3, 3), "axes": [2, 3], "one": [-1], "m": weights(4, 3)}
        nodes = [("Conv", ["x", "w"], "a", {}), ("HardSwish", ["a"], "b", {}),
                 ("ReduceMean", ["b", "axes"], "c", {"keepdims": 0}), ("Gemm", ["c", "m"], "y", {})]
        for opset in (18, 21):
            with self.subTest(opset=opset):
                self.check(graph(nodes, ["N", 2, 6, 6], constants, opset), x, 0.1)

    def test_a_value_of_several_readers_is_not_changed_for_one(self):
        x = pixels(12, 6, 6, 2)
        constants = {"w": weights(4, 2, 3, 3), "gain": weights(1, 4, 1, 1), "v": weights(3, 4, 4, 4)}
        for scaled in ("a", "i"):
            with self.subTest(scaled=scaled):
                self.check(graph([("Conv", ["x", "w"], "a", {}), ("Identity", ["a"], "i", {}),
                                  ("Mul", [scaled, "gain"], "b", {}), ("Add", ["a", "b"], "c", {}),
                                  ("Conv", ["c", "v"], "y", {})], ["N", 2, 6, 6], constants), x, 0.1)

    def test_an_input_of_several_readers_is_not_changed_for_one(self):
        x = pixels(12, 6, 6, 2)
        constants = {"w": weights(4, 2, 3, 3), "v": weights(4, 2, 3, 3, seed=2),
                     "half": numpy.float32(0.5), "four": numpy.float32(4)}
        sum_of_two = [("Conv", ["b", "w"], "c", {}), ("Conv", ["a", "v"], "d", {}),
                      ("Add", ["c", "d"], "y", {})]
        for name, nodes in {
                "under another name": [("Identity", ["x"], "a", {}), ("Sub", ["a", "half"], "b", {})],
                "changed before": [("Sub", ["x", "half"], "a", {}),
                                   ("Mul", ["a", "four"], "b", {})]}.items():
            with self.subTest(name):
                self.check(graph([*nodes, *sum_of_two], ["N", 2, 6, 6], constants), x, 0.1)
        model = graph([("Transpose", ["x"], "a", {"perm": [0, 3, 1, 2]}),
                       ("Sub", ["a", "half"], "b", {}), *sum_of_two], ["N", 6, 6, 2], constants)
        net = convert(self, model, x, format="int8")
        self.assertLess(off(net.run(x), evaluate(model, (x / 255).astype("f4"))), 0.1)

    def test_the_shape_of_an_input_costs_nothing(self):
        """It is no reader of numbers, so a norm is part of the input as without it."""
        nodes = [("Sub", ["x", "half"], "a", {}), ("Shape", ["x"], "s", {}),
                 ("Reshape", ["a", "s"], "b", {}), ("Conv", ["b", "w"], "y", {})]
        net = convert(self, graph(nodes, ["N", 2, 6, 6], {"w": weights(4, 2, 3, 3),
                                                          "half": numpy.float32(0.5)}),
                      pixels(12, 6, 6, 2))
        self.assertEqual([l["kind"] for l in net._network.layers()], ["convolution"])

    def test_a_part_of_a_shape(self):
        x = pixels(12, 5, 6, 2)
        constants = {"w": weights(4, 2, 3, 3), "two": [2], "factors": [1.0, 1.0, 2.0, 2.0]}
        tail = ("Conv", ["b", "w"], "y", {})
        rule = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        given = graph([("Resize", ["x", "", "factors"], "b", rule), tail], ["N", 2, 5, 6],
                      {**constants, "factors": numpy.float32(constants["factors"])}, 15)
        for ends in ({"end": 2}, {"end": -2}):
            for starts in ({"start": 2}, {"start": -2, "end": 99}):
                with self.subTest(first=ends, second=starts):
                    computed = graph(
                        [("Shape", ["x"], "n", ends), ("Shape", ["x"], "s", starts),
                         ("Mul", ["s", "two"], "t", {}), ("Concat", ["n", "t"], "to", {"axis": 0}),
                         ("Resize", ["x", "", "", "to"], "b", rule), tail], ["N", 2, 5, 6],
                        constants, 15)
                    nets = [convert(self, m, x, format="int8") for m in (given, computed)]
                    numpy.testing.assert_array_equal(nets[0].run(x), nets[1].run(x))

    def test_an_output_by_name(self):
        x = pixels(12, 10)
        model = graph([("Gemm", ["x", "w"], "a", {}), ("Softmax", ["a"], "y", {})], ["N", 10],
                      {"w": weights(10, 4)})
        with self.assertRaisesRegex(s3.Error, "Softmax_y .*leave it out.*output="):
            s3.convert_onnx(model, x)
        net = convert(self, model, x, output="a")
        self.assertEqual(net.run(x).shape, (12, 4))


class QuantizedGraphs(unittest.TestCase):
    """A small network with quantizers everywhere, of uint8 or int8 activations."""

    shape = ["N", 3, 8, 8]

    def numbers(self, kind):
        zeros = {"uint8": ("u1", 0), "int8": ("i1", -128)}[kind]
        random = numpy.random.default_rng(5)
        values = {"x": (1 / 255, 0), "a": (0.02, 0), "b": (0.03, 90), "s": (0.04, 100), "m": (0.04, 100),
                  "g": (0.02, 80), "y": (0.01, 130)}
        constants = {}
        for name, (scale, zero) in values.items():
            constants[name + "_s"] = numpy.float32(scale)
            constants[name + "_z"] = numpy.asarray(zero + zeros[1], zeros[0])
        for name, shape, last in (("w", (6, 3, 3, 3), 1), ("v", (6, 6, 3, 3), 1), ("u", (4, 6), 1)):
            constants[name] = random.integers(-127, 128, shape).astype("i1")
            scale = random.uniform(0.001, 0.004, shape[0] if name != "u" else ()).astype("f4")
            constants[name + "_s"] = scale
            constants[name + "_z"] = numpy.zeros(scale.shape, "i1")
        for name, w, x in (("wb", "w", "x"), ("vb", "v", "a"), ("ub", "u", "g")):
            constants[name] = random.integers(-3000, 3000, constants[w].shape[0]).astype("i4")
            constants[name + "_s"] = constants[w + "_s"] * constants[x + "_s"]
        return constants

    def qdq(self, kind="uint8", last=True):
        nodes = [("QuantizeLinear", ["x", "x_s", "x_z"], "x_q", {}),
                 ("DequantizeLinear", ["x_q", "x_s", "x_z"], "x_r", {})]

        def both(real, name):
            nodes.append(("QuantizeLinear", [real, name + "_s", name + "_z"], name + "_q", {}))
            nodes.append(("DequantizeLinear", [name + "_q", name + "_s", name + "_z"], name + "_r", {}))

        for name in ("w", "v", "u"):
            nodes.append(("DequantizeLinear", [name, name + "_s", name + "_z"], name + "_r", {"axis": 0}))
            nodes.append(("DequantizeLinear", [name + "b", name + "b_s"], name + "b_r", {"axis": 0}))
        nodes.append(("Conv", ["x_r", "w_r", "wb_r"], "a0", {"pads": [1] * 4}))
        nodes.append(("Relu", ["a0"], "a1", {}))
        both("a1", "a")
        nodes.append(("Conv", ["a_r", "v_r", "vb_r"], "b0", {"pads": [1] * 4}))
        both("b0", "b")
        nodes.append(("Add", ["a_r", "b_r"], "s0", {}))
        both("s0", "s")
        nodes.append(("MaxPool", ["s_r"], "m0", {"kernel_shape": [2, 2], "strides": [2, 2]}))
        both("m0", "m")
        nodes.append(("GlobalAveragePool", ["m_r"], "g0", {}))
        both("g0", "g")
        nodes.append(("Flatten", ["g_r"], "g1", {}))
        nodes.append(("Gemm", ["g1", "u_r", "ub_r"], "y0" if last else "y", {"transB": 1}))
        if last:
            both("y0", "y")
        return graph(nodes, self.shape, self.numbers(kind), output="y_r" if last else "y")

    def operators(self, kind="uint8"):
        """The same in integers."""
        def quantizer(*names):
            return [n for name in names for n in (name, name + "_s", name + "_z")]

        constants = self.numbers(kind)
        constants["u_t"] = constants["u"]
        names = {n: [n + "_s", n + "_z"] for n in "abgsy"}
        ms, pads = {"domain": "com.microsoft"}, {"pads": [1] * 4}
        nodes = [("QuantizeLinear", quantizer("x"), "xq", {}),
                 ("QLinearConv", ["xq", "x_s", "x_z", *quantizer("w"), *names["a"], "wb"], "a", pads),
                 ("QLinearConv", [*quantizer("a", "v"), *names["b"], "vb"], "b", pads),
                 ("QLinearAdd", [*quantizer("a", "b"), *names["s"]], "s", ms),
                 ("MaxPool", ["s"], "m", {"kernel_shape": [2, 2], "strides": [2, 2]}),
                 ("QLinearGlobalAveragePool", ["m", "s_s", "s_z", *names["g"]], "g", ms),
                 ("Flatten", ["g"], "f", {}),
                 ("QGemm", ["f", "g_s", "g_z", *quantizer("u"), "ub", *names["y"]], "y",
                  {"transB": 1, **ms}),
                 ("DequantizeLinear", quantizer("y"), "y_r", {})]
        return graph(nodes, self.shape, constants, output="y_r")

    def test_scales_are_taken_as_given(self):
        x = pixels(64, 8, 8, 3)
        for kind in ("uint8", "int8"):
            for last in (True, False):
                with self.subTest(kind=kind, last=last):
                    model = self.qdq(kind, last)
                    net = convert(self, model)  # without samples where all is given
                    numpy.testing.assert_array_equal(net.run(x, integers=True), net.reference(x))
                    self.assertEqual((net.input_zero_point, net.run(x).shape), (0, (64, 4)))
                    self.assertAlmostEqual(net.input_scale, 1 / 255)
                    values = net._network.model()["values"]
                    self.assertEqual([v["zero_point"] for v in values[:7]], [0, 0, 90, 100, 100, 80,
                                                                             130 if last else 0])
                    errors = {r["weight_error"] for r in net._network.report()}
                    self.assertLess(max(errors), 1e-6)
                    self.assertEqual({l["format"] for l in net._network.layers()}, {"int8", ""})

    def test_every_value_is_what_the_graph_computes(self):
        x = pixels(16, 8, 8, 3)
        for name, least, most in (("a", 1, 0), ("b", 1, 0), ("s", 0.7, 1), ("m", 0.7, 1),
                                  ("g", 0.7, 1), ("y", 0.4, 2)):
            with self.subTest(name):
                model = self.qdq()
                net = convert(self, model, output=name + "_r")
                model.graph.output[0].name = name + "_r"
                theirs = evaluate(model, first(x / 255).astype("f4"))
                ours = net.run(x)
                theirs = numpy.moveaxis(theirs, 1, -1).reshape(ours.shape)
                steps = numpy.rint(abs(ours - theirs) / self.numbers("uint8")[name + "_s"])
                self.assertGreaterEqual((steps == 0).mean(), least)  # additions round each summand
                self.assertLessEqual(steps.max(), most)

    def test_operators_of_integers_give_the_same_network(self):
        for kind in ("uint8", "int8"):
            ours, theirs = (convert(self, m)._network.model() for m in (self.qdq(kind),
                                                                       self.operators(kind)))
            self.assertEqual(len(ours["layers"]), len(theirs["layers"]))
            for a, b in zip(ours["values"] + ours["layers"], theirs["values"] + theirs["layers"]):
                for key in a.keys() - {"name"}:
                    numpy.testing.assert_array_equal(a[key], b[key], key)

    def test_weights_are_rounded_where_a_format_is_asked_for(self):
        x = pixels(16, 8, 8, 3)
        net = convert(self, self.qdq(), x, format="shift3")
        self.assertEqual([l["format"] for l in net._network.layers() if l["format"]],
                         ["int8", "shift3", "int8"])
        real = first(x / 255).astype("f4")
        self.assertLess(off(net.run(x), evaluate(self.qdq(), real)), 0.7)
        by_reals = convert(self, self.qdq(), real, format="shift3")  # bytes, as the graph rounds them
        self.assertEqual(by_reals._network.bytes(), net._network.bytes())

    def test_an_input_with_a_zero_point(self):
        """What the graph does not quantize is calibrated on the real numbers that bytes stand for."""
        model = graph([("QuantizeLinear", ["x", "s", "z"], "a", {}),
                       ("DequantizeLinear", ["a", "s", "z"], "b", {}), ("Tanh", ["b"], "y", {})],
                      ["N", 256], {"s": numpy.float32(1 / 16), "z": numpy.uint8(128)})
        x = numpy.arange(256, dtype="u1")[None]
        net = convert(self, model, x)
        self.assertEqual((net.input_scale, net.input_zero_point), (1 / 16, 128))
        numpy.testing.assert_allclose(net.run(x)[0], numpy.tanh((numpy.arange(256) - 128) / 16),
                                      atol=0.01)

    def test_bytes_without_a_quantizer(self):
        """A graph whose input is bytes, and one whose weights are quantized in the graph."""
        constants = {"s": numpy.float32(1 / 255), "w": weights(4, 2, 3, 3), "w_s": numpy.float32(0.01),
                     "w_z": numpy.int8(0), "o_s": numpy.float32(0.02), "o_z": numpy.uint8(99)}
        x = pixels(12, 6, 6, 2)
        nodes = [("Cast", ["x"], "a", {"to": TensorProto.FLOAT}), ("Mul", ["a", "s"], "b", {}),
                 ("QuantizeLinear", ["w", "w_s", "w_z"], "w_q", {}),
                 ("DequantizeLinear", ["w_q", "w_s", "w_z"], "w_r", {}),
                 ("Conv", ["b", "w_r"], "c", {}), ("QuantizeLinear", ["c", "o_s", "o_z"], "d", {}),
                 ("DequantizeLinear", ["d", "o_s", "o_z"], "y", {})]
        model = graph(nodes, ["N", 2, 6, 6], constants, kind=TensorProto.UINT8)
        net = convert(self, model)
        steps = abs(net.run(x) - numpy.moveaxis(evaluate(model, first(x)), 1, -1)) / 0.02
        self.assertLess(steps.max(), 1.01)
        self.assertLess((steps > 0.5).mean(), 0.01)
        # A quantizer right after the cast: bytes of the input stay what they are.
        constants.update(t=numpy.float32(2), tz=numpy.uint8(30))
        model = graph([nodes[0], ("QuantizeLinear", ["a", "t", "tz"], "q", {}),
                       ("DequantizeLinear", ["q", "t", "tz"], "b", {}), ("Conv", ["b", "w"], "y", {})],
                      ["N", 2, 6, 6], constants, kind=TensorProto.UINT8)
        net = convert(self, model, x, format="int8")
        self.assertEqual((net.input_scale, net.input_zero_point), (1, 0))
        self.assertLess(off(net.run(x), evaluate(model, first(x))), 0.1)


    def test_a_value_that_is_also_read_without_a_quantizer(self):
        """The quantizer clamps it for its own readers alone."""
        x = pixels(24, 6, 6, 2)
        constants = {"w": 4 * weights(4, 2, 3, 3), "v": weights(4, 4, 1, 1),
                     "p": weights(4, 2, 1, 1), "u": weights(4, 2, 1, 1, seed=2)}
        for name, scale in (("n", 0.004), ("i", 0.002), ("f", 0.04)):
            constants[name] = numpy.float32(scale)
        for name, zero in (("n", 0), ("i", 0), ("f", 128)):
            constants[name + "z"] = numpy.uint8(zero)

        def quantized(real, quantizer, result):
            return [("QuantizeLinear", [real, quantizer, quantizer + "z"], result + "_q", {}),
                    ("DequantizeLinear", [result + "_q", quantizer, quantizer + "z"], result, {})]

        conv = ("Conv", ["x", "w"], "c", {})
        pool = ("MaxPool", ["c"], "m", {"kernel_shape": [2, 2]})
        for name, nodes in {
                "a sum": [conv, *quantized("c", "n", "a"), ("Conv", ["a", "v"], "b", {}),
                          ("Add", ["c", "b"], "y", {})],
                "two quantizers": [conv, *quantized("c", "n", "a"), *quantized("c", "f", "b"),
                                   ("Conv", ["a", "v"], "d", {}), ("Add", ["b", "d"], "y", {})],
                "through a maximum": [conv, pool, *quantized("m", "n", "a"),
                                      ("Conv", ["a", "v"], "b", {}), ("Add", ["m", "b"], "y", {})],
                "before a maximum": [conv, pool, *quantized("m", "n", "a"),
                                     ("MaxPool", ["c"], "d", {"kernel_shape": [2, 2]}),
                                     ("Add", ["d", "a"], "y", {})],
                "the input": [*quantized("x", "i", "a"), ("Conv", ["a", "p"], "b", {}),
                              ("Conv", ["x", "u"], "d", {}), ("Add", ["b", "d"], "y", {})]}.items():
            with self.subTest(name):
                model = graph(nodes, ["N", 2, 6, 6], constants)
                net = convert(self, model, x, format="int8")
                numpy.testing.assert_array_equal(net.run(x, integers=True), net.reference(x))
                self.assertLess(off(net.run(x), evaluate(model, first(x / 255).astype("f4"))), 0.1)

    def test_what_a_quantizer_clamps_is_not_calibrated_for(self):
        constants = {"w": 4 * weights(4, 2, 3, 3), "mean": numpy.full((4, 4, 1, 1), 0.25, "f4"),
                     "s": numpy.float32(0.004), "z": numpy.uint8(0)}
        model = graph([("Conv", ["x", "w"], "c", {}), ("QuantizeLinear", ["c", "s", "z"], "q", {}),
                       ("DequantizeLinear", ["q", "s", "z"], "a", {}),
                       ("Conv", ["a", "mean"], "b", {}), ("Relu", ["c"], "d", {}),
                       ("Add", ["b", "d"], "y", {})], ["N", 2, 6, 6], constants)
        net = convert(self, model, pixels(24, 6, 6, 2), format="int8")
        steps = {layer["name"]: value["step"] for layer, value in zip(
            net._network.layers(), net._network.model()["values"][1:])}
        self.assertLessEqual(steps["Conv_b"], 1.001 * 0.004)

    def test_quantizers_that_do_the_same_are_one(self):
        """Also where each has constants of its own, from nodes."""
        nodes, constants = [("Conv", ["x_r", "w"], "c", {})], {"w": weights(4, 2, 3, 3)}
        for i, (real, result) in enumerate((("x", "x_r"), ("c", "a"), ("c", "b"))):
            for name, number in ((f"s{i}", numpy.float32(0.01)), (f"z{i}", numpy.uint8(128))):
                nodes.insert(0 if i == 0 else len(nodes), ("Constant", [], name, {
                    "value": numpy_helper.from_array(numpy.asarray(number))}))
            pair = [("QuantizeLinear", [real, f"s{i}", f"z{i}"], result + "_q", {}),
                    ("DequantizeLinear", [result + "_q", f"s{i}", f"z{i}"], result, {})]
            nodes[2 if i == 0 else len(nodes):0] = pair
        constants["t"], constants["tz"] = numpy.float32(0.02), numpy.uint8(128)
        nodes += [("Add", ["a", "b"], "d", {}), ("QuantizeLinear", ["d", "t", "tz"], "e", {}),
                  ("DequantizeLinear", ["e", "t", "tz"], "y", {})]
        net = convert(self, graph(nodes, ["N", 2, 6, 6], constants))  # without samples
        self.assertEqual([l["kind"] for l in net._network.layers()], ["convolution", "addition"])

    def test_zero_points_that_are_left_out(self):
        """They are 0, and so is what Pad pads with: of int8, where the integers are such."""
        x = pixels(24, 6, 6, 2)
        constants = {"s": numpy.float32(1 / 128), "z": numpy.int8(0), "w": weights(4, 2, 3, 3),
                     "pads": [0, 0, 1, 1, 0, 0, 1, 1]}
        tail = ("Conv", ["b", "w"], "y", {})
        model = graph([("DequantizeLinear", ["x", "s"], "b", {}), tail], ["N", 2, 6, 6], constants,
                      kind=TensorProto.INT8)
        net = convert(self, model, x, format="int8")
        self.assertEqual(net.input_zero_point, 128)
        signed = (x.astype("i2") - 128).astype("i1")
        self.assertLess(off(net.run(x), evaluate(model, first(signed))), 0.1)

        quantize = ("QuantizeLinear", ["x", "s", "z"], "q", {})
        padded = graph([quantize, ("Pad", ["q", "pads"], "a", {}),
                        ("DequantizeLinear", ["a", "s"], "b", {}), tail], ["N", 2, 6, 6], constants)
        net = convert(self, padded, x, format="int8")
        later = graph([quantize, ("DequantizeLinear", ["q", "s"], "a", {}),
                       ("Pad", ["a", "pads"], "b", {}), tail], ["N", 2, 6, 6], constants)
        real = ((x - 128.0) / 128).astype("f4")
        self.assertLess(off(net.run(x), evaluate(later, first(real))), 0.1)
        sums = [convert(self, graph([quantize, ("QLinearAdd", ["q", "s", zero] * 2 + last, "a",
                                                {"domain": "com.microsoft"}),
                                     ("DequantizeLinear", ["a", "t", "z"], "y", {})],
                                    ["N", 2, 6, 6], {**constants, "t": numpy.float32(1 / 64)}))
                for zero, last in (("", ["t"]), ("z", ["t", "z"]))]
        self.assertEqual(*(net._network.bytes() for net in sums))
        constants["z"] = numpy.int8(-128)
        with self.assertRaisesRegex(s3.Error, "it pads with 128, not with zeros"):
            s3.convert_onnx(graph([quantize, ("Pad", ["q", "pads"], "a", {}),
                                   ("DequantizeLinear", ["a", "s", "z"], "b", {}), tail],
                                  ["N", 2, 6, 6], constants), x)

    def test_a_bias_is_scaled_as_the_products_are(self):
        random = numpy.random.default_rng(3)
        w, c = random.integers(-127, 128, (8, 5)).astype("i1"), random.integers(-9999, 9999, 5)
        constants = {"s": numpy.float32(1 / 255), "z": numpy.uint8(0), "w": w, "wz": numpy.int8(0),
                     "ws": numpy.float32(0.01), "c": c.astype("i4")}
        model = graph([("QGemm", ["x", "s", "z", "w", "ws", "wz", "c"], "y",
                        {"alpha": 0.25, "domain": "com.microsoft"})], ["N", 8], constants,
                      kind=TensorProto.UINT8)
        x = pixels(24, 8)
        theirs = 0.25 * 0.01 / 255 * (x.astype("i8") @ w.astype("i8") + c)
        self.assertLess(off(convert(self, model, x).run(x), theirs), 0.02)

    def test_axes_of_scales_are_counted_from_the_last_too(self):
        x = pixels(12, 6, 6, 2)
        random = numpy.random.default_rng(4)
        constants = {"q": random.integers(-127, 128, (4, 2, 3, 3)).astype("i1"), "w": weights(4, 2, 3, 3),
                     "s": random.uniform(0.001, 0.01, 4).astype("f4"), "z": numpy.zeros(4, "i1")}
        for nodes in ([("DequantizeLinear", ["q", "s", "z"], "r", {})],
                      [("QuantizeLinear", ["w", "s", "z"], "p", {}),
                       ("DequantizeLinear", ["p", "s", "z"], "r", {})]):
            bytes_of = [convert(self, graph(
                [(*n[:3], {"axis": axis}) for n in nodes] + [("Conv", ["x", "r"], "y", {})],
                ["N", 2, 6, 6], constants), x)._network.bytes() for axis in (0, -4)]
            self.assertEqual(*bytes_of)


class BadGraphs(unittest.TestCase):
    def refused(self, model, *parts, samples=None, **options):
        with self.assertRaises(s3.Error) as raised:
            s3.convert_onnx(model, samples, **options)
        for part in parts:
            self.assertIn(part, str(raised.exception))
        return str(raised.exception)

    def test_all_operators_are_named_at_once(self):
        model = graph([("Conv", ["x", "w"], "a", {}), ("LSTM", ["a"], "b", {}), ("Erf", ["b"], "c", {}),
                       ("Conv", ["a", "w"], "d", {"auto_pad": "SAME"}),
                       ("Mish", ["d"], "e", {"domain": "my"}),
                       ("MaxPool", ["a"], "f", {"kernel_shape": [2, 2], "ceil_mode": 1,
                                                "strides": [2, 2]}),
                       ("Add", ["x", "a"], "g", {}), ("Concat", ["c", "e", "f", "g"], "y", {"axis": 1})],
                      ["N", 3, 5, 5], {"w": weights(3, 3, 3, 3)})
        text = self.refused(model, "6 operations of the graph cannot be converted:",
                            "LSTM_b (LSTM): there is no such layer", "Erf_c (Erf)", "auto_pad=SAME",
                            "Mish_e (Mish): there is no such layer in the domain my", "ceil_mode=1",
                            "Add_g (Add): of shapes [1, 3, 5, 5] and [1, 3, 3, 3]")
        self.assertEqual(len(text.splitlines()), 7)

    def test_quantizers_that_do_not_fit(self):
        constants = {"w": weights(3, 3), "s": numpy.float32(0.1), "z": numpy.uint8(3),
                     "wide": numpy.int16(3), "two": numpy.float32([0.1, 0.2, 0.3]),
                     "none": numpy.float32(0), "other": numpy.float32(0.2),
                     "q": numpy.full((3, 3), 100, "i1"), "far": numpy.int8(-100),
                     "minus": numpy.float32(-1), "signed": numpy.int8(3 - 128)}

        def nodes(*quantizer, back=("s", "z"), weights="w"):
            return [("QuantizeLinear", ["x", *quantizer], "a", {}),
                    ("DequantizeLinear", ["a", *back], "b", {}), ("Gemm", ["b", weights], "y", {})]

        for text, given in {
                "activations of int16: uint8 and int8 are known": nodes("s", "wide"),
                "activations have 3 scales": nodes("two", "z"), "0.0 is not positive": nodes("none", "z"),
                "-1.0 is not positive": nodes("minus", "z"),
                "are not those that the integers were made with": nodes("s", "z", back=("other", "z")),
                "its zero point is of int8, its integers are of uint8": nodes("s", "z",
                                                                              back=("s", "signed")),
                "3 scales along axis 2 of weights of shape [3, 3]": [
                    ("DequantizeLinear", ["q", "two"], "r", {"axis": 2}),
                    ("Gemm", ["x", "r"], "y", {})],
                "it quantizes integers": [("QuantizeLinear", ["x", "s", "z"], "a", {}),
                                          ("QuantizeLinear", ["a", "s", "z"], "y", {})],
                "less their zero point, go from 200 to 200: they must fit int8": [
                    ("DequantizeLinear", ["q", "s", "far"], "r", {}), ("Gemm", ["x", "r"], "y", {})],
                "weights of int16": [("DequantizeLinear", ["wide", "s"], "r", {}),
                                     ("Gemm", ["x", "r"], "y", {})],
                "one for all, or one per output": [
                    ("DequantizeLinear", ["q", "two"], "r", {"axis": 0}),
                    ("Gemm", ["x", "r"], "y", {})]}.items():
            with self.subTest(text):
                self.refused(graph(given, ["N", 3], constants), text)
        self.refused(graph(nodes("s", "z"), ["N", 3], constants), "quantizes its input itself", mean=0.5)
        bytes_read = [("DequantizeLinear", ["x", "s", "z"], "a", {}),
                      ("Cast", ["x"], "b", {"to": TensorProto.FLOAT}), ("Add", ["a", "b"], "y", {})]
        for order in (bytes_read, [bytes_read[1], bytes_read[0], bytes_read[2]]):
            with self.assertRaises(s3.Error):
                s3.convert_onnx(graph(order, ["N", 3], constants, kind=TensorProto.UINT8), pixels(2, 3))

    def test_graphs_that_are_not_static(self):
        w = {"w": weights(3, 3, 3, 3)}
        conv = [("Conv", ["x", "w"], "y", {})]
        self.refused(graph(conv, ["N", 3, "height", "width"], w),
                     "input 'x' has the shape [N, 3, height, width]",
                     "only the first, the batch, may be open")
        for opset in (1, 6, 22):
            self.refused(graph(conv, ["N", 3, 5, 5], w, opset), f"opset {opset}: 7 to 21 are known")
        self.refused(graph(conv, ["N", 3, 5, 5], w, kind=TensorProto.DOUBLE), "input 'x' is of DOUBLE")
        self.refused(graph(conv, ["N", 3, 5, 5]), "reads 'w', which nothing computes")
        self.refused(graph(conv, ["N", 3, 5, 5], w), "no node computes the output 'z'", output="z")
        self.refused(graph([("Identity", ["x"], "y", {})], ["N", 3, 5, 5]),
                     "must be the value of the last layer")
        self.refused(graph(conv, ["N", 3, 5, 5], {"w": weights(3, 3)}),
                     "its weights have the shape [3, 3]")
        self.refused(graph([("Transpose", ["x"], "a", {"perm": [0, 9, 1, 2]}),
                            ("Conv", ["a", "w"], "y", {})], ["N", 3, 5, 5], w),
                     "Transpose_a (Transpose): is malformed: ")
        self.refused(graph([*conv, ("Relu", ["y"], "z", {})], ["N", 3, 5, 5], w), "sample images",
                     output="z")
        self.refused(graph(conv, ["N", 3, 5, 5], w), "must have the shape [N, 5, 5, 3], not [2, 5, 5, 4]",
                     samples=pixels(2, 5, 5, 4))
        self.refused(graph(conv, ["N", 3, 5, 5], w), "must have the shape [N, 3, 5, 5]",
                     samples=pixels(2, 5, 5, 3) / 255)
        two = graph(conv, ["N", 3, 5, 5], w)
        two.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
        self.refused(two, "2 outputs (y, z): say which is wanted, output=")
        self.refused(graph([("Relu", ["w"], "a", {}), ("Conv", ["x", "a"], "y", {})], ["N", 3, 5, 5], w),
                     "Relu_a (Relu): is malformed: ")
        for mine, reads in (("Mul", ["w", "w"]), ("Shape", ["x"])):
            self.refused(graph([(mine, reads, "a", {"domain": "my"}), ("Conv", ["x", "a"], "y", {})],
                               ["N", 3, 5, 5], w),
                         f"{mine}_a ({mine}): there is no such layer in the domain my")
        self.refused(graph([("Conv", ["x", "w"], "a", {}),
                            ("Transpose", ["a"], "b", {"perm": [0, 1, 3, 2]}), ("Relu", ["b"], "y", {})],
                           ["N", 3, 5, 5], w),
                     "output 'y': it has the axes ['N', 'C', 'W', 'H']: those of an image must be in")
        self.refused(graph([("Conv", ["x", "w"], "a", {}),
                            ("Transpose", ["a"], "b", {"perm": [0, 1, 3, 2]}),
                            ("Sigmoid", ["b"], "s", {}), ("Mul", ["a", "s"], "y", {})],
                           ["N", 3, 5, 5], w), "Mul_y (Mul): of axes")
        self.refused(graph([("Gemm", ["x", "m", "c"], "y", {})], [4, 3],
                           {"m": weights(3, 4), "c": weights(4, 1)}),
                     "its bias has the shape [4, 1], a number per input of the batch")
        self.refused(graph(conv, ["N", 3, 5, 5], w, kind=TensorProto.UINT8), "samples: uint8 is needed",
                     samples=pixels(2, 5, 5, 3) / 255)
        for name in ("mean", "std"):
            self.refused(graph(conv, ["N", 3, 5, 5], w, kind=TensorProto.UINT8),
                         f"{name}: the graph's input is uint8", samples=pixels(2, 5, 5, 3),
                         **{name: 0.5})
        self.refused(graph(conv, ["N", 3, 5, 5], w), "format: there is no 'nope' (int8, shift2, ",
                     samples=pixels(2, 5, 5, 3), format="nope")
        self.refused(3, "a path or an onnx.ModelProto is needed, not int")

    def test_files(self):
        model = graph([("Conv", ["x", "w"], "y", {})], ["N", 3, 5, 5], {"w": weights(8, 3, 3, 3)})
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "net.onnx")
            whole = model.SerializeToString()
            for size in (0, 10, len(whole) // 2, len(whole) - 40):
                with open(path, "wb") as file:
                    file.write(whole[:size])
                self.refused(path, path)
            self.refused(os.path.join(folder, "none.onnx"), "none.onnx: No such file")
            onnx.save(model, path, save_as_external_data=True, location="weights", size_threshold=0)
            net = convert(self, path, pixels(2, 5, 5, 3))
            data = os.path.join(folder, "weights")
            os.truncate(data, 100)
            self.refused(path, "net.onnx", "tensor 'w'")
            self.refused(onnx.load(path, load_external_data=False),
                         "the graph: tensor 'w' lies in another file")
            os.rename(data, data + ".away")
            self.refused(path, "net.onnx: tensor 'w' lies in the file 'weights', which cannot be read")
            outside = onnx.load(path, load_external_data=False)
            outside.graph.initializer[0].external_data[0].value = "../weights"
            onnx.save(outside, path)
            self.refused(path, "'../weights', which is outside the model's folder")
            with self.assertRaisesRegex(s3.Error, "no/net.onnx: No such file"):
                net.save_onnx(os.path.join(folder, "no/net.onnx"))
            self.assertEqual(sorted(os.listdir(folder)), ["net.onnx", "weights.away"])
            with self.assertRaisesRegex(s3.Error, "quantizers: there are no 'fp8'"):
                net.save_onnx(path, "fp8")

    def test_what_is_no_file_is_not_replaced(self):
        net = s3.load(MODEL)
        with tempfile.TemporaryDirectory() as folder:
            file, link, pipe = (os.path.join(folder, n) for n in ("net.onnx", "link", "pipe"))
            os.symlink("net.onnx", link)
            for _ in range(2):  # a link that leads nowhere yet, and then to a file
                net.save_onnx(link)
                self.assertTrue(os.path.islink(link))
                onnx.load(file)
            os.mkfifo(pipe)
            with self.assertRaisesRegex(s3.Error, "pipe: is not a regular file"):
                net.save_onnx(pipe)
            self.assertEqual(sorted(os.listdir(folder)), ["link", "net.onnx", "pipe"])


def networks(test):
    """Networks of every kind of layer, and images for them, by what is special in them."""
    torch.manual_seed(0)
    x = pixels(24, 8, 8, 3)
    model = settled(Blocks(), torch.from_numpy(first(x) / 255).float())
    norm = dict(mean=[0.4, 0.5, 0.45], std=[0.2, 0.25, 0.3])
    yield "int8", s3.convert_network(model, x, format="int8"), x
    yield "bits", s3.convert_network(model, x, format="int8", bits=4), x
    yield "norm", s3.convert_network(model, x, format="int8", **norm), x
    yield "float", s3.convert_network(model, x, format="int8", float_last=True), x
    for format in ("shift3", "dense3", "shift4", "dense4", "shift5"):
        try:
            yield format, s3.convert_network(model, x, format=format), x
        except s3.Error as error:
            test.assertIn("format: combination is not supported", str(error))
    yield "image", s3.convert_network(nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid()), x), x
    x = pixels(24, 40, 6)
    yield "sequence", s3.convert_network(nn.Sequential(
        nn.Conv1d(6, 8, 9, 2, 4), nn.ReLU(), nn.MaxPool1d(3, 2, 1), nn.ConstantPad1d((2, 0), 0),
        nn.Conv1d(8, 8, 3), nn.Tanh(), nn.AvgPool1d(2), nn.Upsample(scale_factor=2), nn.Flatten(),
        nn.Linear(8 * 10, 4)), x, format="int8"), x


class WrittenGraphs(unittest.TestCase):
    def same(self, net, ours, theirs, share=0.98):
        """That outputs are the same but for steps of one, where a sum lies between two integers."""
        ours = numpy.moveaxis(ours, -1, 1)
        self.assertEqual(ours.shape, theirs.shape)
        if net._network.layers()[-1]["kind"] == "float_linear":
            return numpy.testing.assert_allclose(theirs, ours, 0.1, 0.02)
        steps = abs(numpy.rint(theirs / net.output_scale) - numpy.rint(ours / net.output_scale))
        self.assertGreaterEqual((steps == 0).mean(), share)

    def real(self, net, x):
        return ((first(x).astype("f4") - net.input_zero_point) * numpy.float32(net.input_scale))

    def test_graphs_compute_what_networks_compute(self):
        for name, net, x in networks(self):
            for quantizers in ("qdq", "qonnx"):
                with self.subTest(name, quantizers=quantizers):
                    model = graph_of(net, quantizers)
                    if quantizers == "qdq":
                        onnx.checker.check_model(model, full_check=True)
                    given = first(x) if quantizers == "qdq" else self.real(net, x)
                    self.same(net, net.run(x), evaluate(model, given))

    def test_a_model_of_the_examples(self):
        net, x = s3.load(MODEL), fashion("t10k-images-idx3", 16).reshape(-1, 28, 28, 1)[:300]
        for quantizers, given in (("qdq", first(x)), ("qonnx", self.real(net, x))):
            with self.subTest(quantizers):
                y = evaluate(graph_of(net, quantizers), given)
                numpy.testing.assert_array_equal(numpy.rint(y / net.output_scale),
                                                 net.run(x, integers=True))

    def test_quant_nodes(self):
        net = s3.load(MODEL)
        model = graph_of(net, "qonnx")
        quants = [n for n in model.graph.node if n.op_type == "Quant"]
        self.assertEqual({n.domain for n in quants}, {"qonnx.custom_op.general"})
        self.assertEqual({o.domain for o in model.opset_import}, {"", "qonnx.custom_op.general"})
        constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
        bits = [float(constants[n.input[3]]) for n in quants if n.input[0].endswith(".weight")]
        self.assertEqual(bits, [8, 4, 4, 4, 4, 8])  # 0, ±1, ±2, ±4 are integers of 4 bits

    def test_dense_weights_are_told_as_sign_and_shift(self):
        x = pixels(8, 6, 6, 2)
        try:
            net = s3.convert_network(nn.Sequential(
                nn.Conv2d(2, 4, 3), nn.Conv2d(4, 4, 3), nn.Conv2d(4, 2, 1)), x, format="dense3")
        except s3.Error as error:
            self.skipTest(str(error))
        told = {p.key: p.value for p in graph_of(net).metadata_props}
        self.assertEqual(json.loads(told["s3.exponent_weights"]),
                         {"1.weight": {"type": "sign * 2^shift", "bits": 3, "shifts": [0, 3]}})

    def test_the_program(self):
        with tempfile.TemporaryDirectory() as folder:
            def run(*words):
                return subprocess.run([sys.executable, "-m", "s3", *words], cwd=folder,
                                      capture_output=True, text=True)

            self.assertEqual(run("export", MODEL, "--out", "net.onnx").returncode, 0)
            numpy.save(os.path.join(folder, "x.npy"), pixels(2, 5, 5, 3))
            onnx.save(graph([("Conv", ["x", "w"], "y", {})], ["N", 3, 5, 5], {"w": weights(8, 3, 3, 3)}),
                      os.path.join(folder, "in.onnx"))
            said = run("import", "in.onnx", "--samples", "x.npy", "--out", "net.safetensors")
            self.assertEqual((said.returncode, said.stderr), (0, ""))
            self.assertEqual(s3.load(os.path.join(folder, "net.safetensors")).input_shape, (5, 5, 3))
            said = run("import", "none.onnx", "--out", "net")
            self.assertEqual((said.returncode, said.stderr),
                             (1, "s3shift: none.onnx: No such file or directory\n"))
            numpy.savez(os.path.join(folder, "x.npz"), pixels(2, 5, 5, 3))
            for words, status, text in ((("--samples", "x.npz"), 1, "x.npz: is not an npy file"),
                                        (("--count", "-19"), 2, "'-19' is not a number of samples"),
                                        (("--format", "nope"), 2, "'nope'")):
                said = run("import", "in.onnx", "--samples", "x.npy", *words, "--out", "bad")
                self.assertEqual(said.returncode, status)
                self.assertIn(text, said.stderr)
                self.assertNotIn("Traceback", said.stderr)
                self.assertFalse(os.path.exists(os.path.join(folder, "bad")))


class Example(unittest.TestCase):
    def test_onnx(self):
        with tempfile.TemporaryDirectory() as folder:
            said = subprocess.run([sys.executable, os.path.join(HERE, "../../examples/onnx/main.py"),
                                   "--images", "6000", "--epochs", "1", "--format", "int8",
                                   "--out", folder], capture_output=True, text=True)
            self.assertEqual(said.returncode, 0, said.stderr)
            self.assertEqual(sorted(os.listdir(folder)),
                             ["fashion.onnx", "fashion_qdq.onnx", "fashion_qonnx.onnx"])
        theirs, ours = map(float, re.search(r"PyTorch ([\d.]+)%, in integers ([\d.]+)%",
                                            said.stdout).groups())
        self.assertGreater(theirs, 30)
        self.assertAlmostEqual(ours, theirs, delta=1)


class Runtime(unittest.TestCase):
    """What ONNX Runtime computes of the graphs that s3 writes."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.modules = os.environ.get("S3_ONNXRUNTIME")
        if cls.modules is None:
            try:
                done = subprocess.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund",
                                       "--prefix", cls.folder.name, "onnxruntime-node@^1.20"],
                                      capture_output=True, text=True, timeout=300)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise unittest.SkipTest(f"ONNX Runtime is not tried: npm: {error}")
            if done.returncode:
                raise unittest.SkipTest("ONNX Runtime is not tried: npm cannot install "
                                        f"onnxruntime-node: {done.stderr[-300:]}")
            cls.modules = os.path.join(cls.folder.name, "node_modules")

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    def run_graph(self, net, x):
        given, path, result = (os.path.join(self.folder.name, n) for n in ("x", "net.onnx", "y"))
        net.save_onnx(path)
        first(x).tofile(given)
        said = subprocess.run(["node", os.path.join(HERE, "run_onnx.js"), path, "uint8",
                               ",".join(map(str, first(x).shape)), given, result],
                              env={**os.environ, "NODE_PATH": self.modules},
                              capture_output=True, text=True)
        self.assertEqual(said.returncode, 0, said.stderr)
        ours = net.run(x)
        return ours, numpy.fromfile(result, "f4").reshape(numpy.moveaxis(ours, -1, 1).shape)

    def test_networks(self):
        for name, net, x in networks(self):
            with self.subTest(name):
                WrittenGraphs.same(self, net, *self.run_graph(net, x))

    def test_all_test_images(self):
        net, x = s3.load(MODEL), fashion("t10k-images-idx3", 16).reshape(-1, 28, 28, 1)
        ours, theirs = self.run_graph(net, x)
        numpy.testing.assert_array_equal(theirs.argmax(1), ours.argmax(1))
        steps = abs(numpy.rint(theirs / net.output_scale) - net.run(x, integers=True))
        print(f"{(steps > 0).sum()} of {steps.size} logits differ, by at most {steps.max():.0f}")
        self.assertLessEqual(steps.max(), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)

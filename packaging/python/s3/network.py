"""A network in integers: runs, is saved, inspected and tuned."""

import os

import numpy

from . import _runtime
from .table import Table


class Network:
    """An exact integer network, from s3.load or s3.convert_network.

    It gives the same integers on every machine, for any batch (except a last layer in float). An
    input q, uint8, stands for the real numbers input_scale * (q - input_zero_point); a network from
    an importer that was told of a mean and deviation takes plain pixels.
    """

    def __init__(self, network):
        self._network = network

    @property
    def input_shape(self):
        """The dimensions of one input: (height, width, channels), (length, channels) or (channels,)."""
        return self._network.input_shape

    @property
    def input_scale(self):
        """The real number that one step of the input stands for."""
        return self._network.input_scale

    @property
    def input_zero_point(self):
        """The input that stands for the real number 0."""
        return self._network.input_zero_point

    @property
    def output_scale(self):
        """The factor of run(x, integers=True), less its zero point, that gives run(x)."""
        return self._network.output_scale

    @property
    def instruction_set(self):
        """The instruction set of the kernels that run it."""
        return self._network.instruction_set

    def run(self, x, integers=False, out=None):
        """Outputs, [N, ...] with channels last, of inputs x, uint8 [N, *input_shape]; for one channel also
        without that dimension.

        They are real numbers in float32, or with `integers` the network's own int32 or uint8, which
        are the same on every machine. They go to `out` if it is given, which is then returned. x and
        out are NumPy arrays or anything that has __dlpack__ in the CPU's memory, such as a
        torch.Tensor. Neither is copied, unless x has gaps within images: slices of a batch have none,
        crops of images do. Other Python threads go on meanwhile. Raises s3.Error for another type,
        shape or device, and for inputs of more bits than the network's; out is then unchanged.
        """
        y = self._network.run(_array(x, "input"), integers, None if out is None else _writable(out))
        return y if out is None else out

    def reference(self, x):
        """The integers of `run` by the network's definition, in plain loops: slow, for checks."""
        return self._network.reference(_array(x, "input"))

    def save(self, path):
        """Writes the network as one file, whole or not at all."""
        self._network.save(os.fspath(path))

    def save_onnx(self, path, quantizers="qdq"):
        """Writes the network as an ONNX graph that computes the same; needs the package onnx.

        `quantizers` are "qdq", QuantizeLinear and DequantizeLinear, or "qonnx", the Quant nodes of
        QONNX for FPGA tools. s3.onnx.graph_of(net, quantizers) gives the graph itself.
        """
        from .onnx import save
        save(self, path, quantizers)

    def choose(self, instruction_set="", kernels="automatic", batch=1, layer_kernels=()):
        """Chooses what runs it: an instruction set (by default the best of this machine), a family
        of kernels ("automatic", "dot", or "shift_add", which avoids multiplications), the batch that
        kernels are chosen for, and a kernel by name for each layer."""
        self._network.choose(instruction_set, kernels, batch, list(layer_kernels))

    def tune(self, instruction_set="", kernels="automatic", batch=1, seconds=0.05):
        """Measures each layer's kernels for `seconds`, runs by the fastest from now on, and returns
        their names, which `choose(layer_kernels=...)` takes."""
        return self._network.tune(instruction_set, kernels, batch, seconds)

    def inspect(self):
        """A table of the layers: weights and their bytes, outputs, products, kernels."""
        layers = self._network.layers()
        rows = [[l["name"], l["kind"], l["format"], l["weights"] or "", _share(l["zeros"], l["weights"]),
                 l["bytes"] or "", _by(l["output"]), l["bits"], int(l["products"]) or "", l["kernel"]]
                for l in layers]
        products = sum(l["products"] for l in layers)
        multiplied = sum(l["multiplications"] for l in layers)
        weights, size = (sum(l[key] for l in layers) for key in ("weights", "bytes"))
        note = f"input {_by(self.input_shape)}, {weights:,} weights in {size:,} bytes"
        if products:
            note += f", {100 * (1 - multiplied / products):.1f}% of products without multiplication"
        return Table(["layer", "kind", "format", "weights", "zeros", "bytes", "output", "bits",
                      "products", "kernel"], rows, note)

    def report(self):
        """What conversion did to each layer, as a table; empty for a network from a file.

        Errors are relative root mean squares: of packed weights against those given, of rounded
        activations against float ones on the samples.
        """
        rows = [[r["name"], r["format"], r["method"], r["weights"] or "",
                 f"{100 * r['weight_error']:.2f}%" if r["weights"] else "", r["bits"], r["scale"],
                 f"{100 * r['activation_error']:.2f}%"] for r in self._network.report()]
        return Table(["layer", "format", "method", "weights", "weight error", "bits",
                      "activation scale", "activation error"], rows)

    def __repr__(self):
        layers = self._network.layers()
        return (f"<s3.Network: input {_by(self.input_shape)}, {len(layers)} layers, "
                f"{sum(l['bytes'] for l in layers):,} bytes of weights>")


def load(path):
    """The network in a model file. Raises s3.Error for any other file."""
    return Network(_runtime.load(os.fspath(path)))


def _array(x, name):
    """x as a NumPy array of the same memory, if it is an array."""
    if isinstance(x, numpy.ndarray) or not hasattr(x, "__dlpack__"):
        return numpy.asarray(x)
    try:
        return numpy.from_dlpack(x)
    except (AttributeError, BufferError, RuntimeError, TypeError, ValueError) as error:
        raise _runtime.Error(f"{name}: {error}") from error


def _writable(out):
    """An array that may be written, of the memory of `out`."""
    if isinstance(out, numpy.ndarray):
        return out
    if not hasattr(out, "__dlpack__"):
        raise _runtime.Error("out: an array or a tensor is needed, not " + type(out).__name__)
    array = _array(out, "out")
    if not array.flags.writeable:  # as all are that older NumPy makes of __dlpack__
        writable = numpy.asarray(out)
        if writable.ctypes.data == array.ctypes.data and writable.strides == array.strides:
            return writable
    return array


def _by(shape):
    return "x".join(map(str, shape))


def _share(part, whole):
    return f"{100 * part / whole:.1f}%" if whole else ""

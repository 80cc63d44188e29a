"""ONNX graphs: s3.convert_onnx reads them, and Network.save_onnx writes them.

    s3shift import net.onnx --samples images.npy --out net.safetensors
    s3shift export net.safetensors --out net.onnx

do both without a line of Python, as `python3 -m s3.onnx` does. All need the Python package onnx.
"""

import os
import tempfile

import numpy

from .. import _runtime
from .._runtime import Error
from ..convert import bytes_of, check_norm
from ..network import Network

FORMATS = ("int8", *(f"{kind}{bits}" for kind in ("shift", "dense") for bits in (2, 3, 4, 5)))


def convert_onnx(model, samples=None, mean=None, std=None, format=None, bits=8, float_last=False,
                 progress=None, output=None):
    """An exact integer network of an ONNX graph: a path, or an onnx.ModelProto.

    A float graph is converted as s3.convert_network converts modules: norms are folded, weights
    rounded to `format` ("shift3"), and activations calibrated on `samples`, either bytes q, as the
    network will receive them,

        numpy uint8 [N, height, width, channels], [N, length, channels] or [N, channels]

    or a float array of the graph's own inputs, in its own shape, x = (q / 255 - mean) / std.

    In a quantized graph (QuantizeLinear and DequantizeLinear, or QLinearConv and the like) the
    scales and zero points of activations are taken as they are, and so are int8 weights; unless a
    `format` is asked for, to which those between the first and the last layer are rounded. Where the
    graph quantizes its input, and reads it in no other way, the network's input is what it quantizes
    it to, as uint8 (int8 plus 128): net.input_scale and net.input_zero_point. Samples may then be
    left out if the graph quantizes all activations.

    `bits` are those of activations that the graph does not quantize; `float_last` and `progress` are
    those of s3.convert_network. `output` names the tensor that is wanted, by default the graph's
    output. The network has one input and one output, channels last.

    Raises s3.Error that names, by nodes and all at once, what cannot be converted; or what is wrong
    with the file, the weights or the samples.
    """
    from . import graph, reader

    mean, std = check_norm("mean", mean), check_norm("std", std)
    if format not in (None, *FORMATS):
        raise Error(f"format: there is no {format!r} ({', '.join(FORMATS)})")
    proto, where = graph.load(model)
    read = reader.Reader(graph.Graph(proto, where, output), mean is not None or std is not None)
    read.read()
    sizes, letters = read.sizes, read.letters
    for name, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and read.graph.input_type != "float":
            raise Error(f"{name}: the graph's input is {read.graph.input_type}, which has no mean and "
                        "deviation: leave it out")
        if numbers is not None and numbers.size not in (1, sizes[-1]):
            raise Error(f"{name}: has {numbers.size} numbers, but the input has {sizes[-1]} "
                        "channels")
    if format is None:
        format = "int8" if read.quantized_weights else "shift3"
    pixels = _pixels(samples, sizes, letters, read, mean, std)
    description = read.head(mean, std) + read.description.text()
    return Network(_runtime.import_network(read.description.tensors, description, pixels, bits, format,
                                           float_last, progress))


def graph_of(network, quantizers="qdq"):
    """The onnx.ModelProto that Network.save_onnx writes.

    "qdq": QuantizeLinear and DequantizeLinear, for ONNX Runtime and others. The input is uint8, what
    Network.run takes, but [N, channels, height, width].
    "qonnx": Quant nodes of the domain qonnx.custom_op.general, with the bits of each value, for FPGA
    tools. The input is real numbers, input_scale * (q - input_zero_point). Weights of dense formats
    are told in the metadata "s3.exponent_weights": by the weights' name, their bits and shifts
    (a sign and a shift is what hls4ml calls ExponentPrecisionType).

    The output is Network.run's, [N, classes] or [N, channels, height, width].
    """
    from .writer import graph_of
    return graph_of(network, quantizers)


def save(network, path, quantizers="qdq"):
    """Writes `graph_of(network, quantizers)` as one file, whole or not at all. Where `path` is a
    symbolic link, that is the file that it leads to; a device or a pipe is not replaced."""
    path = os.fspath(path)
    try:
        place = os.path.realpath(path)
        if os.path.exists(path) and not os.path.isfile(path):
            raise Error(f"{path}: is not a regular file")
        data = graph_of(network, quantizers).SerializeToString()
        with tempfile.TemporaryDirectory(dir=os.path.dirname(place)) as folder:
            whole = os.path.join(folder, "whole")
            with open(whole, "wb") as file:
                file.write(data)
            os.replace(whole, place)
    except OSError as error:
        raise Error(f"{path}: {error.strerror}") from None
    except ValueError as error:  # beyond the 2 GB of a protobuf
        raise Error(f"{path}: {error}") from None


def _pixels(samples, sizes, letters, read, mean, std):
    """Samples as bytes, with channels last."""
    if samples is None:
        return numpy.zeros((0, *sizes), numpy.uint8)
    samples = numpy.asarray(samples)
    own = [{"N": "N", **dict(zip("HWC"[-len(sizes):], sizes))}[c] for c in letters]
    real = numpy.issubdtype(samples.dtype, numpy.floating)
    wanted = own if real else ["N", *sizes]
    if real and read.graph.input_type != "float":
        raise Error(f"samples: uint8 is needed, as the graph's input is {read.graph.input_type}")
    if not real and sizes[-1] == 1 and samples.ndim == len(sizes):
        samples = samples[..., None]
    if [*samples.shape[1:]] != wanted[1:] or not samples.size:
        raise Error(f"samples: of {samples.dtype} they must have the shape "
                    f"[{', '.join(map(str, wanted))}], not {[*samples.shape]}")
    if real and letters[1] == "C":
        samples = numpy.moveaxis(samples, 1, -1)
    if real and read.quantizer is not None:
        scale, zero = read.quantizer
        return numpy.rint(samples / scale + zero).clip(0, 255).astype(numpy.uint8)
    return bytes_of(samples, mean, std)

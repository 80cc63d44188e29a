"""Low-bit shift networks: exact integer networks, from trained ones.

    net = s3.convert_network(model, samples)   # a trained torch.nn.Module; needs torch
    net = s3.convert_onnx("net.onnx", samples) # an ONNX graph, float or quantized; needs onnx
    net.save("network.safetensors")            # or net.save_onnx("out.onnx")

    net = s3.load("network.safetensors")       # needs NumPy alone
    logits = net.run(images)                   # uint8, [N, height, width, channels]
    net.inspect()                              # a table, also in a notebook
    net.tune()                                 # measures the fastest kernels here

    layer = s3.linear(weight, bits=3, group=128) # floats in and out; needs NumPy alone
    model, report = s3.convert_linear(model)     # every nn.Linear; needs torch

`s3.torch` trains shift layers. Whatever is refused raises s3.Error, whose text says what and where.
"""

from ._runtime import Error, __version__, instruction_sets
from .convert import convert_linear, convert_network
from .linear_layer import Linear, linear
from .network import Network, load
from .onnx import convert_onnx

__all__ = ["Error", "Linear", "Network", "convert_linear", "convert_network", "convert_onnx",
           "instruction_sets", "linear", "load"]

Error.__module__ = __name__

"""Low-bit shift networks: exact integer networks, from trained ones.

    net = s3.convert_network(model, samples)   # a trained torch.nn.Module; needs torch
    net.save("network.safetensors")

    net = s3.load("network.safetensors")       # needs NumPy alone
    logits = net.run(images)                   # uint8, [N, height, width, channels]
    net.inspect()                              # a table, also in a notebook
    net.tune()                                 # measures the fastest kernels here

`s3.torch` trains shift layers. Whatever is refused raises s3.Error, whose text says what and where.
"""

from ._runtime import Error, instruction_sets
from .convert import convert_network
from .network import Network, load

__all__ = ["Error", "Network", "convert_network", "instruction_sets", "load"]

Error.__module__ = __name__

"""nn.Linear by s3.Linear: what s3.convert_linear makes of a PyTorch module."""

import numpy
import torch
from torch import nn

from ._runtime import Error
from .linear_layer import Linear, linear
from .table import Table


class LinearModule(nn.Module):
    """A module around s3.Linear, for inference on the CPU: it has no gradients."""

    def __init__(self, layer):
        super().__init__()
        self.layer = layer

    def forward(self, x):
        if torch.is_grad_enabled() and x.requires_grad:
            raise Error("x: packed weights give no gradients; call under torch.no_grad()")
        return self.layer(x).to(x.dtype)

    def get_extra_state(self):
        return {"layer": self.layer}

    def set_extra_state(self, state):
        layer = state["layer"]
        if (layer.in_features, layer.out_features) != (self.layer.in_features, self.layer.out_features):
            raise Error(f"layer: {layer} does not fit {self.layer}")
        self.layer = layer

    def extra_repr(self):
        return repr(self.layer)


def convert(model, bits, group, keep, options):
    """See s3.convert_linear."""
    if not isinstance(model, nn.Module):
        raise Error(f"model: a torch.nn.Module is needed, not {type(model).__name__}")
    found = {name: m for name, m in model.named_modules() if type(m) is nn.Linear}
    unknown = set(keep) - set(found)
    if unknown:
        raise Error(f"keep: no linear layer is named {sorted(unknown)}")
    unreached = _unreached(model)
    made, rows = {}, []
    for name, m in model.named_modules():
        reason = ""
        if name in keep:
            reason = "was kept"
        elif name in unreached:
            reason = f"its weights are read by {unreached[name]}"
        elif type(m) is not nn.Linear:
            if not any(p is not None and p.dim() > 1 for p in m._parameters.values()):
                continue
            reason = f"{type(m).__name__} is not nn.Linear"
        elif has_hooks(m):
            reason = "it has hooks"
        else:
            try:
                made[id(m)] = _layer(m, bits, group, options)
            except Error as error:
                reason = str(error)
        if reason:
            count = sum(p.numel() for p in m._parameters.values() if p is not None)
            rows.append([name, "float", count, "", reason])
        else:
            layer = made[id(m)].layer
            rows.append([name, layer.format, m.weight.numel(), f"{100 * _error(m, layer):.2f}%", ""])
    packed = sum(row[2] for row in rows if row[1] != "float")
    note = f"{packed:,} of {sum(row[2] for row in rows):,} weights are packed"
    report = Table(["layer", "format", "weights", "weight error", "left in float because"], rows, note)
    if id(model) in made:
        return made[id(model)], report
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if id(child) in made:
                parent._modules[name] = made[id(child)]
    return model, report


def has_hooks(module):
    """Whether what PyTorch computes by a module is more than its forward: conversion would lose it."""
    return bool(module._forward_hooks or module._forward_pre_hooks)


def _unreached(model):
    """{name: reader}: linear layers whose parent reads their weights instead of calling them."""
    return {f"{name}.{part}" if name else part: type(m).__name__
            for name, m in model.named_modules() if isinstance(m, nn.TransformerEncoderLayer)
            for part in ("linear1", "linear2")}


def _layer(m, bits, group, options):
    if m.weight.device.type != "cpu":
        raise Error(f"weight: is on {m.weight.device}, the CPU is needed")
    bias = None if m.bias is None else m.bias
    module = LinearModule(linear(m.weight, bits, group, bias=bias, **options))
    return module.train(m.training)


def _error(m, layer):
    """The relative root mean square of what rounding lost."""
    w = m.weight.detach().double().numpy()
    squares = numpy.square(w).sum()
    return numpy.sqrt(numpy.square(w - layer.weight).sum() / squares) if squares else 0.0

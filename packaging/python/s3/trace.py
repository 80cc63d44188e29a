"""A PyTorch module as the text that the library imports networks from (s3/import/description.hpp),
and the tensors that belong to it.
"""

import copy
import math
import operator
import sys

import torch
import torch.fx
from torch import nn
from torch.nn import functional as F

from ._runtime import Error
from .description import Description, Unsupported, need, refuse
from .modules import has_hooks

_CONVOLUTIONS = (nn.Conv1d, nn.Conv2d)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d)
_NOTHING = (nn.Identity, nn.Dropout, nn.Dropout2d)
_FUNCTIONS = {nn.ReLU: "relu", nn.ReLU6: "relu6", nn.Sigmoid: "sigmoid", nn.Tanh: "tanh",
              nn.Hardsigmoid: "hardsigmoid", nn.Hardswish: "hardswish", nn.SiLU: "silu"}
_FUNCTIONS_BY_NAME = set(_FUNCTIONS.values())  # torch.relu, F.relu, x.relu_() ...


class _Value:
    """A value of the description by its name; `flat` if PyTorch sees an image as a vector."""

    def __init__(self, name, flat=False):
        self.name, self.flat = name, flat


class _Proxy(torch.fx.Proxy):
    """A value whose shape is known, so that a model may compute with sizes."""

    @property
    def shape(self):
        return self.node.meta["shape"]

    @property
    def ndim(self):
        return len(self.shape)

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim]

    def dim(self):
        return self.ndim

    # torch.fx would record x += y as x = x + y, and others that hold x would not see the sum.

    def __iadd__(self, other):
        return self.tracer.create_proxy("call_function", operator.iadd, (self, other), {})

    def __imul__(self, other):
        return self.tracer.create_proxy("call_function", operator.imul, (self, other), {})


class _Tracer(torch.fx.Tracer):
    """Traces a model and, with an example, computes each value as its node is made."""

    def __init__(self, example):
        super().__init__()
        self.example, self.computed, self.computing = example, {}, False

    def is_leaf_module(self, module, path):
        return _is_shift(module) or super().is_leaf_module(module, path)

    def proxy(self, node):
        return _Proxy(node, self)

    def create_proxy(self, *arguments, **options):
        proxy = super().create_proxy(*arguments, **options)
        node = proxy.node
        node.meta["path"] = self.path
        before = {n: v._version for n, v in self.computed.items()
                  if isinstance(v, torch.Tensor) and not v.is_inference()}
        self.computing = True
        try:
            with torch.no_grad():
                value = self.compute(node)
        finally:
            self.computing = False
        self.computed[node] = value
        node.meta["written"] = [n for n in before if self.computed[n]._version != before[n]]
        if isinstance(value, torch.Tensor):
            node.meta["shape"] = value.shape
        return proxy

    def compute(self, node):
        args, options = torch.fx.node.map_arg((node.args, node.kwargs), self.computed.get)
        if node.op == "placeholder":
            return self.example
        if node.op == "get_attr":
            return operator.attrgetter(node.target)(self.root)
        if node.op == "call_module":
            return self.root.get_submodule(node.target)(*args, **options)
        if node.op == "call_method":
            return getattr(args[0], node.target)(*args[1:], **options)
        return node.target(*args, **options)

    # What a layer does while a value is computed is not traced.

    path = ""

    def call_module(self, module, forward, args, options):
        if self.computing:
            return forward(*args, **options)
        before, self.path = self.path, self.path_of_module(module)
        try:
            return super().call_module(module, forward, args, options)
        finally:
            self.path = before

    def getattr(self, attr, value, cache):
        return value if self.computing else super().getattr(attr, value, cache)


def _shift_layers():
    """s3.torch, where it was loaded: a model that has shift layers has loaded it."""
    return sys.modules.get(f"{__package__}.torch")


def _is_shift(module):
    ours = _shift_layers()
    return ours is not None and bool(ours.shift_layers(module)) and not [*module.children()]


def _is_zero(value):
    return all(v == 0 for v in value) if isinstance(value, (tuple, list)) else value == 0


class _Describer:
    def __init__(self, model, example):
        self.model = copy.deepcopy(model).cpu().float().eval()
        self.description, self.problems = Description(), []
        self.values = {}  # by node: a _Value
        if has_hooks(self.model):
            raise Error("the model cannot be converted: it has hooks")
        try:
            with torch.inference_mode(False):  # whose tensors do not count the writes to them
                self.graph = _Tracer(example.clone()).trace(self.model)
        except Exception as error:  # of the model's own code, of whatever type
            raise Error(f"the model cannot be traced: {error}") from error
        self.graph.owning_module = self.model
        self.follow_writes()
        self.graph.eliminate_dead_code()

    def follow_writes(self):
        """What reads a value after a node has written to it, in place, reads that node's value.

        A value whose memory the node wrote to through another one, as through a view, may not be read.
        """
        nodes = [*self.graph.nodes]
        for at, node in enumerate(nodes):
            for old in node.meta.get("written", ()):
                for later in nodes[at + 1 :]:
                    if old in node.all_input_nodes:
                        later.replace_input_with(old, node)
                    elif old in later.all_input_nodes:
                        raise Error(f"the model cannot be converted: {node.name} writes to the memory "
                                    f"of {old.name}, which {later.name} reads")

    def describe(self):
        for node in self.graph.nodes:
            try:
                self.values[node] = self.visit(node)
            except Unsupported as problem:
                self.problems.append(f"{self.place(node)}: {problem}")
                self.values[node] = _Value("unknown")  # so that what reads it is checked, too
        refuse(self.problems, "model")
        return self.description.text(), self.description.tensors

    def place(self, node):
        """The path of a module, or of the module whose code calls the function."""
        if node.op == "call_module":
            return f"{node.target} ({type(self.module(node)).__name__})"
        path = node.meta.get("path")
        return f"{path + ': ' if path else ''}{_name_of(node)} ({node.name})"

    def module(self, node):
        return self.model.get_submodule(node.target)

    @staticmethod
    def shape(node):
        return node.meta["shape"]

    # Lines

    def add(self, word, source, name, words=(), **options):
        """Adds a line that reads `source`, and returns its value."""
        return _Value(self.description.add(word, source.name, name, words, **options), source.flat)

    def keep(self, name, **tensors):
        for field, tensor in tensors.items():
            self.description.tensors[f"{name}.{field}"] = tensor.detach().float().numpy()

    # Nodes

    def visit(self, node):
        if node.op == "placeholder":
            need(not self.values, "only one input can be converted")
            return _Value("input")
        if node.op == "output":
            return self.output(node)
        if node.op == "get_attr":
            raise Unsupported("a parameter or buffer that is used outside a layer")
        if node.op == "call_module":
            need(len(node.args) == 1 and not node.kwargs, "its input must be its only argument, without a name")
            return self.visit_module(node, self.values[node.args[0]])
        return self.visit_function(node)

    def output(self, node):
        result = node.args[0]
        need(isinstance(result, torch.fx.Node), "only one output can be converted")
        value = self.values[result]
        need(not value.flat, "the output is an image that was flattened")
        need(self.problems or self.description.is_last(value.name),
             "the output must be the value of the last layer")
        return value

    def visit_module(self, node, x):
        module, name = self.module(node), node.target
        need(not has_hooks(module), "it has hooks")
        if isinstance(module, _NOTHING):
            return x
        if isinstance(module, _CONVOLUTIONS):
            return self.convolution(node, x, module, name)
        if isinstance(module, nn.Linear):
            return self.linear(node, x, module, name)
        if isinstance(module, _NORMS):
            return self.norm(node, x, module, name)
        if type(module) in _FUNCTIONS:
            return self.add(_FUNCTIONS[type(module)], x, name)
        if isinstance(module, nn.Hardtanh):
            return self.add("clip", x, name, low=module.min_val, high=module.max_val)
        if isinstance(module, nn.LeakyReLU):
            return self.add("leakyrelu", x, name, alpha=module.negative_slope)
        if isinstance(module, nn.ELU):
            return self.add("elu", x, name, alpha=module.alpha)
        if isinstance(module, nn.GELU):
            return self.gelu(x, name, getattr(module, "approximate", "none"))
        if isinstance(module, (nn.MaxPool1d, nn.MaxPool2d)):
            return self.max_pool(x, name, module.kernel_size, module.stride, module.padding,
                                 module.dilation, module.ceil_mode, module.return_indices)
        if isinstance(module, (nn.AvgPool1d, nn.AvgPool2d)):
            return self.mean_pool(x, name, module.kernel_size, module.stride, module.padding,
                                  module.ceil_mode, module.count_include_pad,
                                  getattr(module, "divisor_override", None))
        if isinstance(module, (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d)):
            return self.global_mean(node, x, name)
        if isinstance(module, nn.Upsample):
            return self.upsample(node, x, name, module.mode)
        if isinstance(module, (nn.ZeroPad2d, nn.ConstantPad1d, nn.ConstantPad2d)):
            return self.pad(node, x, name, module.padding, getattr(module, "value", 0))
        if isinstance(module, nn.Flatten):
            return self.reshape(node, x)
        if isinstance(module, (nn.Softmax, nn.LogSoftmax)):
            raise Unsupported("leave it out: the largest output is the same without it")
        raise Unsupported("there is no such layer")

    def visit_function(self, node):
        name = _name_of(node)
        args, options = list(node.args), dict(node.kwargs)
        x = self.values.get(args[0]) if args and isinstance(args[0], torch.fx.Node) else None

        def argument(position, key, otherwise=None):
            return args[position] if len(args) > position else options.get(key, otherwise)

        if name in _FUNCTIONS_BY_NAME:
            return self.add(name, x, node.name)
        if name in ("hardtanh", "clamp", "clip"):
            keys = ("min_val", "max_val") if name == "hardtanh" else ("min", "max")
            low, high = argument(1, keys[0], -1), argument(2, keys[1], 1)
            if name != "hardtanh":
                low, high = argument(1, "min"), argument(2, "max")
            need(_numbers(low, high), "both limits must be numbers")
            return self.add("clip", x, node.name, low=low, high=high)
        if name == "leaky_relu":
            return self.add("leakyrelu", x, node.name, alpha=argument(1, "negative_slope", 0.01))
        if name == "elu":
            return self.add("elu", x, node.name, alpha=argument(1, "alpha", 1.0))
        if name == "gelu":
            return self.gelu(x, node.name, argument(1, "approximate", "none"))
        if name in ("add", "iadd", "mul", "imul"):
            return self.two(node, "add" if "add" in name else "mul")
        if name in ("cat", "concat"):
            return self.concatenate(node, argument(0, "tensors"), argument(1, "dim", 0))
        if name in ("flatten", "view", "reshape", "squeeze", "unsqueeze"):
            return self.reshape(node, x)
        if name in ("dropout", "dropout2d", "contiguous", "detach"):
            return x
        if name in ("max_pool2d", "max_pool1d"):
            return self.max_pool(x, node.name, argument(1, "kernel_size"), argument(2, "stride"),
                                 argument(3, "padding", 0), argument(4, "dilation", 1),
                                 argument(5, "ceil_mode", False),
                                 argument(6, "return_indices", False))
        if name in ("avg_pool2d", "avg_pool1d"):
            return self.mean_pool(x, node.name, argument(1, "kernel_size"), argument(2, "stride"),
                                  argument(3, "padding", 0), argument(4, "ceil_mode", False),
                                  argument(5, "count_include_pad", True),
                                  argument(6, "divisor_override"))
        if name in ("adaptive_avg_pool2d", "adaptive_avg_pool1d"):
            return self.global_mean(node, x, node.name)
        if name == "mean":
            dims = argument(1, "dim")
            rank = len(self.shape(args[0]))
            dims = {d % rank for d in ([dims] if isinstance(dims, int) else dims or [])}
            need(rank > 2 and dims == set(range(2, rank)), "only the mean of whole images")
            return self.global_mean(node, x, node.name)
        if name == "getitem":
            return self.subsample(node, x, args[1])
        if name == "interpolate":
            return self.upsample(node, x, node.name, argument(3, "mode", "nearest"))
        if name == "pad":
            need(argument(2, "mode", "constant") == "constant", "padding must be of zeros")
            return self.pad(node, x, node.name, argument(1, "pad"), argument(3, "value", 0) or 0)
        if name in ("softmax", "log_softmax"):
            raise Unsupported("leave it out: the largest output is the same without it")
        raise Unsupported("there is no such layer")

    # Layers with weights

    def weights(self, name, module):
        """Keeps a layer's tensors: latents of shift layers, else its weights; and its bias."""
        tensors = module.state_dict()
        if _is_shift(module) and module.format == "absmean":
            with torch.no_grad():
                tensors["weight"] = module.discrete()
        self.keep(name, **tensors)

    def convolution(self, node, x, module, name):
        need(module.padding_mode == "zeros", f"padding_mode={module.padding_mode!r}")
        need(not x.flat, "it reads an image that was flattened")
        padding = module.padding
        if isinstance(padding, str):
            padding = [0] * len(module.kernel_size)
            if module.padding == "same":
                total = [d * (k - 1) for d, k in zip(module.dilation, module.kernel_size)]
                padding = [t // 2 for t in total]
                if any(t % 2 for t in total):  # PyTorch puts the odd one behind
                    x = self.add("pad", x, name + ".pad", before=padding,
                                 after=[t - t // 2 for t in total])
                    padding = [0] * len(total)
        value = self.add("conv", x, name, (module.in_channels, module.out_channels),
                         kernel=module.kernel_size, stride=module.stride, padding=padding,
                         dilation=module.dilation, groups=module.groups)
        self.weights(value.name, module)
        return value

    def linear(self, node, x, module, name):
        need(len(self.shape(node)) == 2, "its input must be a vector, or an image after flatten")
        name = self.description.linear(x.name, name, module.in_features, module.out_features,
                                       x.flat)
        self.weights(name, module)
        return _Value(name)

    def norm(self, node, x, module, name):
        before = node.args[0]
        layer = self.module(before) if before.op == "call_module" else None
        need(isinstance(layer, (*_CONVOLUTIONS, nn.Linear)) and len(before.users) == 1,
             "a norm must follow a convolution or linear layer that nothing else uses")
        need(module.running_mean is not None, "it has no running statistics")
        value = self.add("bn", x, name, eps=repr(module.eps))
        self.keep(value.name, **module.state_dict())
        return value

    # Layers without

    def gelu(self, x, name, approximate):
        need(approximate == "none", f"approximate={approximate!r}")
        return self.add("gelu", x, name)

    def two(self, node, word):
        a, b = node.args[:2]
        need(isinstance(a, torch.fx.Node) and isinstance(b, torch.fx.Node)
             and not node.kwargs, "both operands must be values of the network")
        a, b = self.values[a], self.values[b]
        need(a.flat == b.flat, "one operand is an image that was flattened")
        return self.add(word, a, node.name, [b.name])

    def concatenate(self, node, parts, dim):
        rank = len(self.shape(node))
        need(dim % rank == 1, f"dim={dim}: only channels can be concatenated")
        values = [self.values[p] for p in parts]
        need(len(values) > 1 and not any(v.flat for v in values), "images that were flattened")
        return self.add("concat", values[0], node.name, [v.name for v in values[1:]])

    def reshape(self, node, x):
        """Only what leaves every image's numbers as they are, as a vector or as channels."""
        before, after = self.shape(node.args[0]), self.shape(node)
        need(before[0] == after[0], "it changes the batch")
        need(all(s == 1 for s in after[2:]) and math.prod(before[1:]) == after[1]
             or before == after, f"from {[*before]} to {[*after]}: only to one vector per image")
        return _Value(x.name, x.flat or (before != after and math.prod(before[2:]) > 1))

    def max_pool(self, x, name, kernel, stride, padding, dilation, ceil_mode, indices):
        need(not ceil_mode, "ceil_mode=True")
        need(not indices, "return_indices=True")
        need(dilation in (1, (1,), (1, 1), [1], [1, 1]), f"dilation={dilation}")
        return self.add("maxpool", x, name, kernel=kernel, stride=stride or kernel, padding=padding)

    def mean_pool(self, x, name, kernel, stride, padding, ceil_mode, count_include_pad, divisor):
        need(not ceil_mode, "ceil_mode=True")
        need(count_include_pad or _is_zero(padding), "count_include_pad=False")
        need(divisor is None, f"divisor_override={divisor}")
        return self.add("avgpool", x, name, kernel=kernel, stride=stride or kernel, padding=padding)

    def global_mean(self, node, x, name):
        need(all(s == 1 for s in self.shape(node)[2:]), "only the mean of whole images")
        return self.add("globalmean", x, name)

    def upsample(self, node, x, name, mode):
        before, after = self.shape(node.args[0])[2:], self.shape(node)[2:]
        need(mode == "nearest", f"mode={mode!r}")
        need(all(a % b == 0 for b, a in zip(before, after)), "the factor is not whole")
        return self.add("upsample", x, name, factor=[a // b for b, a in zip(before, after)])

    def subsample(self, node, x, index):
        """x[:, :, ::2, ::2], every second pixel: maxima of windows of one pixel."""
        index = index if isinstance(index, tuple) else (index,)
        rank = len(self.shape(node.args[0]))
        need(all(isinstance(i, slice) and i.start in (None, 0) and i.stop is None for i in index)
             and all(i.step in (None, 1) for i in index[:2]) and rank > 2,
             "of an index, only steps over pixels, as in x[:, :, ::2, ::2]")
        steps = [i.step or 1 for i in index[2:]]
        return self.add("maxpool", x, node.name, kernel=1, stride=steps + [1] * (rank - 2 - len(steps)))

    def more_channels(self, x, name, channels, before, after):
        """Zeros beside the channels: a 1 x 1 convolution by the identity."""
        need(not x.flat, "it reads an image that was flattened")
        value = self.add("conv", x, name, (channels, before + channels + after), kernel=1)
        identity = torch.zeros(before + channels + after, channels, 1, 1)
        identity[before : before + channels, :, 0, 0] = torch.eye(channels)
        self.keep(value.name, weight=identity)
        return value

    def pad(self, node, x, name, padding, value):
        _, channels, *size = self.shape(node.args[0])
        around = 2 * len(size)  # numbers: left, right[, top, bottom]; those that are missing are 0
        if len(padding) == around + 2 and _is_zero(padding[:around]) and value == 0:
            return self.more_channels(x, name, channels, *padding[around:])
        need(value == 0 and min(padding) >= 0 and len(padding) in (2, 4) and len(padding) <= around,
             "padding must be of zeros, around images")
        inner_first = [*padding, *[0] * (around - len(padding))]
        before, after = inner_first[0::2][::-1], inner_first[1::2][::-1]
        return self.add("pad", x, name, before=before, after=after)


def _numbers(*values):
    return all(isinstance(v, (int, float)) for v in values)


def _name_of(node):
    """The plain name of what a node calls: add for torch.add, x.add_() and x + y."""
    name = node.target if isinstance(node.target, str) else node.target.__name__
    return name.strip("_")


def describe(model, example):
    """(description without its input line, {name: array}) of a model for a batch like `example`.

    Raises Error that names everything that cannot be converted.
    """
    return _Describer(model, example).describe()

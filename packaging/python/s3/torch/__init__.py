"""Shift layers for PyTorch, over the s3 library.

    model = s3.torch.convert(model, "shift3")           # Conv2d, Linear -> ShiftConv2d, ShiftLinear
    # or, from trained float weights: s3.torch.convert(model, "shift3", trained=True)
    shift = s3.torch.FusedSGD(model, dense=1e-5)        # lr=2, to be lowered to 0 along a cosine
    rest = torch.optim.SGD(s3.torch.other_parameters(model), lr=0.1, momentum=0.9)
    ...  loss.backward(); rest.step(); shift.step(); rest.zero_grad(); shift.zero_grad()
    records = s3.torch.export(model)                    # {layer name: bytes of packed weights}

Formats: shift2, shift3, shift4 (with zero), dense2, dense3, dense4 (DenseShift), absmean (BitNet
b1.58). Any torch optimizer trains them too, through autograd; the fused ones are several times
cheaper. `surrogate` says what stands for 2^S in the backward pass: "authors", "square_root", "flat",
"direct" (s3/train/surrogate.hpp), "published", that of the format's authors, or "recommended", which
trained best: begin with `layer.initialize(1e-3)` for each of shift_layers(model). The latents want a
learning rate of their own: with SGD and a batch norm behind every shift layer tuning chose 2, where it
chose 1 for float weights and the other parameters had 0.1; with "recommended", in a later experiment, 0.5
at 2 bits, 8 at 3 and 16 at 4, where it chose 2 for float weights (examples/claims).
Parameters have the S3 authors' names: weight (the sign latent), weight_val, weight_shift
(outermost), weight_shift2.
"""

import math
import warnings

import torch
from torch import nn

from . import _s3
from ._s3 import Estimator
from .operators import passes, realize

__all__ = ["ShiftConv1d", "ShiftConv2d", "ShiftLinear", "Estimator", "FusedSGD", "FusedAdam", "convert",
           "export", "unpack", "left_in_float", "realize", "shift_layers", "other_parameters",
           "add_dense_gradient", "steer_zeros", "validate"]

unpack = _s3.unpack_record


class _ShiftLayer:
    """What both layers share: the latents behind their weight, and its fused state."""

    dense_strength = 0.0  # of the regularizer for this layer, on top of what is asked for all

    def __init__(self, *arguments, format="shift3", surrogate="published", estimator=Estimator(),
                 **options):
        super().__init__(*arguments, **options)
        self._add_latents(format, surrogate, estimator)

    def _add_latents(self, format, surrogate, estimator):
        self.format, self.surrogate, self.estimator = format, surrogate, estimator
        self._names = _s3.names(format)
        _s3.check_surrogate(format, surrogate)
        for name in self._names[1:]:
            self.register_parameter(name, nn.Parameter(torch.empty_like(self.weight)))
        self._initialize_as_published()

    def _initialize_as_published(self):
        taps, outputs = math.prod(self.weight.shape[2:]), self.weight.shape[0]
        self.initialize(_s3.initial_deviation(self.format, taps, max(outputs, 1)))

    def reset_parameters(self):
        """Draws latents and bias anew, with the deviation of the format's authors."""
        super().reset_parameters()
        if hasattr(self, "_names"):  # the base class calls this before there are latents
            self._initialize_as_published()

    def initialize(self, deviation):
        """Draws all latents anew from a normal distribution."""
        with torch.no_grad():
            for field in self.fields():
                field.normal_(0, deviation)
        self.refresh()

    def fields(self):
        """The latents in the library's order: sign, sparse (with zero), shift_1 ... shift_T."""
        return [getattr(self, name) for name in self._names]

    def initialize_from(self, weights):
        """Sets the latents to realize the nearest values to trained float weights.

        Returns their unit: weights ~ unit * realized, a factor that a norm after the layer takes up.
        """
        with torch.no_grad():
            unit = passes(weights, *self.fields()).initialize_from(self.format, weights.detach(),
                                                                   self.fields())
        self.refresh()
        return unit

    def sparse(self):
        return getattr(self, "weight_val", None)

    def fused(self):
        return "discrete_weight" in self._parameters

    def discrete(self):
        """The discrete weights, differentiable; once fused, a leaf that collects their own gradient.

        Weights that are not trained, as in evaluation, are always realized from the latents.
        """
        if not self.fused() or not torch.is_grad_enabled():
            return realize(self.format, self.fields(), self.surrogate, self.estimator)
        if self._versions() != self._realized:
            self.refresh()
        return self.discrete_weight

    def fuse(self):
        """Makes the discrete weights the leaf, which a fused optimizer trains if any
        latent was trained. A copy of the layer is fused, too, and wants a fused optimizer of its own.
        """
        if self.format == "absmean":
            raise ValueError("absmean has one latent: any torch optimizer trains it as cheaply")
        if not self.fused():
            trained = any(field.requires_grad for field in self.fields())
            for field in self.fields():
                field.requires_grad_(False)
            self.discrete_weight = nn.Parameter(realize(self.format, self.fields()),
                                                requires_grad=trained)
            self.mark_realized()

    def refresh(self):
        """Realizes the leaf anew, after the latents changed by other means than a step."""
        if self.fused():
            with torch.no_grad():
                self.discrete_weight.copy_(realize(self.format, self.fields()))
            self.mark_realized()

    def mark_realized(self):
        """Says that the leaf is what the latents realize to."""
        self._realized = self._versions()

    def _versions(self):
        """Changes when somebody else writes to the latents or the leaf, as an average of models does."""
        return [t._version for t in [*self.fields(), self.discrete_weight]]

    def __setstate__(self, state):
        super().__setstate__(state)
        self._realized = None  # a copy counts its changes anew

    def extra_repr(self):
        return f"{super().extra_repr()}, format={self.format}"

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.pop(prefix + "discrete_weight", None)

    def _load_from_state_dict(self, state_dict, prefix, metadata, strict, missing, unexpected,
                              errors):
        for k, name in enumerate(self._names):  # DenseShift's own names: weight_t1 is the innermost
            if k > 0 and self.sparse() is None and f"{prefix}weight_t{k}" in state_dict:
                state_dict[prefix + name] = state_dict.pop(f"{prefix}weight_t{k}")
        known = {*self._names, "weight_sign", "discrete_weight"}
        for key in state_dict:  # even where strict is off: without them, weight is another thing
            field = key[len(prefix):]
            if key.startswith(prefix) and field.startswith("weight_") and field not in known:
                errors.append(f"{key} is no latent of {self.format}")
        alias = state_dict.pop(prefix + "weight_sign", None)  # one tensor with weight, in their code
        if alias is not None:
            weight = state_dict.setdefault(prefix + "weight", alias)
            if not (torch.is_tensor(weight) and torch.is_tensor(alias)
                    and torch.equal(weight, alias)):
                errors.append(f"{prefix}weight_sign differs from {prefix}weight, whose copy it is")
        for name in self._names:
            given, own = state_dict.get(prefix + name), getattr(self, name).dtype
            if not torch.is_tensor(given):
                continue  # missing or foreign, as the base class says
            if given.dtype not in (own, torch.float32):
                errors.append(f"{prefix}{name} is {given.dtype}, {own} is needed")
            elif not torch.isfinite(given.to(own)).all():
                errors.append(f"{prefix}{name} holds values that are not finite")
        leaf = self._parameters.pop("discrete_weight", None)
        super()._load_from_state_dict(state_dict, prefix, metadata, strict, missing, unexpected,
                                      errors)
        if leaf is not None:
            self._parameters["discrete_weight"] = leaf
            self._realized = None  # the leaf is realized at its next use: an error here would name no latent


class ShiftConv1d(_ShiftLayer, nn.Conv1d):
    """nn.Conv1d with shift weights; takes all of its options."""

    def forward(self, x):
        return self._conv_forward(x, self.discrete(), self.bias)


class ShiftConv2d(_ShiftLayer, nn.Conv2d):
    """nn.Conv2d with shift weights; takes all of its options."""

    def forward(self, x):
        return self._conv_forward(x, self.discrete(), self.bias)


class ShiftLinear(_ShiftLayer, nn.Linear):
    """nn.Linear with shift weights."""

    def forward(self, x):
        return nn.functional.linear(x, self.discrete(), self.bias)


def shift_layers(model):
    return [m for m in model.modules() if isinstance(m, _ShiftLayer)]


def other_parameters(model):
    """The parameters that belong to no shift weight: biases, norms, float layers, and the latents of
    absmean, which are trained as float weights are."""
    ours = {id(p) for layer in shift_layers(model) if layer.format != "absmean"
            for p in [*layer.fields(), *([layer.discrete_weight] if layer.fused() else [])]}
    return [p for p in model.parameters() if id(p) not in ours]


def validate(model):
    """Raises RuntimeError that names a latent which is NaN or infinite."""
    for name, layer in model.named_modules():
        if isinstance(layer, _ShiftLayer):
            try:
                passes(*layer.fields()).validate(layer.format, layer.fields())
            except RuntimeError as error:
                raise RuntimeError(f"{name}: {error}") from None


def left_in_float(model):
    """{module name: why}: the modules whose weights multiply, and are not shift weights."""
    reasons = {}
    for name, m in model.named_modules():
        if type(m) in (nn.Conv1d, nn.Conv2d, nn.Linear):
            reasons[name] = "was kept"
        elif any(p.dim() > 1 for p in m._parameters.values() if p is not None) and not isinstance(
                m, (_ShiftLayer, nn.Embedding)):
            reasons[name] = f"{type(m).__name__} has no shift layer"
    return reasons


def convert(model, format="shift3", keep=None, surrogate="published", estimator=Estimator(),
            trained=False):
    """Swaps every nn.Conv1d, nn.Conv2d and nn.Linear of `model`, in place, for its shift layer with new
    latents: random ones, or, if `trained`, those that realize what the float weights round to.

    Shift weights are powers of two, not small reals: trained or not, a norm should follow each layer.
    `keep` names the layers that stay float; by default the first and the last, as in the paper.
    A layer that is used in several places stays one. A warning names the layers of other kinds, which
    stay float (transposed convolutions, LSTM, attention); `left_in_float` lists all.
    """
    swaps = {nn.Conv1d: ShiftConv1d, nn.Conv2d: ShiftConv2d, nn.Linear: ShiftLinear}
    found = {name: m for name, m in model.named_modules() if type(m) in swaps}
    if keep is None:
        keep = [*found][:1] + [*found][-1:]
    unknown = set(keep) - set(found)
    if unknown:
        raise ValueError(f"no convolution or linear layer is named {sorted(unknown)}")
    swapped = {}
    for name, old in found.items():
        if name in keep:
            continue
        options = dict(bias=old.bias is not None, format=format, surrogate=surrogate,
                       estimator=estimator, device=old.weight.device, dtype=old.weight.dtype)
        if isinstance(old, nn.Linear):
            new = ShiftLinear(old.in_features, old.out_features, **options)
        else:
            new = swaps[type(old)](old.in_channels, old.out_channels, old.kernel_size, old.stride,
                                   old.padding, old.dilation, old.groups,
                                   padding_mode=old.padding_mode, **options)
        if trained:
            try:
                new.initialize_from(old.weight)
            except RuntimeError as error:
                raise RuntimeError(f"{name}: {error}") from None
            for field in new.fields():
                field.requires_grad_(old.weight.requires_grad)
        if old.bias is not None:
            new.bias = old.bias
        new.train(old.training)
        swapped[id(old)] = new
    others = [f"{name} ({why})" for name, why in left_in_float(model).items() if why != "was kept"]
    if others:
        warnings.warn(f"s3: left in float: {', '.join(others)}", stacklevel=2)
    if id(model) in swapped:
        return swapped[id(model)]
    for parent in list(model.modules()):
        for name, child in parent._modules.items():
            if id(child) in swapped:
                parent._modules[name] = swapped[id(child)]
        if isinstance(parent, nn.TransformerEncoderLayer) and shift_layers(parent):
            parent.activation_relu_or_gelu = 0  # its fast path would read latents as weights
    return model


def export(model):
    """{layer name: record}: packed weights in the library's one format on disk. A Conv1d becomes a
    filter of height 1."""
    records = {}
    for name, layer in model.named_modules():
        if not isinstance(layer, _ShiftLayer):
            continue
        fields = [f.detach().cpu() for f in layer.fields()]
        weights, scale = realize(layer.format, fields).float(), 1.0
        if layer.format == "absmean":
            scale = float(passes(*fields).absmean_scale(fields[0]))
            weights = weights.sign()
        if weights.dim() == 3:
            weights = weights.unsqueeze(2)
        records[name] = _s3.pack_record(layer.format, weights, scale)
    return records


def add_dense_gradient(model, strength=0.0):
    """The regularizer for autograd training: call between loss.backward() and optimizer.step().

    `strength` is for all layers, on top of each one's own.
    """
    for layer in shift_layers(model):
        sparse = layer.sparse()
        if sparse is not None and sparse.grad is not None:
            passes(sparse).add_dense_gradient(sparse.detach(), sparse.grad,
                                              strength + layer.dense_strength)


def steer_zeros(model, target, gain=0.1):
    """Asks every layer for a share of zeros, in [0, 1]: sets the regularizer's strength per layer.

    Call it before each step; then a fused optimizer's step() or add_dense_gradient(model) takes the
    strengths up. `gain` is the strength at a full share of error: less moves more
    gently, and leaves a larger distance where the loss pulls the other way.
    """
    for layer in shift_layers(model):
        sparse = layer.sparse()
        if sparse is not None:
            layer.dense_strength = passes(sparse).strength_for_share(sparse.detach(), target, gain)


def _stored_as(like, tensor):
    """`tensor` with the type, device and memory layout of `like`, unless they have different shapes."""
    same = (tensor.stride(), tensor.dtype, tensor.device) == (like.stride(), like.dtype, like.device)
    return tensor if same or tensor.shape != like.shape else torch.empty_like(like).copy_(tensor)


class _Fused(torch.optim.Optimizer):
    """Trains the shift layers of a model from the gradients of their discrete weights alone."""

    def __init__(self, model, moments, **defaults):
        self._layers, self._moments = {}, moments
        for layer in shift_layers(model):
            if layer.format != "absmean":
                layer.fuse()
                self._layers[id(layer.discrete_weight)] = layer
        if not self._layers:
            raise ValueError("the model has no shift layer to fuse")
        super().__init__([layer.discrete_weight for layer in self._layers.values()], defaults)
        self.zero_grad(set_to_none=True)

    def _state(self, weight, layer):
        state = self.state[weight]
        if not state:
            state["step"] = 0
            state["moments"] = [[torch.zeros_like(f) for f in layer.fields()]
                                for _ in range(self._moments)]
        state["moments"] = [[_stored_as(f, m) for f, m in zip(layer.fields(), moments)]
                            for moments in state["moments"]]  # a model may have moved between steps
        state["step"] += 1
        return state

    def __getstate__(self):
        return {**super().__getstate__(), "layers": [*self._layers.values()], "moments": self._moments}

    def __setstate__(self, state):
        layers = state.pop("layers", None)  # which load_state_dict does not give
        if layers is not None:
            self._layers = {id(layer.discrete_weight): layer for layer in layers}
            self._moments = state.pop("moments")
        super().__setstate__(state)

    @torch.no_grad()
    def step(self, closure=None):
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    layer = self._layers[id(weight)]
                    state = self._state(weight, layer)
                    fields = [f.detach() for f in layer.fields()]
                    self._step(passes(weight, *fields), group, state, layer.format, fields,
                               state["moments"], weight.grad, weight.detach(),
                               group["dense"] + layer.dense_strength, layer.surrogate,
                               layer.estimator)
                    layer.mark_realized()
        return loss


class FusedSGD(_Fused):
    def __init__(self, model, lr=2.0, momentum=0.9, weight_decay=1e-4, nesterov=False, dense=0.0):
        super().__init__(model, 1, lr=lr, momentum=momentum, weight_decay=weight_decay,
                         nesterov=nesterov, dense=dense)

    @staticmethod
    def _step(passes, group, state, *tensors):
        passes.sgd_step(group["lr"], group["momentum"], group["weight_decay"], group["nesterov"],
                     *tensors)


class FusedAdam(_Fused):
    def __init__(self, model, lr=5e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0,
                 decoupled=False, dense=0.0):
        super().__init__(model, 2, lr=lr, betas=betas, eps=eps, weight_decay=weight_decay,
                         decoupled=decoupled, dense=dense)

    @staticmethod
    def _step(passes, group, state, *tensors):
        passes.adam_step(group["lr"], *group["betas"], group["eps"], group["weight_decay"],
                         group["decoupled"], state["step"], *tensors)

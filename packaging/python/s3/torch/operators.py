"""The two passes as operators of PyTorch, torch.ops.s3.realize and torch.ops.s3.backward: tracers,
compilers and tensors without data (the meta device) see one operator where the passes are compiled code.
"""

import torch

from . import _s3, plain
from ._s3 import Estimator

_library = torch.library.Library("s3", "DEF")
_rule = "str format, str surrogate, str estimator, float parameter"
_library.define(f"realize(Tensor[] latents, {_rule}) -> Tensor")
_library.define(f"backward(Tensor[] latents, Tensor grad, {_rule}) -> Tensor[]")


def passes(*tensors):
    """The compiled passes where they serve all of these tensors, else those of torch operations."""
    compiled = all(t.device.type == "cpu" and t.dtype == torch.float32 for t in tensors)
    return _s3 if compiled else plain


def _realize(latents, format, surrogate, estimator, parameter):
    return passes(*latents).realize(format, latents)


def _backward(latents, grad, format, surrogate, estimator, parameter):
    return passes(*latents, grad).backward(format, latents, grad, surrogate,
                                           Estimator(estimator, parameter))


class _Differentiable(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rule, *latents):
        ctx.rule = rule
        ctx.save_for_backward(*latents)
        below = torch._C._AutoDispatchBelowAutograd()  # while it lives, operators skip autograd
        try:
            return torch.ops.s3.realize([*latents], *rule)
        finally:
            del below

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return None, *torch.ops.s3.backward([*ctx.saved_tensors], grad, *ctx.rule)


def _realize_shape(latents, format, *rule):
    plain.check(format, latents)
    return torch.empty_like(latents[0])


def _backward_shape(latents, grad, format, *rule):
    plain.check(format, latents, ("grad_weights", grad))
    return [torch.empty_like(latent) for latent in latents]


_library.impl("realize", _realize, "CompositeExplicitAutograd")
_library.impl("realize", _realize_shape, "Meta")
_library.impl("realize", lambda latents, *rule: _Differentiable.apply(rule, *latents), "Autograd")
_library.impl("backward", _backward, "CompositeExplicitAutograd")
_library.impl("backward", _backward_shape, "Meta")
_library.impl("backward", _backward_shape, "AutogradMeta")  # which PyTorch 1.13 does not pass on


def realize(format, latents, surrogate="published", estimator=Estimator()):
    """Discrete weights of latents (sign, sparse, shift_1, ...), differentiable."""
    return torch.ops.s3.realize([*latents], format, surrogate, estimator.name, estimator.parameter)

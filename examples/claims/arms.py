"""The arms: layers whose weights are float, S3's, DenseShift's, DeepShift's or APoT's, and the
optimizers that train them.

DeepShift (Elhoushi et al. 2019, arXiv 1905.13298) at true 3-bit grids:

  Q    w = sgn(v) 2^p, p = round(log2 |v|) in -3 ... 0: 8 values; the gradient of v is that of w
  PS   w = sgn(round(s)) 2^round(p), p in -2 ... 0: 0, 1/4, 1/2, 1 and their negatives; s gets g, p
       gets g w ln2

APoT (Li et al. 2020, arXiv 1909.13144) at 3 bits has PS's values times a learned clip, of weights that
are normalised to mean 0 and deviation 1.
"""

import math

import torch
from torch import nn

import s3.torch


class _Through(torch.autograd.Function):
    """`value` forward; the gradient goes to `x` unchanged."""

    @staticmethod
    def forward(ctx, value, x):
        return value

    @staticmethod
    def backward(ctx, grad):
        return None, grad


class _PowerOfSign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, sign, p):
        w = sign.round().sign() * p.round().exp2()
        ctx.save_for_backward(w)
        return w

    @staticmethod
    def backward(ctx, grad):
        w, = ctx.saved_tensors
        return grad, grad * w * math.log(2)


class _Apot(torch.autograd.Function):
    @staticmethod
    def forward(ctx, v, clip):
        x = v / clip
        levels = torch.tensor([0, 0.25, 0.5, 1], device=v.device)
        middles = (levels[1:] + levels[:-1]) / 2
        q = levels[torch.bucketize(x.abs().clamp(max=1), middles)] * x.sign()
        ctx.save_for_backward(x, q)
        return q * clip

    @staticmethod
    def backward(ctx, grad):
        x, q = ctx.saved_tensors
        beyond = x.abs() > 1
        of_clip = torch.where(beyond, x.sign(), q - x)
        return torch.where(beyond, torch.zeros_like(x), grad), (grad * of_clip).sum()


class _Conv(nn.Module):
    """A convolution without bias, over weights that `discrete()` makes of parameters."""

    def __init__(self, in_channels, out_channels, size, stride):
        super().__init__()
        self.stride, self.padding = stride, size // 2
        self.shape = (out_channels, in_channels, size, size)
        self.bound = 1 / math.sqrt(in_channels * size * size)

    def forward(self, x):
        return nn.functional.conv2d(x, self.discrete(), None, self.stride, self.padding)

    def after_step(self):
        pass


class DeepShiftQ(_Conv):
    """`published`: |v| is clamped to the least power in place before every forward pass."""

    def __init__(self, *arguments, published=False):
        super().__init__(*arguments)
        self.published = published
        self.weight = nn.Parameter(torch.empty(self.shape).uniform_(-self.bound, self.bound))

    def discrete(self):
        if self.published:
            with torch.no_grad():
                self.weight.copy_(self.weight.sign() * self.weight.abs().clamp(2**-3, 1))
        v = self.weight.detach()
        power = v.abs().clamp(min=1e-30).log2().round().clamp(-3, 0).exp2()
        return _Through.apply(torch.where(v >= 0, power, -power), self.weight)


class DeepShiftPS(_Conv):
    """`published`: shifts begin in -10 ... -1 (rounded into the range), sign latents are unclamped.
    Else both latents begin within their ranges and are kept there after every step."""

    def __init__(self, *arguments, published=False):
        super().__init__(*arguments)
        self.published = published
        self.sign = nn.Parameter(torch.empty(self.shape).uniform_(-1, 1))
        low, high = (-10, -1) if published else (-2, 0)
        self.shift = nn.Parameter(torch.empty(self.shape).uniform_(low, high))

    def discrete(self):
        shift = _Through.apply(self.shift.detach().clamp(-2, 0), self.shift)
        return _PowerOfSign.apply(self.sign, shift)

    def after_step(self):
        if not self.published:
            with torch.no_grad():
                self.sign.clamp_(-1, 1)
                self.shift.clamp_(-2, 0)

    def add_decay(self, decay):
        """The gradient of decay/2 times the sum of the squared magnitudes 2^shift."""
        self.shift.grad.add_(self.shift.detach().clamp(-2, 0).exp2().square(),
                             alpha=decay * math.log(2))


class Apot(_Conv):
    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.weight = nn.Parameter(torch.empty(self.shape).uniform_(-self.bound, self.bound))
        self.clip = nn.Parameter(torch.tensor(3.0))

    def discrete(self):
        v = (self.weight - self.weight.mean()) / self.weight.std()
        return _Apot.apply(v, self.clip)


def layer(arm):
    """A function (in, out, kernel size, stride, groups) -> convolution without bias, for an arm of
    plan.toml; the rivals' have one group."""
    if "format" in arm:
        def shift(in_channels, out_channels, size, stride, groups=1):
            conv = s3.torch.ShiftConv2d(in_channels, out_channels, size, stride, size // 2,
                                        groups=groups, bias=False, format=arm["format"],
                                        surrogate=arm.get("surrogate", "published"))
            if "deviation" in arm:
                conv.initialize(arm["deviation"])
            return conv
        return shift
    name = arm["name"].removesuffix("_published")
    if name == "fp32":
        return lambda i, o, size, stride, groups=1: nn.Conv2d(i, o, size, stride, size // 2,
                                                              groups=groups, bias=False)
    rivals = {"deepshift_q": DeepShiftQ, "deepshift_ps": DeepShiftPS, "apot_3bit": Apot}
    if name not in rivals:
        raise ValueError(f"plan.toml: arm {arm['name']} is of no known kind, and names no format")
    options = {} if name == "apot_3bit" else {"published": arm.get("published", False)}
    return lambda *arguments: rivals[name](*arguments, **options)


def weights(conv):
    """The weights that the forward pass multiplies with."""
    with torch.no_grad():
        return (conv.discrete() if hasattr(conv, "discrete") else conv.weight).detach().clone()


class InnerOptimizer:
    """Moves the parameters of the inner layers, as their arm does."""

    def __init__(self, arm, model, inner, rate, decay):
        self.rate, self.inner, self.decay = rate, inner, 0.0
        own = [p for conv in inner for p in conv.parameters()]
        if "format" in arm:
            self.optimizer = s3.torch.FusedSGD(model, rate, weight_decay=decay, dense=1e-5)
        elif arm["name"].startswith("deepshift_ps"):
            self.optimizer, self.decay = torch.optim.RAdam(own, rate), decay
        else:
            self.optimizer = torch.optim.SGD(own, rate, momentum=0.9, weight_decay=decay)

    def zero_grad(self):
        self.optimizer.zero_grad(set_to_none=True)

    def step(self, schedule):
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * schedule
        for conv in self.inner:
            if self.decay:
                conv.add_decay(self.decay)
        self.optimizer.step()
        for conv in self.inner:
            if isinstance(conv, _Conv):
                conv.after_step()

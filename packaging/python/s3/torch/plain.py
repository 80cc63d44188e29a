"""The passes of training as plain torch operations, for latents of any device and floating type.

The compiled passes (s3/interop/torch_passes.hpp) serve float32 on the CPU, several times faster.
There both give the same bits, because every operation here is one of theirs, in the same order.
Formulas: s3/train/reparam.hpp, surrogate.hpp, straight_through.hpp, optimizer.hpp, absmean.hpp.
Arguments are those of the compiled module. Errors are RuntimeErrors that name the argument.
"""

import math

import torch

_SHIFTS = {"shift2": 0, "shift3": 2, "shift4": 6, "dense2": 1, "dense3": 3, "dense4": 7}
_EPSILON = 1e-5  # of absmean


def _float32(value):
    """The double that is nearest to `value` and fits a float32."""
    return torch.tensor(value, dtype=torch.float32).item()


_LN2 = _float32(math.log(2))


def _has_zero(format):
    return format.startswith("shift")


def _names(format):
    first = ["sign", "sparse"] if _has_zero(format) else ["sign"]
    return first + [f"shift_{k + 1}" for k in range(_SHIFTS[format])]


def check(format, fields, *others):
    """Checks latents, and further tensors given as (name, tensor): floats of one shape and device."""
    names = ["latent"] if format == "absmean" else _names(format)
    if len(fields) != len(names):
        raise RuntimeError(f"s3: {format} has {len(names)} latents, not {len(fields)}")
    first = fields[0]
    for name, t in [*zip(names, fields), *others]:
        if not t.is_floating_point():
            raise RuntimeError(f"s3: {name} must be floating point, not {t.dtype}")
        if t.device != first.device:
            raise RuntimeError(f"s3: {name} is on {t.device} where {names[0]} is on {first.device}")
        if t.dtype != first.dtype:
            raise RuntimeError(f"s3: {name} is {t.dtype} where {names[0]} is {first.dtype}")
        if t.shape != first.shape:
            raise RuntimeError(f"s3: {name} is {[*t.shape]} where {names[0]} is {[*first.shape]}")


def _check_finite(names, tensors):
    for name, t in zip(names, tensors):
        finite = torch.isfinite(t)
        if not finite.all():
            index = int((~finite).flatten().nonzero()[0])
            raise RuntimeError(f"s3: {name}[{index}]: value is not finite")


def _where(condition, x, otherwise):
    return torch.where(condition, x, torch.full((), otherwise, dtype=x.dtype, device=x.device))


def _sign(a):
    return _where(a >= 0, torch.ones_like(a), -1.0)


def _power(format, fields):
    """2^S of the shift latents, innermost first."""
    power = torch.ones_like(fields[0])
    for l in fields[2 if _has_zero(format) else 1:]:
        power = _where(l > 0, power + power, 1.0)
    return power


def realize(format, fields):
    check(format, fields)
    if format == "absmean":
        _check_finite(["latent"], fields)
        scale = absmean_scale(fields[0])
        return _ternary(fields[0] * (1 / (scale + _EPSILON))) * scale
    _check_finite(_names(format), fields)
    power = _power(format, fields)
    if _has_zero(format):
        power = _where(fields[1] > 0, power, 0.0)
    return power * _sign(fields[0])


def _ternary(x):
    return (x > 0.5).to(x.dtype) - (x < -0.5).to(x.dtype)


def absmean_scale(latent):
    """The mean magnitude, as a tensor of no dimensions; its last bit may differ from that of the
    compiled passes, which add in another order."""
    wide = latent.detach().abs()
    if wide.numel() == 0:
        return wide.new_zeros(())
    return (wide if wide.device.type == "mps" else wide.double()).mean().to(latent.dtype)


def _estimate(estimator, g, x, q):
    if estimator.name == "identity":
        return g
    parameter = _float32(estimator.parameter)
    if estimator.name == "clipped":
        return _where(x.abs() <= parameter, g, 0.0)
    return g + parameter * g.abs() * (x - q)


def _magnitude_and_slope(surrogate, g, signed, shift, power):
    """g·magnitude and signed·slope; `signed` is g·sgn(a)."""
    if surrogate == "authors":
        return g * power, signed * power * _LN2
    root = torch.sqrt(shift + 1)
    return (g * root if surrogate == "square_root" else g), signed / (root + root)


def backward(format, fields, grad_weights, surrogate, estimator):
    check(format, fields, ("grad_weights", grad_weights))
    g = grad_weights
    if format == "absmean":
        x = fields[0] * (1 / (absmean_scale(fields[0]) + _EPSILON))
        return [_estimate(estimator, g, x, _ternary(x))]
    of_formats_with_zero = {"published": "authors", "recommended": "direct"}
    if surrogate in of_formats_with_zero:
        surrogate = of_formats_with_zero[surrogate] if _has_zero(format) else "square_root"
    first = 2 if _has_zero(format) else 1
    shift, following = torch.zeros_like(g), []  # S_k, and S_{k-1} + 1 of each k
    for l in fields[first:]:
        following.append(shift + 1)
        shift = _where(l > 0, following[-1], 0.0)
    sign = _sign(fields[0])
    steps = [sign, *((x > 0).to(x.dtype) for x in fields[1:])]  # what the latents decide
    chained = masked = surrogate != "direct"
    magnitude, inner = _magnitude_and_slope(surrogate, g, g * sign, shift, _power(format, fields))
    out = [magnitude]
    if _has_zero(format):
        if masked:
            out = [_where(fields[1] > 0, magnitude, 0.0)]
        out.append(magnitude * sign)
        inner = _where(fields[1] > 0, inner, 0.0)
    shifts = []
    for l, factor in zip(reversed(fields[first:]), reversed(following)):
        shifts.append(inner * factor if chained else inner)
        inner = _where(l > 0, inner, 0.0)
    out += reversed(shifts)
    return [_estimate(estimator, d, x, q) for d, x, q in zip(out, fields, steps)]


def _dense_gradient(sparse, strength):
    affected = sparse < 0 if strength > 0 else sparse > 0
    return affected.to(sparse.dtype) * -_float32(strength)


def add_dense_gradient(sparse, grad, strength):
    grad += _dense_gradient(sparse, strength)


def strength_for_share(sparse, target, gain):
    if not 0 <= target <= 1:
        raise RuntimeError(f"s3: target is {target}, not in [0, 1]")
    share = 1 - (sparse > 0).sum().item() / max(1, sparse.numel())
    return _float32(_float32(gain) * _float32(share - target))


def initialize_from(format, weights, fields):
    """Sets latents to realize what float weights round to; returns the weights' unit."""
    check(format, fields, ("weights", weights))
    _check_finite(["weights"], [weights])
    if format == "absmean":
        fields[0].copy_(weights)
        return 1.0
    unit = absmean_scale(weights)
    magnitude = weights.abs()
    thresholds = [1.5 * 2**k * unit for k in range(_SHIFTS[format])]  # of l_T, l_{T-1}, ...
    most = torch.finfo(unit.dtype).max  # infinity would make the latent so
    thresholds = [_where(torch.isfinite(t), t, most) for t in thresholds]
    fields[0].copy_(weights)
    if _has_zero(format):
        fields[1].copy_(magnitude - unit / 2)
    for l, threshold in zip(reversed(fields), thresholds):
        l.copy_(magnitude - threshold)
    return unit.item()


def validate(format, fields):
    check(format, fields)
    _check_finite(["sign"] if format == "absmean" else _names(format), fields)


def _step(update, format, fields, moments, grad, weights, dense, surrogate, estimator):
    check(format, fields, ("grad_weights", grad), ("weights", weights))
    _check_finite(["grad_weights"], [grad])
    grads = backward(format, fields, grad, surrogate, estimator)
    if _has_zero(format):
        grads[1] = grads[1] + _dense_gradient(fields[1], dense)
    for x, g, *m in zip(fields, grads, *moments):
        x.copy_(update(x, g, *m))
    weights.copy_(realize(format, fields))
    for m in moments:
        _check_finite(["moments"] * len(m), m)


def sgd_step(rate, momentum, decay, nesterov, *rest):
    rate, momentum, decay = map(_float32, (rate, momentum, decay))

    def update(x, gradient, m):
        g = gradient + decay * x
        m.copy_(momentum * m + g)
        return x - rate * (g + momentum * m if nesterov else m)

    _step(update, *rest)


def adam_step(rate, beta1, beta2, epsilon, decay, decoupled, number, *rest):
    rate, beta1, beta2, epsilon, decay = map(_float32, (rate, beta1, beta2, epsilon, decay))
    step = _float32(rate / (1 - beta1**number))
    root = _float32(1 / math.sqrt(1 - beta2**number))
    into_gradient = 0.0 if decoupled else decay
    keep = _float32(1 - _float32(rate * decay)) if decoupled else 1.0
    rest1, rest2 = _float32(1 - beta1), _float32(1 - beta2)

    def update(x, gradient, m, v):
        g = gradient + into_gradient * x
        m.copy_(beta1 * m + rest1 * g)
        v.copy_(beta2 * v + rest2 * g * g)
        scale = v.sqrt() * root + epsilon
        return x * keep - step * m / scale

    _step(update, *rest)

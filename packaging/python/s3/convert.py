"""From a trained PyTorch module to a network in integers."""

import numpy

from . import _runtime
from ._runtime import Error
from .description import input_line
from .network import Network


def convert_network(model, samples, mean=None, std=None, format="shift3", bits=8, float_last=False,
                    progress=None):
    """An exact integer network of a trained torch.nn.Module, which stays as it is.

    The module is traced with torch.fx; its norms are folded, and its activations calibrated on
    `samples`: some hundred small inputs or a dozen large ones, either bytes q, as the network will
    receive them,

        numpy uint8 [N, height, width, channels], or a torch uint8 tensor [N, channels, height, width]
        (sequences: [N, length, channels] and [N, channels, length]; vectors: [N, channels])

    or a float tensor of the module's own inputs. The module is one that takes
    x = (q / 255 - mean) / std, with `mean` and `std` a number or one per channel.

    Shift layers of s3.torch keep their weights exactly. Float weights are rounded: those of the
    first and the last layer to int8, others to `format`, one scale per output channel ("int8",
    "shift2" ... "shift5", "dense2" ... "dense5"). `bits` are those of activations, 2 to 8. With
    `float_last` the last linear layer stays in float and promises no bits. progress(done, all) is
    called between samples. network.report() tells what became of each layer.

    Raises s3.Error that names, by the module's path and all at once, what cannot be converted; or
    what is wrong with the weights or the samples.
    """
    description, tensors, pixels = describe(model, samples, mean, std)
    return Network(_runtime.import_network(tensors, description, pixels, bits, format, float_last,
                                           progress))


def convert_linear(model, bits=3, group=128, keep=(), **options):
    """(module, report): a torch.nn.Module whose nn.Linear layers are packed, and a table of what became
    of each layer and why some stay in float.

    Layers are swapped in place for modules around s3.Linear, whose activations are rounded as they
    come: no samples are needed. `keep` names layers that stay. Of layers of other classes, those
    derived from nn.Linear as well, none is changed; of nn.Linear those stay that s3.linear refuses, for
    example because `group` does not divide their columns. `options` are those of s3.linear. Call the module
    under torch.no_grad(), on the CPU. Tied weights (an embedding's) stay as they are in the other layer.
    """
    from .modules import convert
    return convert(model, bits, group, keep, options)


def describe(model, samples, mean=None, std=None):
    """(text, tensors, bytes): a module as the library imports it (s3/import/description.hpp), with
    the samples as uint8 with channels last."""
    import torch

    from . import trace

    if not isinstance(model, torch.nn.Module):
        raise Error(f"model: a torch.nn.Module is needed, not {type(model).__name__}")
    mean, std = check_norm("mean", mean), check_norm("std", std)
    pixels, example = _samples(torch, samples, mean, std)
    description, tensors = trace.describe(model, example)
    return input_line(pixels.shape[1:], mean=mean, std=std) + description, tensors, pixels


def check_norm(name, given):
    """The numbers of a mean or deviation as an array, or None."""
    if given is None:
        return None
    try:
        numbers = numpy.asarray(given, numpy.float64).reshape(-1)
    except (TypeError, ValueError):
        raise Error(f"{name}: a number, or one per channel, is needed") from None
    if not numpy.isfinite(numbers).all() or not numbers.size:
        raise Error(f"{name}: its numbers must be finite")
    return numbers


def _samples(torch, samples, mean, std):
    """(bytes with channels last, a small batch as the module takes it) of samples."""
    if isinstance(samples, torch.Tensor):
        samples = samples.detach().cpu()
        samples = samples.movedim(1, -1) if samples.ndim > 2 else samples
        samples = samples.numpy()
    samples = numpy.asarray(samples)
    if samples.ndim not in (2, 3, 4) or not samples.size:
        raise Error(f"samples: shape {[*samples.shape]} is not that of a batch of images, sequences "
                    "or vectors")
    channels = samples.shape[-1]
    for name, numbers in (("mean", mean), ("std", std)):
        if numbers is not None and numbers.size not in (1, channels):
            raise Error(f"{name}: has {numbers.size} numbers, but samples have {channels} channels")
    pixels = bytes_of(samples, mean, std)
    mean, std = 0 if mean is None else mean, 1 if std is None else std
    example = torch.from_numpy((pixels[:2] / 255 - mean) / std).float()
    return pixels, example.movedim(-1, 1).contiguous() if example.ndim > 2 else example


def bytes_of(samples, mean, std):
    """The bytes q of samples that are such, or real numbers x = (q / 255 - mean) / std, with
    channels last."""
    mean, std = 0 if mean is None else mean, 1 if std is None else std
    if samples.dtype == numpy.uint8:
        return numpy.ascontiguousarray(samples)
    if not numpy.issubdtype(samples.dtype, numpy.floating):
        raise Error(f"samples: uint8 or float is needed, not {samples.dtype}")
    real = (samples.astype(numpy.float64) * std + mean) * 255
    if not numpy.isfinite(real).all() or real.min() < -0.5 or real.max() > 255.5:
        raise Error(f"samples: x * std + mean goes from {real.min() / 255:.3g} to "
                    f"{real.max() / 255:.3g}, not from 0 to 1: tell mean and std")
    return numpy.ascontiguousarray(numpy.rint(real).clip(0, 255).astype(numpy.uint8))

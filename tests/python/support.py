"""What tests of networks share: images, models whose norms have statistics, and formats that a build lacks."""

import numpy
import s3
import torch
from torch import nn


def pixels(count, *shape, seed=0):
    """Smooth random images, as real ones are: [count, *shape], channels last."""
    random = numpy.random.default_rng(seed)
    images = random.normal(size=(count, *shape))
    for axis in range(1, len(shape)):
        images = images + numpy.roll(images, 1, axis) + numpy.roll(images, 2, axis)
    images -= images.min()
    return (images * (255 / images.max())).astype(numpy.uint8)


def settled(model, x):
    """The model with norms that have the statistics of x, and random gains: training takes no time."""
    for module in model.modules():
        if isinstance(module, (nn.BatchNorm1d, nn.BatchNorm2d)):
            module.momentum = None
            nn.init.uniform_(module.weight, -1.2, 1.2)
            nn.init.uniform_(module.bias, -0.3, 0.3)
    with torch.no_grad():
        model.train()(x)
    return model.eval()


def or_skip(test, converter, *arguments, **options):
    """What a converter makes, or a skipped test where the package is not built for the format."""
    try:
        return converter(*arguments, **options)
    except s3.Error as error:
        if "format: combination is not supported" in str(error):
            test.skipTest(str(error))
        raise

"""The networks. Their inner convolutions are made by `layer(in, out, kernel size, stride,
groups)`; the stem,
the norms and the last layer are float. `inner` lists the inner convolutions.
"""

from functools import partial

from torch import nn


class Cnn(nn.Module):
    """Five 3 x 3 convolutions with batch norm and ReLU, then the mean of each channel."""

    def __init__(self, layer, channels):
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        shapes = [(16, 32, 2), (32, 32, 1), (32, 64, 2), (64, 64, 1)]
        self.inner = nn.ModuleList(layer(i, o, 3, stride) for i, o, stride in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in (16, 32, 32, 64, 64))
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        for conv, norm in zip([self.stem, *self.inner], self.norms):
            x = norm(conv(x)).relu_()
        return self.last(x.mean((2, 3)))


class ResNet(nn.Module):
    """He et al. 2016 for CIFAR: three stages of blocks; shortcuts pad with zeros (option A)."""

    def __init__(self, layer, channels, blocks):
        super().__init__()
        self.stem = nn.Conv2d(channels, 16, 3, 1, 1, bias=False)
        shapes = [(i, o, s) for width, before, stride in [(16, 16, 1), (32, 16, 2), (64, 32, 2)]
                  for i, o, s in [(before, width, stride), *[(width, width, 1)] * (2 * blocks - 1)]]
        self.inner = nn.ModuleList(layer(i, o, 3, s) for i, o, s in shapes)
        self.norms = nn.ModuleList(nn.BatchNorm2d(o) for o in [16, *(o for _, o, _ in shapes)])
        self.last = nn.Linear(64, 10)

    def forward(self, x):
        x = self.norms[0](self.stem(x)).relu_()
        for k in range(0, len(self.inner), 2):
            y = self.norms[k + 1](self.inner[k](x)).relu_()
            y = self.norms[k + 2](self.inner[k + 1](y))
            if y.shape != x.shape:
                more = y.shape[1] - x.shape[1]
                x = nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, more // 2, more // 2))
            x = y.add_(x).relu_()
        return self.last(x.mean((2, 3)))


class DsCnn(nn.Module):
    """Depthwise-separable CNN for keywords (Zhang et al. 2017, arXiv 1711.07128; the one of MLPerf Tiny):
    a 10 x 4 convolution, then four pairs of a 3 x 3 depthwise and a 1 x 1 convolution."""

    def __init__(self, layer, channels, width=64):
        super().__init__()
        self.stem = nn.Conv2d(channels, width, (10, 4), 2, (5, 1), bias=False)
        self.inner = nn.ModuleList(
            conv for _ in range(4) for conv in (layer(width, width, 3, 1, groups=width),
                                                layer(width, width, 1, 1)))
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(9))
        self.last = nn.Linear(width, 10)

    def forward(self, x):
        for conv, norm in zip([self.stem, *self.inner], self.norms):
            x = norm(conv(x)).relu_()
        return self.last(x.mean((2, 3)))


NETWORKS = {"cnn": Cnn, "resnet8": partial(ResNet, blocks=1), "resnet20": partial(ResNet, blocks=3),
            "ds_cnn": DsCnn}

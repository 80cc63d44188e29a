"""A small CNN for Fashion-MNIST, and its training in float: a model to convert."""

import gzip

import numpy
import torch
from torch import nn


def read(folder, part, count):
    def array(name, start):
        with gzip.open(f"{folder}/{part}-{name}-ubyte.gz") as f:
            return numpy.frombuffer(f.read()[start:], numpy.uint8)

    return array("images-idx3", 16).reshape(-1, 28, 28, 1)[:count], array("labels-idx1", 8)[:count]


def network():
    layers, channels = [], 1
    for out, stride in [(16, 1), (32, 2), (32, 1), (64, 2)]:
        layers += [nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU()]
        channels = out
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def train(model, images, labels, epochs):
    x = torch.from_numpy(images / numpy.float32(255)).movedim(-1, 1).contiguous()
    y = torch.from_numpy(labels.copy()).long()
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9, weight_decay=1e-4)
    for epoch in range(epochs):
        for batch in torch.randperm(len(x)).split(128):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x[batch]), y[batch])
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}/{epochs}  loss {loss.item():.3f}", flush=True)

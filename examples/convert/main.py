#!/usr/bin/python3
"""From a PyTorch model of one's own to a file that runs without PyTorch.

    PYTHONPATH=BUILD/python /usr/bin/python3 examples/convert/main.py

Trains a small CNN in float on Fashion-MNIST, converts it, and runs the file.
"""

import argparse
import gzip

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--images", type=int, default=60000)
parser.add_argument("--format", default="shift4", help="of the weights between first and last")
parser.add_argument("--out", default="fashion.safetensors")
o = parser.parse_args()  # --help is answered before anything is installed

import numpy
import s3
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


def main():
    torch.manual_seed(1)
    images, labels = read(o.data, "train", o.images)
    test, truth = read(o.data, "t10k", 10000)

    model = network()
    train(model, images, labels, o.epochs)
    model.eval()

    net = s3.convert_network(model, images[:200], format=o.format)
    print(net.report())
    net.save(o.out)

    net = s3.load(o.out)  # what follows needs no torch
    print(net.inspect())
    accuracy = (net.run(test).argmax(1) == truth).mean()

    with torch.no_grad():
        x = torch.from_numpy(test / numpy.float32(255)).movedim(-1, 1).contiguous()
        float_accuracy = (model(x).argmax(1).numpy() == truth).mean()
    print(f"test accuracy: PyTorch {100 * float_accuracy:.2f}%, in integers {100 * accuracy:.2f}%")


if __name__ == "__main__":
    main()

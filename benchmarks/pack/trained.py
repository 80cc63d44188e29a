#!/usr/bin/env python3
"""Trained weights for the table of signal-to-noise: trained.py FILE

Trains a perceptron (784, 512, 512, 512, 10; AdamW, 6 epochs) on Fashion-MNIST and writes the weights
of its two middle layers, float32, in rows of 512.
"""

import gzip
import math
import pathlib
import sys

if "--help" in sys.argv[1:] or len(sys.argv) != 2:
    sys.exit(print(__doc__) if "--help" in sys.argv[1:] else __doc__)

import numpy as np
import torch
from torch import nn

FOLDER = pathlib.Path("/usr/share/datasets/fashion-mnist")


def read(name, header):
    return np.frombuffer(gzip.open(FOLDER / f"{name}.gz").read(), np.uint8, offset=header).copy()


def load(part):
    images = torch.from_numpy(read(f"{part}-images-idx3-ubyte", 16)).view(-1, 784)
    return (images / 255 - 0.286) / 0.353, torch.from_numpy(read(f"{part}-labels-idx1-ubyte", 8)).long()


def main():
    torch.manual_seed(1)
    (x, y), (test_x, test_y) = load("train"), load("t10k")
    net = nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(),
                        nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
    optimizer = torch.optim.AdamW(net.parameters(), weight_decay=0.05)
    epochs, steps, step = 6, len(x) // 128, 0
    for epoch in range(epochs):
        for batch in torch.randperm(len(x))[:steps * 128].split(128):
            for group in optimizer.param_groups:
                group["lr"] = 1e-3 * (1 + math.cos(math.pi * step / (epochs * steps))) / 2
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[batch]), y[batch]).backward()
            optimizer.step()
            step += 1
        with torch.no_grad():
            right = (net(test_x).argmax(1) == test_y).float().mean()
        print(f"epoch {epoch + 1} of {epochs}: {100 * right:.2f}% of test images", file=sys.stderr, flush=True)
    with open(sys.argv[1], "wb") as file:
        for layer in (net[2], net[4]):
            file.write(layer.weight.detach().numpy().tobytes())


if __name__ == "__main__":
    main()

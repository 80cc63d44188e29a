#!/usr/bin/python3
"""From a PyTorch model of one's own to a file that runs without PyTorch.

    PYTHONPATH=BUILD/python /usr/bin/python3 examples/convert/main.py

Trains a small CNN in float on Fashion-MNIST, converts it, and runs the file.
"""

import argparse

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
from cnn import network, read, train


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

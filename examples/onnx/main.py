#!/usr/bin/python3
"""From an ONNX graph to a network in integers, and back to a graph that other runtimes run.

    PYTHONPATH=BUILD/python /usr/bin/python3 examples/onnx/main.py

Trains a small CNN in float on Fashion-MNIST, exports it by torch.onnx, converts the graph, and writes
the network as two graphs: quantized for ONNX Runtime, and for FPGA tools.
"""

import argparse
import os
import sys

parser = argparse.ArgumentParser(description=__doc__,
                                 formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("--data", default="/usr/share/datasets/fashion-mnist")
parser.add_argument("--epochs", type=int, default=2)
parser.add_argument("--images", type=int, default=60000)
parser.add_argument("--format", default="shift4", help="of the weights between first and last")
parser.add_argument("--out", default=".", help="folder for the graphs")
o = parser.parse_args()  # --help is answered before anything is installed

import numpy
import s3
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../convert"))
from cnn import network, read, train


def main():
    torch.manual_seed(1)
    images, labels = read(o.data, "train", o.images)
    test, truth = read(o.data, "t10k", 10000)
    model = network()
    train(model, images, labels, o.epochs)
    x = torch.from_numpy(test / numpy.float32(255)).movedim(-1, 1).contiguous()
    path = os.path.join(o.out, "fashion.onnx")
    torch.onnx.export(model.eval(), x[:1], path, input_names=["image"], output_names=["logits"])

    net = s3.convert_onnx(path, images[:200], format=o.format)
    print(net.report())
    net.save_onnx(os.path.join(o.out, "fashion_qdq.onnx"))
    net.save_onnx(os.path.join(o.out, "fashion_qonnx.onnx"), quantizers="qonnx")

    accuracy = (net.run(test).argmax(1) == truth).mean()
    with torch.no_grad():
        float_accuracy = (model(x).argmax(1).numpy() == truth).mean()
    print(f"test accuracy: PyTorch {100 * float_accuracy:.2f}%, in integers {100 * accuracy:.2f}%")


if __name__ == "__main__":
    main()

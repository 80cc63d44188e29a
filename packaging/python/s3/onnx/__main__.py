"""ONNX graphs in and out: python3 -m s3.onnx import | export."""

import argparse
import sys

import numpy
import s3

from . import FORMATS


def _count(text):
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of samples")
    return int(text)


def _array(path):
    try:
        with open(path, "rb") as file:
            return numpy.atleast_1d(numpy.lib.format.read_array(file))
    except ValueError as error:
        raise s3.Error(f"{path}: is not an npy file: {error}") from None


def _import(o):
    samples = None if o.samples is None else _array(o.samples)
    numbers = [None if text is None else [float(v) for v in text.split(",")]
               for text in (o.mean, o.std)]
    net = s3.convert_onnx(o.graph, None if samples is None else samples[:o.count or None], *numbers,
                          format=o.format, bits=o.bits, float_last=o.float_last, output=o.output)
    print(net.report())
    net.save(o.out)


def _export(o):
    s3.load(o.model).save_onnx(o.out, o.quantizers)


def main(name="python3 -m s3.onnx"):
    parser = argparse.ArgumentParser(prog=name, description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="import | export")
    reading = commands.add_parser("import", help="an ONNX graph becomes a model file")
    reading.add_argument("graph")
    reading.add_argument("--samples", help="npy file: uint8, [N, height, width, channels], or float "
                         "inputs of the graph; not needed if the graph quantizes all activations")
    reading.add_argument("--count", type=_count, help="use so many of the samples; 0: all")
    reading.add_argument("--mean", help="what training subtracted from pixels / 255: M or M,M,M")
    reading.add_argument("--std", help="what it then divided them by")
    reading.add_argument("--format", choices=FORMATS,
                         help="of the weights between the first layer and the last")
    reading.add_argument("--bits", type=int, default=8, help="of activations")
    reading.add_argument("--float-last", action="store_true", help="the last layer stays in float")
    reading.add_argument("--output", help="name of the tensor that is wanted")
    reading.add_argument("--out", required=True, help="model file to write")
    reading.set_defaults(run=_import)
    writing = commands.add_parser("export", help="a model file becomes an ONNX graph")
    writing.add_argument("model")
    writing.add_argument("--quantizers", choices=["qdq", "qonnx"], default="qdq")
    writing.add_argument("--out", required=True, help="graph to write")
    writing.set_defaults(run=_export)
    o = parser.parse_args()
    try:
        o.run(o)
    except (s3.Error, OSError, ValueError) as error:
        sys.exit(f"{name}: {error}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Puts the page together: one file that holds the network as WebAssembly, some test images and the
weights of a layer, for any browser, without a server.

    build.py PROGRAM.wasm MODEL IMAGES OUT      IMAGES: the gzipped IDX file of Fashion-MNIST's test
"""

import base64
import gzip
import json
import sys
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1] / "tests/numpy"))
from run_model import read_filter, read_safetensors

SAMPLES = 20


def text(content):
    return base64.b64encode(content).decode()


def first_shift_layer(model):
    """[name, output channels, input channels, values [out][3][3][in] in base64]."""
    metadata, tensors = read_safetensors(model)
    for layer in json.loads(metadata["s3.network"])["layers"]:
        weight = tensors.get(layer["name"] + ".weight")
        if weight is not None and (values := read_filter(weight)).shape[1:3] == (3, 3) \
                and np.abs(values).max() <= 4:
            return [layer["name"], values.shape[0], values.shape[3],
                    text(values.astype(np.int8).tobytes())]
    raise SystemExit(f"{model} has no 3 x 3 layer of shift weights")


def main():
    program, model, images, out = sys.argv[1:]
    raw = gzip.decompress(Path(images).read_bytes())[16:]
    page = (HERE / "page.html").read_text()
    for mark, value in [("@PROGRAM@", text(Path(program).read_bytes())),
                        ("@SAMPLES@", text(raw[:SAMPLES * 28 * 28])),
                        ("@WEIGHTS@", json.dumps([first_shift_layer(model)]))]:
        page = page.replace(mark, value)
    page = page.replace("@SIZE@", f"{len(page.encode()) / 1000:.0f}")
    Path(out).write_text(page)
    print(f"{out}: {len(page) / 1000:.0f} KB")


if __name__ == "__main__":
    main()

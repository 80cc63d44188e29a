#!/usr/bin/env python3
"""Puts the page together: one file that holds the network as WebAssembly, some test images and the
weights of a layer, for any browser, without a server.

    build.py PROGRAM.wasm MODEL IMAGES OUT      IMAGES: the gzipped IDX file of Fashion-MNIST's test
"""

import argparse
import base64
import gzip
import json
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent

SAMPLES = 20


def text(content):
    return base64.b64encode(content).decode()


def first_shift_layer(model):
    """[name, output channels, input channels, values [out][3][3][in] in base64]."""
    import numpy as np  # not before --help is answered

    sys.path.insert(0, str(HERE.parents[1] / "tests/numpy"))
    from run_model import read_filter, read_safetensors

    metadata, tensors = read_safetensors(model)
    for layer in json.loads(metadata["s3.network"])["layers"]:
        weight = tensors.get(layer["name"] + ".weight")
        if weight is not None and (values := read_filter(weight)).shape[1:3] == (3, 3) \
                and np.abs(values).max() <= 4:
            return [layer["name"], values.shape[0], values.shape[3],
                    text(values.astype(np.int8).tobytes())]
    raise SystemExit(f"{model} has no 3 x 3 layer of shift weights")


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("program", "model", "images", "out"):
        parser.add_argument(name, type=Path)
    o = parser.parse_args()
    raw = gzip.decompress(o.images.read_bytes())[16:]
    page = (HERE / "page.html").read_text()
    for mark, value in [("@PROGRAM@", text(o.program.read_bytes())),
                        ("@SAMPLES@", text(raw[:SAMPLES * 28 * 28])),
                        ("@WEIGHTS@", json.dumps([first_shift_layer(o.model)]))]:
        page = page.replace(mark, value)
    page = page.replace("@SIZE@", f"{len(page.encode()) / 1000:.0f}")
    o.out.write_text(page)
    print(f"{o.out}: {len(page) / 1000:.0f} KB")


if __name__ == "__main__":
    main()

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


def painted_layer(model):
    """[name, output channels, input channels, levels [out][3][3][in] in base64] of the first 3 x 3
    layer, one of shift weights if there is any; none without. A weight's level is 0, or its sign
    times 1 + log2 of its magnitude, rounded."""
    import numpy as np  # not before --help is answered

    sys.path.insert(0, str(HERE.parents[1] / "tests/numpy"))
    from run_model import read_filter, read_safetensors

    metadata, tensors = read_safetensors(model)
    network = json.loads(metadata["s3.network"])
    shape = [network["values"][0][size] for size in ("height", "width", "channels")]
    if shape != [28, 28, 1]:
        raise SystemExit(f"{model} takes images of {'x'.join(map(str, shape))}; the page draws 28x28x1")
    layers = []
    for layer in network["layers"]:
        weight = tensors.get(layer["name"] + ".weight")
        if weight is not None and (values := read_filter(weight)).shape[1:3] == (3, 3):
            exponents = np.log2(np.maximum(np.abs(values), 1))
            levels = np.sign(values) * (1 + np.rint(exponents))
            layers.append(((exponents == np.rint(exponents)).all(),
                           [layer["name"], values.shape[0], values.shape[3],
                            text(levels.astype(np.int8).tobytes())]))
    shift = [layer for of_shifts, layer in layers if of_shifts]
    return [*shift, *(layer for _, layer in layers), None][0]


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
                        ("@WEIGHTS@", json.dumps(painted_layer(o.model)))]:
        page = page.replace(mark, value)
    page = page.replace("@SIZE@", f"{len(page.encode()) / 1000:.0f}")
    o.out.write_text(page)
    print(f"{o.out}: {len(page) / 1000:.0f} KB")


if __name__ == "__main__":
    main()

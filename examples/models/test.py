"""Runs each network of models.json: its bytes, its outputs for four images of noise and its accuracy on
the test images must be those stated.

    test.py PROGRAM      PROGRAM is s3shift; accuracy is passed over where the images are missing
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import zlib

folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "models.json")) as file:
    models = json.load(file)



def run(*arguments):
    return subprocess.run([sys.argv[1], "run", *arguments], capture_output=True, text=True,
                          check=True).stdout


def noise(size):
    return bytes((i * 2654435761 >> 16) % 256 for i in range(4 * size))


for model in models:
    path = os.path.join(folder, model["file"])
    assert os.path.getsize(path) == model["bytes"], f"{path} has {os.path.getsize(path)} bytes"
    with tempfile.TemporaryDirectory() as there:
        images, logits = os.path.join(there, "noise.raw"), os.path.join(there, "logits.npy")
        with open(images, "wb") as file:
            file.write(noise(model["input"]))
        run(path, images, "--logits", logits)
        with open(logits, "rb") as file:
            outputs = f"{zlib.crc32(file.read()):08x}"
    assert outputs == model["outputs"], f"{path}: outputs {outputs}, not {model['outputs']}"
    images, labels = (os.path.join(folder, "../..", model[key]) for key in ("images", "labels"))
    if not os.path.exists(images):
        print(f"{model['file']}: accuracy passed over, there is no {images}")
        continue
    accuracy = float(re.search(r"accuracy ([0-9.]+)%", run(path, images, "--labels", labels))[1])
    assert accuracy == model["accuracy"], f"{path}: {accuracy}%, not {model['accuracy']}%"
    print(f"{model['file']}: {accuracy}% of {model['data']}, {model['bytes']} bytes")

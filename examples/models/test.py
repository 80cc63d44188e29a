"""Runs each network of models.json on its test images: accuracy and bytes must be those stated.

    test.py PROGRAM      PROGRAM is s3shift; networks whose images are not installed are passed over
"""

import json
import os
import re
import subprocess
import sys

folder = os.path.dirname(os.path.abspath(__file__))
with open(os.path.join(folder, "models.json")) as file:
    models = json.load(file)

for model in models:
    path = os.path.join(folder, model["file"])
    assert os.path.getsize(path) == model["bytes"], f"{path} has {os.path.getsize(path)} bytes"
    if not os.path.exists(model["images"]):
        print(f"{model['file']}: passed over, there is no {model['images']}")
        continue
    said = subprocess.run([sys.argv[1], "run", path, model["images"], "--labels", model["labels"]],
                          capture_output=True, text=True, check=True).stdout
    accuracy = float(re.search(r"accuracy ([0-9.]+)%", said)[1])
    assert accuracy == model["accuracy"], f"{path}: {accuracy}%, not {model['accuracy']}%"
    print(f"{model['file']}: {accuracy}% of {model['data']}, {model['bytes']} bytes")

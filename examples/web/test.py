"""Builds the page, opens it in headless Chromium, and compares what the network gives there with what
the program gives here, logit by logit.

    test.py S3SHIFT MODEL FOLDER      FOLDER is filled
"""

import gzip
import html
import json
import re
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from build import SAMPLES

here = Path(__file__).resolve().parent
program, model, folder = sys.argv[1], sys.argv[2], Path(sys.argv[3])
folder.mkdir(parents=True, exist_ok=True)
images = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz"


def run(*command, **options):
    return subprocess.run([str(c) for c in command], check=True, capture_output=True, text=True,
                          timeout=300, **options).stdout


run(program, "export", model, "--out", folder / "network.hpp")
run(here / "compile.sh", folder / "network.hpp", folder / "network.wasm")
run(sys.executable, here / "build.py", folder / "network.wasm", model, images,
    folder / "index.html")
size = (folder / "index.html").stat().st_size
assert size < 100_000, f"the page has {size} bytes"

with tempfile.TemporaryDirectory() as profile:
    page = run("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic",
               "--no-first-run", "--disable-background-networking", "--disable-component-update",
               "--disable-sync", f"--user-data-dir={profile}", "--virtual-time-budget=60000",
               "--dump-dom", f"file://{folder.resolve()}/index.html#test")
shown = json.loads(html.unescape(re.search(r'<pre id="result"[^>]*>(.*?)</pre>', page, re.S)[1]))

raw = gzip.decompress(Path(images).read_bytes())[16:16 + SAMPLES * 28 * 28]
(folder / "samples.idx").write_bytes(struct.pack(">IIII", 0x803, SAMPLES, 28, 28) + raw)
run(program, "run", model, folder / "samples.idx", "--logits", folder / "logits.npy")
expected = np.load(folder / "logits.npy")
assert (np.array(shown["logits"]) == expected).all(), "the browser computes other logits"
assert len(set(expected.argmax(1))) > 4, "the images do not tell networks apart"
assert 20 < shown["stroke"] < 500, f"the pointer drew {shown['stroke']} pixels"
assert abs(sum(shown["probabilities"]) - 1) < 1e-6
for text in ("ms an image", "filters, a row"):
    assert text in page, f"the page does not show '{text}'"
print(f"web: {SAMPLES} images, every logit the same; {size} bytes in all")

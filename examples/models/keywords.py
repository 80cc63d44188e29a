#!/usr/bin/python3
"""Ten words, said by speech synthesizers of Debian, as what a keyword network reads.

    /usr/bin/python3 examples/models/keywords.py [FOLDER]    needs espeak-ng, flite, NumPy and SciPy

Writes train-images.npy, uint8 [N, 49, 10, 1], and train-labels.npy to FOLDER (default:
build/models/keywords); then test-..., voices that were not heard in training, and other-..., another
synthesizer, flite.

The words are those of the keyword task of MLPerf Tiny, which has recordings of people (Warden 2018,
arXiv 1804.03209) that no package of Debian holds: a network that is trained on these hears machines.
A second of sound at 16 kHz becomes 49 frames of 10 mel-frequency cepstral coefficients; each
coefficient z is normalized over the second and stored as 255 * (0.5 + 0.2 z).
"""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

WORDS = ["yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go"]
ACCENTS = ["en-us", "en-gb", "en-gb-scotland", "en-gb-x-rp", "en-gb-x-gbclan"]
RATE, FRAME, STEP, FFT, BANDS, COEFFICIENTS = 16000, 640, 320, 1024, 40, 10


def _variants():
    """Names of espeak-ng's voices, those that whisper or sing left out."""
    listed = subprocess.run(["espeak-ng", "--voices=variant"], capture_output=True, text=True,
                            check=True).stdout.split("\n")[1:]
    names = sorted(line.split()[-1].removeprefix("!v/") for line in listed if line.split())
    return [n for n in names if "whisper" not in n and n not in ("croak", "fast_test", "UniRobot")]


def _said(command):
    """What a synthesizer says, as floats at 16 kHz, silence before and after cut away. It writes a WAV
    file whose name becomes the last word of its command."""
    import numpy as np
    from scipy.io import wavfile
    from scipy.signal import resample_poly
    with tempfile.NamedTemporaryFile(suffix=".wav") as file:
        subprocess.run([*command, file.name], check=True)
        rate, x = wavfile.read(file.name)
    x = resample_poly(x / 32768, RATE, rate)
    loud = np.flatnonzero(np.abs(x) > 0.02 * np.abs(x).max())
    return x[loud[0]:loud[-1] + 1] / np.abs(x).max()


def _espeak(word, voice, speed, pitch):
    return _said(["espeak-ng", "-v", voice, "-s", str(speed), "-p", str(pitch), word, "-w"])


def _flite(word, voice, stretch):
    return _said(["flite", "-voice", voice, "--setf", f"duration_stretch={stretch}", "-t", word, "-o"])


def _mel_filters():
    """[BANDS, FFT / 2 + 1]: triangles at equal distances in mel from 20 to 4000 Hz."""
    import numpy as np
    mel = np.linspace(*(2595 * np.log10(1 + np.array([20, 4000]) / 700)), BANDS + 2)
    hz = 700 * (10**(mel / 2595) - 1)
    f = np.arange(FFT // 2 + 1) * RATE / FFT
    rise = (f - hz[:-2, None]) / (hz[1:-1] - hz[:-2])[:, None]
    fall = (hz[2:, None] - f) / (hz[2:] - hz[1:-1])[:, None]
    return np.maximum(0, np.minimum(rise, fall))


def features(second):
    """uint8 [49, 10] of a second of sound, float [16000]."""
    import numpy as np
    from scipy.fft import dct
    frames = np.lib.stride_tricks.sliding_window_view(second, FRAME)[::STEP] * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames, FFT)) ** 2
    c = dct(np.log(power @ _mel_filters().T + 1e-6), norm="ortho")[:, :COEFFICIENTS]
    z = (c - c.mean(0)) / (c.std(0) + 1e-3)
    return np.rint(255 * (0.5 + 0.2 * z)).clip(0, 255).astype(np.uint8)


def _placed(sound, random):
    """A second in which the sound begins somewhere, with noise 5 to 35 dB below it."""
    import numpy as np
    sound = sound[:RATE]
    start = random.integers(0, RATE - len(sound) + 1)
    second = np.zeros(RATE)
    second[start:start + len(sound)] = sound * random.uniform(0.3, 1)
    noise = np.cumsum(random.normal(size=RATE)) if random.random() < 0.5 else random.normal(size=RATE)
    noise -= noise.mean()
    level = np.sqrt(np.mean(sound**2)) * 10 ** (-random.uniform(5, 35) / 20)
    return second + noise * level / noise.std()


def _write(folder, part, calls, repeats, random):
    """Makes each call's sound and `repeats` examples of it."""
    import numpy as np
    images, labels, done = [], [], 0
    with ThreadPoolExecutor() as pool:
        for sound, (_, word, *_) in zip(pool.map(lambda c: c[0](*c[1:]), calls), calls):
            images += [features(_placed(sound, random)) for _ in range(repeats)]
            labels += [WORDS.index(word)] * repeats
            done += 1
            if sys.stderr.isatty():
                print(f"\r\033[K{part}: {done}/{len(calls)} sounds", end="", file=sys.stderr)
    for name, array in (("images", np.stack(images)[..., None]), ("labels", np.array(labels, np.uint8))):
        path = folder / f"{part}-{name}.npy"
        np.save(path.with_suffix(".part.npy"), array)
        path.with_suffix(".part.npy").replace(path)
    print(f"{folder}: {len(labels)} examples to {part}")


def make(folder):
    import numpy as np
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(1)
    variants = random.permutation(_variants())

    def espeak(chosen):
        return [(_espeak, w, f"{a}+{v}", random.integers(120, 220), random.integers(20, 80))
                for v in chosen for a in ACCENTS for w in WORDS]

    _write(folder, "train", espeak(variants[15:]), 8, random)
    _write(folder, "test", espeak(variants[:15]), 2, random)
    _write(folder, "other", [(_flite, w, v, s) for v in ("kal16", "awb", "rms", "slt")
                             for s in (0.8, 1, 1.2, 1.4) for w in WORDS], 5, random)


def load(folder):
    """(train images, labels, test images, labels) as examples/claims/data.py gives them; made if missing."""
    import numpy as np
    import torch
    folder = Path(folder)
    if not (folder / "other-labels.npy").exists():
        make(folder)
    out = []
    for part in ("train", "test"):
        z = (np.load(folder / f"{part}-images.npy").astype(np.float32) / 255 - 0.5) / 0.2
        labels = np.load(folder / f"{part}-labels.npy").astype(np.int64)
        out += [torch.from_numpy(z).permute(0, 3, 1, 2), torch.from_numpy(labels)]
    order = torch.randperm(len(out[0]), generator=torch.Generator().manual_seed(1))
    return [out[0][order], out[1][order], *out[2:]]


if __name__ == "__main__":
    if sys.argv[1:] in (["-h"], ["--help"]):
        print(__doc__)
    else:
        make(*sys.argv[1:] or [Path(__file__).resolve().parents[2] / "build/models/keywords"])

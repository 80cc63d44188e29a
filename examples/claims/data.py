"""Images and labels: Fashion-MNIST from its IDX files, CIFAR-10 from its binary batches.

Images are float32 in 0 ... 1, [count][channels][height][width]; labels int64 in 0 ... 9. A file that
is missing, truncated or out of range is a ValueError that names it.
"""

import gzip
import struct
from pathlib import Path

import numpy as np
import torch

FOLDERS = {"fashion-mnist": "/usr/share/datasets/fashion-mnist", "cifar10": "cifar-10-batches-bin"}


def _idx(path, dimensions):
    """The bytes of an IDX file of uint8, compressed with gzip."""
    try:
        content = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise ValueError(f"{path}: {error}") from None
    if len(content) < 4 + 4 * dimensions or content[:4] != bytes([0, 0, 8, dimensions]):
        raise ValueError(f"{path}: not an IDX file of bytes in {dimensions} dimensions")
    shape = struct.unpack_from(f">{dimensions}I", content, 4)
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape, dtype=np.int64):
        raise ValueError(f"{path}: {values.size} bytes where the header announces {shape}")
    return values.reshape(shape)


def _fashion_mnist(folder):
    for part in ("train", "t10k"):
        images = _idx(folder / f"{part}-images-idx3-ubyte.gz", 3)
        labels = _idx(folder / f"{part}-labels-idx1-ubyte.gz", 1)
        yield images[:, None], labels, folder / f"{part}-labels-idx1-ubyte.gz"


def _cifar10(folder):
    record = 1 + 3 * 32 * 32
    for names in ([f"data_batch_{i}.bin" for i in range(1, 6)], ["test_batch.bin"]):
        batches = []
        for name in names:
            try:
                batch = np.fromfile(folder / name, np.uint8)
            except OSError as error:
                raise ValueError(f"{folder / name}: {error.strerror}") from None
            if batch.size == 0 or batch.size % record:
                raise ValueError(f"{folder / name}: {batch.size} bytes are not a number of images "
                                 f"of {record}")
            batches.append(batch.reshape(-1, record))
        both = np.concatenate(batches)
        yield both[:, 1:].reshape(-1, 3, 32, 32), both[:, 0], folder / names[0]


def load(name, folder=None, pool=1):
    """(train images, train labels, test images, test labels)."""
    folder = Path(folder or FOLDERS[name])
    if not folder.is_dir():
        hint = {"fashion-mnist": "Debian's package dataset-fashion-mnist has it",
                "cifar10": "the binary version of https://www.cs.toronto.edu/~kriz/cifar.html"}[name]
        raise ValueError(f"{folder} is no folder of {name}: {hint}; name yours with --data")
    out = []
    for images, labels, path in {"fashion-mnist": _fashion_mnist, "cifar10": _cifar10}[name](folder):
        if len(images) != len(labels):
            raise ValueError(f"{path}: {len(labels)} labels for {len(images)} images")
        if labels.max() > 9:
            raise ValueError(f"{path}: a label is {labels.max()}, the largest should be 9")
        x = torch.from_numpy(images.astype(np.float32) / 255)
        if pool > 1:
            x = torch.nn.functional.avg_pool2d(x, pool)
        if name == "cifar10":
            x = (x - 0.47) / 0.25  # about the mean and deviation of all pixels
        out += [x.contiguous(memory_format=torch.channels_last),
                torch.from_numpy(labels.astype(np.int64))]
    return out


def crop_and_flip(images, generator):
    """Each image moved by up to 4 pixels each way, zeros moving in, and mirrored half of the time."""
    n, _, height, width = images.shape
    padded = torch.nn.functional.pad(images, (4, 4, 4, 4))
    y, x = (torch.randint(9, (n, 1), generator=generator) for _ in range(2))
    columns = x + torch.arange(width)
    mirrored = torch.rand(n, 1, generator=generator) < 0.5
    columns = torch.where(mirrored, columns.flip(1), columns)
    rows = y + torch.arange(height)
    index = torch.arange(n)[:, None, None]
    moved = padded.permute(0, 2, 3, 1)[index, rows[:, :, None], columns[:, None, :]]
    return moved.permute(0, 3, 1, 2)  # channels last

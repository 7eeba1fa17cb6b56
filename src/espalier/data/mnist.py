"""MNIST, or what comes in its files: `data=mnist data.root=DIR`, with `train-images-idx3-ubyte`, `train-labels-idx1-ubyte` and
the same of `t10k`, gzipped (`.gz`) or not. Where only the test files are there, train and test are cut from them.

Pixels are scaled to 0..1, then by the usual mean 0.1307 and deviation 0.3081.
Reference: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition"; the IDX format.
"""

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch

from espalier.data import images
from espalier.errors import InputError
from espalier.runs.seeds import stream

MEAN, DEVIATION = 0.1307, 0.3081
#: Share of the test images that stays test where there are no others.
TEST = 0.2
#: Number of dimensions -> the magic number of an IDX file of bytes.
MAGIC = {1: 0x801, 3: 0x803}


def load(settings):
    """settings: root, train_size, test_size, validation_fraction, seed."""
    if not settings["root"]:
        raise InputError("data=mnist needs data.root=DIR, a folder with the IDX files")
    root = Path(settings["root"])
    if not root.is_dir():
        raise InputError(f"data.root={root}: there is no such folder")
    test = read_pair(root, "t10k")
    if test is None:
        raise InputError(f"data.root={root}: there is no t10k-images-idx3-ubyte (or .gz) in it")
    train, source = read_pair(root, "train"), "train and t10k"
    if train is None:
        order = np.random.default_rng(stream(settings["seed"], "mnist")).permutation(len(test[0]))
        count, source = round(TEST * len(order)), "t10k, cut in two"
        train, test = (tuple(one[part] for one in test) for part in (order[count:], order[:count]))
    if train[0].shape[1:] != test[0].shape[1:]:
        raise InputError(f"data.root={root}: images of {train[0].shape[1:]} for training, of {test[0].shape[1:]} for test")
    labels = tuple(map(str, range(1 + max(int(train[1].max()), int(test[1].max())))))
    parts = [(scaled(pixels), torch.from_numpy(classes.astype(np.int64))) for pixels, classes in (train, test)]
    return images.made(settings, *parts, labels, source=source)


def scaled(pixels):
    return (torch.from_numpy(pixels.reshape(len(pixels), -1)).float() / 255 - MEAN) / DEVIATION


def read_pair(root, name):
    """(images `(N, rows, columns)`, labels `(N,)`), bytes; None where there is no file of this name.

    Raises: InputError naming the file.
    """
    paths = [_there(root, f"{name}-{what}-ubyte") for what in ("images-idx3", "labels-idx1")]
    if not paths[0] and not paths[1]:
        return None
    for path, what in zip(paths, ("images-idx3", "labels-idx1")):
        if not path:
            raise InputError(f"data.root={root}: there is no {name}-{what}-ubyte (or .gz) in it")
    pixels, classes = read_idx(paths[0], 3), read_idx(paths[1], 1)
    if len(pixels) != len(classes):
        raise InputError(f"{paths[1]}: {len(classes)} labels for the {len(pixels)} images of {paths[0].name}")
    return pixels, classes


def _there(root, name):
    """The path of a file, plain or gzipped; also with the dot that some copies have before `idx`."""
    for spelled in (name, name.replace("-idx", ".idx")):
        for path in (root / spelled, root / f"{spelled}.gz"):
            if path.is_file():
                return path
    return None


def read_idx(path, dimensions):
    """The array of bytes in an IDX file.  Raises: InputError if it is damaged or of another type."""
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"{path}: cannot be read ({error})") from None
    head = 4 * (1 + dimensions)
    magic, *sizes = np.frombuffer(content[:head].ljust(head, b"\0"), ">u4").tolist()
    if magic != MAGIC[dimensions]:
        what = "images (magic number 2051)" if dimensions == 3 else "labels (magic number 2049)"
        raise InputError(f"{path}: is no IDX file of {what}, it begins with {magic}")
    need = int(np.prod(sizes, dtype=object))
    if len(content) - head != need or not need:
        told = " x ".join(map(str, sizes))
        raise InputError(f"{path}: {len(content) - head} bytes for {told} of them: it is damaged or not whole")
    return np.frombuffer(content, np.uint8, offset=head).reshape(sizes).copy()

"""One random stream per purpose, derived from the seed by a stable hash.

A stream depends on what it is for and on nothing that ran before it, so that level 50 of a list of levels equals level 50
alone and a resumed run equals an uninterrupted one.
"""

import hashlib
import random
from contextlib import contextmanager

import numpy as np
import torch


def stream(seed, *purpose):
    """Seed of the stream for `purpose` (words and numbers, e.g. `"order", level, epoch`): an int in [0, 2**63)."""
    text = "/".join(str(part) for part in (seed, *purpose))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed, *purpose):
    """`torch.Generator` on the CPU, seeded with `stream(seed, *purpose)`."""
    return torch.Generator().manual_seed(stream(seed, *purpose))


@contextmanager
def seeded(seed, *purpose):
    """Run a block, such as the construction of a module, under its own stream; the global generators are left as they were."""
    with kept():
        seed_all(seed, *purpose)
        yield


def seed_all(seed, *purpose):
    """Seed the global generators of torch, numpy and Python with `stream(seed, *purpose)`."""
    value = stream(seed, *purpose)
    torch.manual_seed(value)
    np.random.seed(value % 2**32)  # noqa: NPY002
    random.seed(value)


@contextmanager
def kept():
    """Leave the global generators of torch (on the CPU), numpy and Python as they were before the block."""
    states = np.random.get_state(), random.getstate()  # noqa: NPY002
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        np.random.set_state(states[0])  # noqa: NPY002
        random.setstate(states[1])

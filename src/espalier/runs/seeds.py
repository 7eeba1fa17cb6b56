"""One random stream per purpose, derived from the seed by a stable hash.

A stream depends on what it is for and on nothing that ran before it, so that level 50 of a list of levels equals level 50
alone and a resumed run equals an uninterrupted one.
"""

import hashlib
from contextlib import contextmanager

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
    """Run a block, such as the construction of a module, under its own stream; the global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(stream(seed, *purpose))
        yield

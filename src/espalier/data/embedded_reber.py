"""Embedded Reber strings: B, then T or P, a Reber string, the same T or P again, and E; the next letter is asked for.

What comes last but one depends on the second letter alone, however long the string between is. Baselines: bits per letter of
n-gram models, and of the grammar itself, which nothing can be better than.
Reference: Hochreiter and Schmidhuber 1997, "Long short-term memory", section 5.1.
"""

import numpy as np
import torch

from espalier.data.generated import made
from espalier.data.reber import walk
from espalier.data.split import Split
from espalier.data.text import bits
from espalier.tasks.classify import IGNORED

#: The letters, by their code less one.
LETTERS = "BEPSTVX"
#: Letters of the string between that no choice goes before: its B and its E.
FORCED = 2


def load(settings):
    """settings: train_size, test_size, validation_fraction, seed."""
    sizes = {"codes": len(LETTERS) + 1, "outputs": len(LETTERS) + 1}
    return made(settings, draw, sizes, baselines, ("the grammar itself",), letters=LETTERS)


def draw(count, rng):
    inner, lengths = (part[:count] for part in walk(count + 16, rng))
    table = np.zeros(256, dtype=np.uint8)
    table[np.frombuffer(LETTERS.encode(), dtype=np.uint8)] = np.arange(1, len(LETTERS) + 1)
    ends = table[np.frombuffer(b"TP", dtype=np.uint8)][rng.integers(0, 2, count)]
    longest = int(lengths.max()) if count else 1
    codes, rows = np.zeros((count, longest + 4), dtype=np.uint8), np.arange(count)
    codes[:, 0], codes[:, 1], codes[:, 2 : longest + 2] = table[ord("B")], ends, table[inner[:, :longest]]
    codes[rows, lengths + 2], codes[rows, lengths + 3] = ends, table[ord("E")]
    following = codes[:, 1:].astype(np.int64)
    targets = np.where(following > 0, following, IGNORED)
    return Split((torch.from_numpy(codes[:, :-1].copy()), torch.from_numpy(lengths + 3)), torch.from_numpy(targets))


def baselines(train, test):
    """Bits per letter on test."""
    flat = [np.concatenate([letters(split), np.zeros(1, dtype=np.uint8)]) for split in (train, test)]
    found = {name: bits(*flat, n, len(LETTERS) + 1) for n, name in ((1, "unigram"), (2, "bigram"), (3, "trigram"))}
    # One choice at the start, and one at every letter of the string between but for its B, its E and what leads to E.
    choices = test.lengths - 3 - FORCED + 1
    return found | {"the grammar itself": float(choices.sum() / test.lengths.sum())}


def letters(split):
    """All strings of a split in a row."""
    real = torch.arange(split.sequences.shape[1])[None] < split.lengths[:, None]
    return split.sequences[real].numpy()

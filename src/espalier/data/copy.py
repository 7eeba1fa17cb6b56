"""The copy problem: symbols, a delay of blanks, a signal; then the symbols are asked for, one per step, in their order.

Codes: 1 to `symbols`, one more for a blank, and one for the signal. Only the answers are judged.
Reference: Hochreiter and Schmidhuber 1997; as in Arjovsky, Shah and Bengio 2016, "Unitary evolution recurrent neural networks".
"""

import numpy as np
import torch

from espalier.data.generated import made
from espalier.data.split import Split
from espalier.tasks.classify import IGNORED


def load(settings):
    """settings: train_size, test_size, validation_fraction, symbols, length, delay, seed."""
    symbols, length, delay = (settings[name] for name in ("symbols", "length", "delay"))
    sizes = {"codes": symbols + 3, "outputs": symbols + 1}
    return made(settings, lambda count, rng: draw(count, symbols, length, delay, rng), sizes, baselines)


def draw(count, symbols, length, delay, rng):
    asked = rng.integers(1, symbols + 1, (count, length))
    steps = 2 * length + delay
    tokens, targets = np.full((count, steps), symbols + 1, dtype=np.uint8), np.full((count, steps), IGNORED)
    tokens[:, :length], targets[:, -length:] = asked, asked
    tokens[:, length + delay - 1] = symbols + 2
    return Split((torch.from_numpy(tokens), torch.full((count,), steps)), torch.from_numpy(targets))


def baselines(train, test):
    """The accuracy on test of the most frequent symbol."""
    answers = [split.targets[split.targets != IGNORED] for split in (train, test)]
    return {"constant": float((answers[1] == torch.bincount(answers[0]).argmax()).double().mean())}

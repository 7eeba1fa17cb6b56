"""The adding problem: sequences of uniform numbers, of which two are marked; their sum is asked for.

Step: a number from 0 to 1 and its mark, 0 or 1; one mark stands in each half. Guessing the mean has an error of 0.41.
Reference: Hochreiter and Schmidhuber 1997, "Long short-term memory", section 5.4.
"""

import numpy as np
import torch

from espalier.data.generated import made
from espalier.data.split import Split


def load(settings):
    """settings: train_size, test_size, validation_fraction, steps, seed."""
    return made(settings, lambda count, rng: draw(count, settings["steps"], rng), {"features": 2, "outputs": 1}, baselines)


def draw(count, steps, rng):
    values, marks = rng.random((count, steps)), np.zeros((count, steps))
    rows = np.arange(count)
    marks[rows, rng.integers(0, steps // 2, count)] = 1
    marks[rows, rng.integers(steps // 2, steps, count)] = 1
    sequences = torch.from_numpy(np.stack([values, marks], 2)).float()
    targets = torch.from_numpy((values * marks).sum(1, keepdims=True)).float()
    return Split((sequences, torch.full((count,), steps)), targets)


def baselines(train, test):
    """Root mean squared errors on test: of the mean, and of least squares on the sum of the numbers."""
    sums = [np.stack([np.ones(len(split)), split.sequences[..., 0].sum(1).numpy()], 1) for split in (train, test)]
    wanted = [split.targets[:, 0].double().numpy() for split in (train, test)]
    fitted = np.linalg.lstsq(sums[0], wanted[0], rcond=None)[0]
    guesses = {"constant": wanted[0].mean(), "least squares on the sum": sums[1] @ fitted}
    return {name: float(np.sqrt(np.square(guess - wanted[1]).mean())) for name, guess in guesses.items()}

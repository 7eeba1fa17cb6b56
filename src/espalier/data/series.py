"""One series of numbers, forecast: windows of so many past steps as inputs, of so many following ones as targets.

Test windows follow each other without overlapping targets, from `share` of the series on; training windows start at every step
and end before the first target of the test; the last of these, `validation_fraction` of them, are validation, and windows that
reach into its targets are left out of training. Values are scaled to 0..1 of the training part, errors told in the series' own
unit.

published: as the study of redundant units had it: scaled on the whole series, training windows up to `share` of it (so that
the last of them may overlap the first target of the test) without the last one, no validation.
"""

import numpy as np
import torch

from espalier.data.baselines import told
from espalier.data.split import Data, Split
from espalier.errors import InputError


def made(values, settings, **facts):
    """`Data` of a series.  settings: past, ahead, share, season, validation_fraction, published.

    Raises: InputError if it is too short, or constant.
    """
    past, ahead, published = settings["past"], settings["ahead"], settings["published"]
    length, both = len(values), past + ahead
    if length < both:
        raise InputError(f"the series has {length} values, fewer than one window of {past} past and {ahead} following ones")
    windows = (length - both) // ahead + 1
    first = int(windows * settings["share"])
    test = ahead * np.arange(first, windows)
    split = int(length * settings["share"])
    end = split - 1 if published else ahead * first + past  # of the values that training windows may reach
    train = np.arange(max(0, end - both + 1))
    count = 0 if published else round(settings["validation_fraction"] * len(train))
    train, validation = train[: len(train) - count], train[len(train) - count :]
    if count:
        train = train[train + both <= validation[0] + past]
    if not len(train) or not len(test) or not first:
        raise InputError(
            f"the series has {length} values, too few for windows of {past} + {ahead} in every part; lower data.past, "
            "data.ahead or data.validation_fraction"
        )
    part = values if published else values[: int(train[-1]) + both]
    low, span = part.min(), part.max() - part.min()
    if not span > 0:
        raise InputError(f"the series is constant in its training part: every value is {low:g}")
    scaled = (values - low) / span
    splits = [_windows(scaled, starts, past, ahead) for starts in (train, validation, test)]
    rules = told(lambda *parts: baselines(values, *parts, past, ahead, settings["season"]), train, validation, test)
    sizes = {"features": 1, "outputs": ahead, "steps": past}
    counts = {"values": length, "train_windows": len(train), "validation_windows": len(validation), "test_windows": len(test)}
    return Data(*splits, sizes, **rules, facts={**facts, **counts}, unit=float(span), origin=float(low))


def _cut(values, starts, past, ahead):
    """(the past `(N, past)`, what follows `(N, ahead)`) of the windows that start there."""
    places = starts[:, None] + np.arange(past + ahead)
    return values[places[:, :past]], values[places[:, past:]]


def _windows(values, starts, past, ahead):
    before, after = (torch.from_numpy(part).float() for part in _cut(values, starts, past, ahead))
    return Split((before.unsqueeze(2), torch.full((len(before),), past)), after)


def baselines(values, train, test, past, ahead, season=None):
    """Root mean squared errors on test, in the series' unit: of the mean of the window, its last value, the value one season
    before (where that is not later than the window's end), and least squares from the past to what follows.
    """
    (known, wanted), (inputs, targets) = (_cut(values, starts, past, ahead) for starts in (train, test))
    guesses = {"mean of the window": inputs.mean(1, keepdims=True), "persistence": inputs[:, -1:]}
    if season:
        steps = np.arange(ahead)
        back = season * (1 + steps // season)  # the last time that the season was there
        places = test[:, None] + past + steps - back
        if places.min() >= 0:
            guesses["seasonal persistence"] = values[places]
    fitted = np.linalg.lstsq(np.pad(known, ((0, 0), (1, 0)), constant_values=1), wanted, rcond=None)[0]
    guesses["least squares"] = np.pad(inputs, ((0, 0), (1, 0)), constant_values=1) @ fitted
    return {name: float(np.sqrt(np.square(guess - targets).mean())) for name, guess in guesses.items()}

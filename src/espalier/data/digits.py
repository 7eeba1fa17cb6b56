"""Handwritten digits that come with scikit-learn: 1,797 images of 8 x 8 pixels, ten classes, a fifth of them for test.

side: width and height they are drawn at (bilinear), 28 as in MNIST, so that networks and counts of weights are those of studies
on MNIST.  Pixels are scaled to mean 0 and deviation 1 of the training images.
Source: E. Alpaydin and C. Kaynak 1998, "Optical recognition of handwritten digits", UCI repository.
"""

import numpy as np
import torch
from sklearn.datasets import load_digits
from torch.nn import functional as F

from espalier.data import images
from espalier.runs.seeds import stream

TEST = 0.2


def load(settings):
    """settings: train_size, test_size, validation_fraction, side, seed."""
    pixels, classes = load_digits(return_X_y=True)
    side, count = settings["side"], round(TEST * len(pixels))
    drawn = torch.from_numpy(pixels).view(-1, 1, 8, 8)
    if side != 8:
        drawn = F.interpolate(drawn, (side, side), mode="bilinear", align_corners=False)
    order = np.random.default_rng(stream(settings["seed"], "digits")).permutation(len(pixels))
    test, train = order[:count], order[count:]
    values = drawn.flatten(1)
    values = ((values - values[train].mean()) / values[train].std()).float()
    parts = [(values[part], torch.from_numpy(classes[part]).long()) for part in (train, test)]
    return images.made(settings, *parts, tuple(map(str, range(10))), source="scikit-learn")

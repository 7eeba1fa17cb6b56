"""A noisy sine, forecast: sin(x) plus normal noise of deviation 0.15 at 7,000 places x from 0 to 100, as the study of redundant
units made it (numpy's old generator, seed 42).
"""

import numpy as np

from espalier.data import series

LENGTH, SPAN, NOISE = 7000, 100, 0.15


def load(settings):
    """settings: length (values, so many of the first), seed, and those of `espalier.data.series.made`."""
    noise = np.random.RandomState(settings["seed"]).normal(0, NOISE, LENGTH)
    values = np.sin(np.linspace(0, SPAN, LENGTH)) + noise
    return series.made(values[: settings["length"]], settings, source="generated")

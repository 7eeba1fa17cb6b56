"""What generated data share: their splits."""

import numpy as np

from espalier.data.split import Data
from espalier.runs.seeds import stream


def made(settings, make, sizes, baselines, **facts):
    """`Data` of three independent draws.

    make: function from (count, numpy generator) to a `Split`.  baselines: function from (train, test) to values by name.
    """
    held = round(settings["validation_fraction"] * settings["train_size"])
    counts = {"train": settings["train_size"] - held, "validation": held, "test": settings["test_size"]}
    name = settings["name"]
    splits = {part: make(count, np.random.default_rng(stream(settings["seed"], name, part))) for part, count in counts.items()}
    values = baselines(splits["train"], splits["test"])
    return Data(*splits.values(), sizes, baselines=values, facts={"source": "generated", **facts})

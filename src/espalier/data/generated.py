"""What generated data share: their splits."""

import numpy as np

from espalier.data.baselines import told
from espalier.data.split import Data, held_out
from espalier.runs.seeds import stream


def made(settings, make, sizes, baselines, bounds=(), **facts):
    """`Data` of three independent draws.

    make: function from (count, numpy generator) to a `Split`.  baselines: function from (train, test) to values by name;
    bounds: of these the names of what nothing can do better than.
    """
    held = held_out(settings["validation_fraction"], settings["train_size"])
    counts = {"train": settings["train_size"] - held, "validation": held, "test": settings["test_size"]}
    name = settings["name"]
    splits = {part: make(count, np.random.default_rng(stream(settings["seed"], name, part))) for part, count in counts.items()}
    return Data(
        *splits.values(), sizes, **told(baselines, *splits.values()), bounds=bounds, facts={"source": "generated", **facts}
    )

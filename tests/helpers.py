"""Small configurations, and how to compare results."""

import gzip
import struct

import numpy as np

from espalier.settings import Model, PruneConfig, Reber, Retrain, Trainer
from espalier.studies import prune
from espalier.studies.plan import prune_run

#: Overrides that make any job of ours a matter of a second.
TINY = [
    "data.train_size=160", "data.test_size=80", "data.validation_fraction=0.25", "data.batch_size=16", "model.hidden=[6,5]",
    "trainer.max_epochs=2",
]  # fmt: skip
TINY_PRUNE = [*TINY, "retrain.max_epochs=2"]
TINY_SEARCH = [
    *(key for key in TINY if "model" not in key and "trainer" not in key), "trainer.max_epochs=1", "graph.barabasi_albert=4",
    "graph.watts_strogatz=4", "graph.erdos_renyi=4", "graph.nodes=[6,10]", "processes=1", "dense=1",
    "predictor.regressors=[bayesian_ridge,mean]", "predictor.repeats=1",
]  # fmt: skip


def tiny_config(outputs, kind=PruneConfig, **changes):
    settings = dict(
        data=Reber(train_size=160, test_size=80, validation_fraction=0.25, batch_size=16),
        model=Model(hidden=[6, 5]),
        trainer=Trainer(max_epochs=2),
        outputs=str(outputs),
    )
    if kind is PruneConfig:
        settings |= dict(percent=[50, 90], retrain=Retrain(max_epochs=2), curve=False)
    return kind(**{**settings, **changes})


def finished(config):
    """The `Run` of a pruning job that was done."""
    prune.job(config)
    run = prune_run(config)
    assert run.result()
    return run


def without_seconds(path):
    """The lines of one of our CSVs without the column `seconds`."""
    lines = [line.split(",") for line in path.read_text(encoding="utf-8").splitlines()]
    column = lines[0].index("seconds")
    return [line[:column] + line[column + 1 :] for line in lines]


#: Of a file of the UEA archive.
HEADER = "@problemName made\n@timeStamps false\n@univariate false\n@dimensions 2\n@classLabel true a b\n@data\n"


def series(seed, count=60):
    """(values, labels): two channels of 4 to 9 steps; the first rises in class b; the second is noise, far from zero."""
    rng = np.random.default_rng(seed)
    values, labels = [], []
    for number in range(count):
        steps, label = rng.integers(4, 10), "ab"[number % 2]
        rising = np.linspace(-1, 1, steps) * (1 if label == "b" else -1)
        values.append(np.stack([rising + rng.normal(0, 0.1, steps), 100 + rng.normal(0, 5, steps)], 1).astype(np.float32))
        labels.append(label)
    return values, labels


def ts(values, labels):
    lines = []
    for one, label in zip(values, labels):
        lines.append(":".join(",".join(f"{value:.9g}" for value in channel) for channel in one.T) + f":{label}")
    return HEADER + "\n".join(lines) + "\n"


def idx(values):
    head = struct.pack(">" + "I" * (1 + values.ndim), 0x800 + values.ndim, *values.shape)
    return head + values.astype(np.uint8).tobytes()


def write_idx(folder, name="t10k", count=40, packed=False, labels=None):
    """MNIST's two files of one part, images of 6 x 5 pixels. Returns (images, labels)."""
    rng = np.random.default_rng(0)
    pixels, classes = rng.integers(0, 256, (count, 6, 5)), np.arange(count if labels is None else labels) % 4
    for what, values in (("images-idx3", pixels), ("labels-idx1", classes)):
        content = gzip.compress(idx(values)) if packed else idx(values)
        (folder / f"{name}-{what}-ubyte{'.gz' if packed else ''}").write_bytes(content)
    return pixels, classes

"""Reber strings, or any valid and invalid ones in ASCII, from two CSV files with the columns `string` and `valid`."""

from functools import partial

import numpy as np

from espalier.data import baselines
from espalier.data.reber import LABELS
from espalier.data.split import Data
from espalier.data.strings import CODES, at_most, encode, read_both, read_csv, split_train
from espalier.errors import InputError
from espalier.runs.seeds import stream


def load(settings):
    """settings: train, test (files), train_size, test_size, validation_fraction, deduplicate, seed."""
    if not settings["train"] or not settings["test"]:
        raise InputError("data=reber_csv needs data.train=FILE and data.test=FILE (CSV with the columns string,valid)")
    train, test, facts = read_both(read_csv, settings)
    rng = np.random.default_rng(stream(settings["seed"], "split"))
    train, test = at_most(encode(*train), settings["train_size"], rng), at_most(encode(*test), settings["test_size"], rng)
    train, validation = split_train(train, settings["validation_fraction"], rng)
    rules = baselines.told(partial(baselines.scores, baselines.REBER), train, validation, test)
    return Data(train, validation, test, {"codes": CODES, "outputs": 2}, LABELS, facts=facts, **rules)

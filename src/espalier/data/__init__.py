"""Strings in; padded tensors, lengths and labels out."""

import numpy as np
import torch

from espalier.data import reber
from espalier.data.strings import Splits, Strings, at_most, encode, read_csv, refuse_conflicts, split_train, without_repeats
from espalier.errors import InputError
from espalier.runs.seeds import stream


def load(config):
    """The splits that a data configuration (`espalier.studies.config.Data`) describes.

    Raises: InputError, in one line, about files and about sizes that cannot be had.
    """
    splits = _generated(config) if config.name == "reber" else _from_csv(config)
    for name in ("train", "test"):
        labels = getattr(splits, name).labels
        if len(torch.unique(labels)) < 2:
            raise InputError(f"the {name} strings ({len(labels)}) do not contain both labels")
    if config.validation_fraction and not len(splits.validation):
        raise InputError(f"data.validation_fraction={config.validation_fraction} of {len(splits.train)} strings is none")
    return splits


def _generated(config):
    train_size, test_size = config.train_size, config.test_size
    if not train_size or not test_size:
        raise InputError("data=reber needs data.train_size and data.test_size")
    valid = (train_size + test_size) // 2
    shares = (config.shares.near, config.shares.altered, config.shares.foreign)
    codes, lengths, labels, kinds = reber.generate(
        valid, train_size + test_size - valid, stream(config.seed, "reber"), shares, config.min_length
    )
    strings = Strings(torch.from_numpy(codes), torch.from_numpy(lengths), torch.from_numpy(labels))
    rng = np.random.default_rng(stream(config.seed, "split"))
    train, test = split_train(strings, test_size / len(strings), rng)
    train, validation = split_train(train, config.validation_fraction, rng)
    facts = {"source": "generated", **{f"invalid_{kind}": int((kinds == kind).sum()) for kind in reber.KINDS}}
    return Splits(train, validation, test, facts)


def _from_csv(config):
    if not config.train or not config.test:
        raise InputError("data=reber_csv needs data.train=FILE and data.test=FILE (CSV with the columns string,valid)")
    train, test = read_csv(config.train), read_csv(config.test)
    refuse_conflicts((config.train, *train), (config.test, *test))
    facts = {"source": f"{config.train}, {config.test}"}
    if config.deduplicate:
        *train, counts = without_repeats(train, test)
        facts |= counts
        if not train[0]:
            raise InputError(f"{config.train}: every string is also in {config.test}")
    rng = np.random.default_rng(stream(config.seed, "split"))
    train, test = at_most(encode(*train), config.train_size, rng), at_most(encode(*test), config.test_size, rng)
    train, validation = split_train(train, config.validation_fraction, rng)
    return Splits(train, validation, test, facts)

"""Strings of any characters with any labels, from two CSV files: `data=strings_csv data.train=a.csv data.test=b.csv`.

Characters get codes by their first appearance in the sorted characters of the training file, from 1 on; 0 pads, and characters
that training has not share the last code. Labels are text.
"""

from functools import partial

import numpy as np
import torch

from espalier.data import baselines
from espalier.data.split import Data, Split
from espalier.data.strings import at_most, read_both, read_labelled, split_train
from espalier.errors import InputError
from espalier.runs.seeds import stream


def load(settings):
    """settings: train, test (files), string, label (columns), train_size, test_size, validation_fraction, deduplicate, seed."""
    if not settings["train"] or not settings["test"]:
        raise InputError("data=strings_csv needs data.train=FILE and data.test=FILE (CSV with the columns string,label)")
    columns = settings["string"], settings["label"]
    train, test, facts = read_both(lambda path: read_labelled(path, *columns), settings)
    labels = tuple(sorted(set(train[1])))
    strange = sorted(set(test[1]) - set(labels))
    if strange:
        raise InputError(f"{settings['test']}: the label {strange[0]!r} does not occur in {settings['train']}")
    codes = {character: code for code, character in enumerate(sorted(set("".join(train[0]))), start=1)}
    rng = np.random.default_rng(stream(settings["seed"], "split"))
    train, test = (encode(*part, codes, labels) for part in (train, test))
    unknown = len(codes) + 1
    facts |= {"characters": len(codes), "unknown_in_test": int((test.sequences == unknown).sum())}
    train, test = at_most(train, settings["train_size"], rng), at_most(test, settings["test_size"], rng)
    train, validation = split_train(train, settings["validation_fraction"], rng)
    rules = baselines.told(partial(baselines.scores, baselines.STRINGS), train, validation, test)
    return Data(train, validation, test, {"codes": unknown + 1, "outputs": len(labels)}, labels, facts=facts, **rules)


def encode(texts, labels, codes, names):
    """The `Split` of texts: codes `(N, T)` in the smallest integers that hold them, lengths, and the numbers of the labels."""
    unknown = len(codes) + 1
    kind = np.uint8 if unknown < 2**8 else np.int16 if unknown < 2**15 else np.int32
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    tokens = np.zeros((len(texts), lengths.max()), dtype=kind)
    for row, text in zip(tokens, texts):
        row[: len(text)] = [codes.get(character, unknown) for character in text]
    number = {name: place for place, name in enumerate(names)}
    targets = torch.tensor([number[label] for label in labels])
    return Split((torch.from_numpy(tokens), torch.from_numpy(lengths)), targets)

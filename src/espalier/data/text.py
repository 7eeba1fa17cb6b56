"""A running text, next token by next token: `data=text data.path=input.txt`.

The text is cut into three parts in a row: train, validation, test. Each is laid out in `batch_size` rows that go on from batch
to batch, so that states can be carried over. Tokens get codes by their order, those of the training part alone; what it has not
shares one more. 0 stands for no token.
Baselines: bits per token of n-gram models of the training part, each smoothed by the next shorter one (Witten and Bell 1991).
"""

import numpy as np
import torch

from espalier.data.baselines import told
from espalier.data.split import Data, Split
from espalier.errors import InputError
from espalier.tasks.classify import IGNORED


def load(settings):
    """settings: path, tokens, window, batch_size, validation_fraction, test_fraction."""
    if not settings["path"]:
        raise InputError("data=text needs data.path=FILE")
    tokens = read(settings["path"], settings["tokens"])
    held = [round(settings[f"{name}_fraction"] * len(tokens)) for name in ("validation", "test")]
    ends = np.cumsum([len(tokens) - sum(held), *held])
    parts = [tokens[start:end] for start, end in zip([0, *ends], ends)]
    rows, window = settings["batch_size"], settings["window"]
    for name, part in zip(("train", "validation", "test"), parts):
        if (len(part) or name != "validation") and len(part) <= rows:
            raise InputError(
                f"{settings['path']}: {len(part)} {settings['tokens']} in {name} are too few for {rows} rows; "
                "lower data.batch_size"
            )
    known = np.unique(parts[0])
    unknown = len(known) + 1
    kind = np.uint8 if unknown < 2**8 else np.int16 if unknown < 2**15 else np.int32
    codes = []
    for part in parts:
        place = np.minimum(np.searchsorted(known, part), len(known) - 1)
        codes.append(np.where(known[place] == part, place + 1, unknown).astype(kind))
    facts = {"source": settings["path"], "tokens": len(tokens), "known_tokens": len(known)}
    facts |= {"unknown_in_test": int((codes[2] == unknown).sum()), "parts": [len(part) for part in parts]}
    names = ("unigram", "bigram", "trigram")
    rules = told(lambda known, part: {name: bits(known, part, n, unknown) for n, name in enumerate(names, start=1)}, *codes)
    splits = [running(part, rows, window) for part in codes]
    return Data(*splits, {"codes": unknown + 1, "outputs": unknown + 1}, **rules, facts=facts)


def read(path, kind):
    """The tokens of a file: an array of code points, bytes or words.  Raises: InputError."""
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not content:
        raise InputError(f"{path}: the file is empty")
    if kind == "bytes":
        return np.frombuffer(content, dtype=np.uint8)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is no UTF-8; data.tokens=bytes reads any file") from None
    if kind == "words":
        return np.array(text.split())
    return np.frombuffer(text.encode("utf-32-le"), dtype=np.uint32)


def running(codes, rows, window):
    """The `Split` of a text in so many rows; the last few tokens, which fill no column, count for nothing."""
    if not len(codes):
        empty = torch.zeros(0, 1, dtype=torch.int64)
        return Split((empty, torch.zeros(0, dtype=torch.int64)), empty, window)
    steps = -(-(len(codes) - 1) // rows)
    inputs, targets = np.zeros(rows * steps, dtype=codes.dtype), np.full(rows * steps, IGNORED, dtype=np.int64)
    inputs[: len(codes) - 1], targets[: len(codes) - 1] = codes[:-1], codes[1:]
    inputs, targets = (torch.from_numpy(values.reshape(rows, steps)) for values in (inputs, targets))
    return Split((inputs, torch.full((rows,), steps)), targets, window)


def bits(train, test, n, codes):
    """Bits per token of an n-gram model of `train` on `test`, each order smoothed by the one below, that by uniform codes."""
    probability = np.full(len(test), 1 / codes)
    for order in range(1, n + 1):
        seen, asked = grams(train, order, codes + 1), grams(test, order, codes + 1)
        histories, asked_histories = (values // (codes + 1) for values in (seen, asked))
        total = counts_of(histories, asked_histories)
        kinds = counts_of(np.unique(seen) // (codes + 1), asked_histories)
        count = counts_of(seen, asked)
        mixed = probability[order - 1 :]
        weight = total + kinds
        better = np.where(weight > 0, (count + kinds * mixed) / np.maximum(weight, 1), mixed)
        probability = np.concatenate([probability[: order - 1], better])
    return float(-np.log2(probability).mean())


def grams(codes, n, base):
    """Every run of n codes below `base` as one number, by the place of its first code."""
    count = len(codes) - n + 1
    number = np.zeros(count, dtype=np.int64)
    for k in range(n):
        number = number * base + codes[k : k + count]
    return number


def counts_of(seen, asked):
    """How often each of the asked numbers was seen."""
    known, counts = np.unique(seen, return_counts=True)
    place = np.minimum(np.searchsorted(known, asked), len(known) - 1)
    return np.where(known[place] == asked, counts[place], 0)

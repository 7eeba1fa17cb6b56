"""Labelled strings as tensors, and the three disjoint splits made of them."""

import csv
from dataclasses import dataclass, field

import numpy as np
import torch

from espalier.errors import InputError

CODES = 128  # ASCII


@dataclass
class Strings:
    """N labelled strings.

    tokens: `(N, T)` uint8, ASCII codes, 0 after the end.  lengths, labels: `(N,)` int64.
    """

    tokens: torch.Tensor
    lengths: torch.Tensor
    labels: torch.Tensor

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return Strings(self.tokens[index], self.lengths[index], self.labels[index])

    def to(self, device):
        return Strings(self.tokens.to(device), self.lengths.to(device), self.labels.to(device))

    def texts(self):
        """The strings as Python strings."""
        return [bytes(row[:length]).decode("ascii") for row, length in zip(self.tokens.numpy(), self.lengths.tolist())]


@dataclass
class Splits:
    """train, validation and test; `facts` says what was read, made or left out (plain numbers, for the report)."""

    train: Strings
    validation: Strings
    test: Strings
    facts: dict = field(default_factory=dict)

    def to(self, device):
        return Splits(self.train.to(device), self.validation.to(device), self.test.to(device), self.facts)


def encode(texts, labels):
    """`Strings` of ASCII texts and their integer labels."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    tokens = np.zeros((len(texts), max(lengths, default=1)), dtype=np.uint8)
    for row, text in zip(tokens, texts):
        row[: len(text)] = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return Strings(torch.from_numpy(tokens), torch.from_numpy(lengths), torch.tensor(labels, dtype=torch.int64))


def read_csv(path):
    """Texts and labels of a CSV with the columns `string` and `valid` (0 or 1); other columns are ignored.

    Everything is read as text: `NA` is a string like any other.

    Raises: InputError naming the file and the line: missing or empty file, missing column, empty string, line break in a
    string, other label, character outside ASCII.
    """
    try:
        handle = open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    texts, labels = [], []
    with handle:
        reader = csv.DictReader(handle)
        try:
            columns = reader.fieldnames
            if columns is None:
                raise InputError(f"{path}: the file is empty; it needs the columns string,valid")
            missing = [name for name in ("string", "valid") if name not in columns]
            if missing:
                raise InputError(f"{path}: no column {', '.join(missing)}; found {', '.join(map(ascii, columns))}")
            for row in reader:
                texts.append(_text(row["string"], path, reader.line_num))
                labels.append(_label(row["valid"], path, reader.line_num))
        except csv.Error as error:
            line = reader.reader.line_num  # a DictReader's own is that of the row before
            raise InputError(f"{path}, line {line}: not a CSV ({error})") from None
    if not texts:
        raise InputError(f"{path}: there is no string below the header")
    return texts, labels


def _text(text, path, line):
    if not text:
        raise InputError(f"{path}, line {line}: the string is empty")
    if "\n" in text or "\r" in text:
        raise InputError(f"{path}: the string that ends in line {line} has a line break in it; is a quotation mark left open?")
    for character in text:
        if not 0 < ord(character) < CODES:
            raise InputError(f"{path}, line {line}: the character {character!a} is outside ASCII")
    return text


def _label(label, path, line):
    if label not in ("0", "1"):
        raise InputError(f"{path}, line {line}: valid must be 0 or 1, got {label!a}")
    return int(label)


def split_train(train, fraction, rng):
    """Take `round(fraction * N)` strings out of `train`, the classes in proportion: (rest, taken), each in random order."""
    held, kept, before, seen = [], [], 0, 0
    for label in torch.unique(train.labels):
        members = rng.permutation(np.flatnonzero((train.labels == label).numpy()))
        seen += len(members)
        cut = round(fraction * seen) - before  # cumulative, so that what is rounded off one class comes to the next
        before += cut
        held.append(members[:cut])
        kept.append(members[cut:])
    return tuple(train[torch.from_numpy(rng.permutation(np.concatenate(part)))] for part in (kept, held))


def at_most(strings, size, rng):
    """All of `strings`, or `size` of them, each class in proportion."""
    if size is None or size >= len(strings):
        return strings
    return split_train(strings, size / len(strings), rng)[1]


def without_repeats(train, test):
    """Leave out of train what came before or stands in test.

    train, test: (texts, labels).  Returns: texts, labels, {"duplicates": ..., "also in test": ...}.
    """
    texts, labels, seen, in_test = [], [], set(), set(test[0])
    counts = {"duplicates": 0, "also_in_test": 0}
    for text, label in zip(*train):
        if text in in_test:
            counts["also_in_test"] += 1
        elif text in seen:
            counts["duplicates"] += 1
        else:
            seen.add(text)
            texts.append(text)
            labels.append(label)
    return texts, labels, counts


def refuse_conflicts(*sources):
    """Raise InputError if a string carries both labels.  sources: (path, texts, labels)."""
    first = {}
    for path, texts, labels in sources:
        for text, label in zip(texts, labels):
            if first.setdefault(text, (label, path))[0] != label:
                raise InputError(f"{path}: the string {text!r} has both labels (the other one in {first[text][1]})")

"""Labelled strings: read, encoded, split."""

import csv

import numpy as np
import torch

from espalier.data.split import Split, held_out
from espalier.errors import InputError

CODES = 128  # ASCII


def texts(strings):
    """The strings of a split of ASCII codes as Python strings."""
    rows = zip(strings.sequences.numpy(), strings.lengths.tolist())
    return [bytes(row[:length]).decode("ascii") for row, length in rows]


def encode(texts, labels):
    """The `Split` of ASCII texts and their integer labels: codes uint8, 0 after the end; lengths and labels int64."""
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    tokens = np.zeros((len(texts), max(lengths, default=1)), dtype=np.uint8)
    for row, text in zip(tokens, texts):
        row[: len(text)] = np.frombuffer(text.encode("ascii"), dtype=np.uint8)
    return Split((torch.from_numpy(tokens), torch.from_numpy(lengths)), torch.tensor(labels, dtype=torch.int64))


def read_csv(path):
    """Texts and labels of a CSV with the columns `string` and `valid` (0 or 1); other columns are ignored.

    Everything is read as text: `NA` is a string like any other.

    Raises: InputError naming the file and the line: missing or empty file, missing column, empty string, line break in a
    string, other label, character outside ASCII.
    """
    rows = [(_ascii(text, path, line), _label(label, path, line)) for line, text, label in _rows(path, "string", "valid")]
    return tuple(map(list, zip(*rows)))


def read_labelled(path, string="string", label="label"):
    """Texts and labels, both any text, of a CSV with these columns.

    Raises: InputError naming the file and the line, as `read_csv`; also for an empty label and bytes that are no UTF-8.
    """
    texts, labels = [], []
    for line, text, name in _rows(path, string, label):
        if any(0xDC80 <= ord(character) <= 0xDCFF for character in f"{text}{name}"):
            raise InputError(f"{path}, line {line}: bytes that are no UTF-8")
        if not name:
            raise InputError(f"{path}, line {line}: the label is empty")
        texts.append(text)
        labels.append(name)
    return texts, labels


def _rows(path, *wanted):
    """(line, string, label) of every row, the string checked for what no string may be."""
    try:
        handle = open(path, newline="", encoding="utf-8-sig", errors="surrogateescape")
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    with handle:
        reader, found = csv.DictReader(handle), False
        try:
            columns = reader.fieldnames
            if columns is None:
                raise InputError(f"{path}: the file is empty; it needs the columns {','.join(wanted)}")
            missing = [name for name in wanted if name not in columns]
            if missing:
                raise InputError(f"{path}: no column {', '.join(missing)}; found {', '.join(map(ascii, columns))}")
            for row in reader:
                found = True
                yield reader.line_num, _text(row[wanted[0]], path, reader.line_num), row[wanted[1]]
        except csv.Error as error:
            line = reader.reader.line_num  # a DictReader's own is that of the row before
            raise InputError(f"{path}, line {line}: not a CSV ({error})") from None
    if not found:
        raise InputError(f"{path}: there is no string below the header")


def _text(text, path, line):
    if not text:
        raise InputError(f"{path}, line {line}: the string is empty")
    if "\n" in text or "\r" in text:
        raise InputError(f"{path}: the string that ends in line {line} has a line break in it; is a quotation mark left open?")
    return text


def _ascii(text, path, line):
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
    held_out(fraction, len(train))
    held, kept, before, seen = [], [], 0, 0
    for label in torch.unique(train.targets):
        members = rng.permutation(np.flatnonzero((train.targets == label).numpy()))
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

    train, test: (examples, labels), an example a text or an array.  Returns: examples, labels, {"duplicates": ...,
    "also_in_test": ...}.
    """
    examples, labels, seen, in_test = [], [], set(), {_key(example) for example in test[0]}
    counts = {"duplicates": 0, "also_in_test": 0}
    for example, label in zip(*train):
        key = _key(example)
        if key in in_test:
            counts["also_in_test"] += 1
        elif key in seen:
            counts["duplicates"] += 1
        else:
            seen.add(key)
            examples.append(example)
            labels.append(label)
    return examples, labels, counts


def read_both(read, settings):
    """(train, test, facts) of two files as `read` takes them, without what contradicts or repeats itself.

    read: function from a path to (examples, labels).  settings: train, test, deduplicate.
    """
    train, test = read(settings["train"]), read(settings["test"])
    if isinstance(train[0][0], str):
        refuse_conflicts((settings["train"], *train), (settings["test"], *test))
    facts = {"source": f"{settings['train']}, {settings['test']}"}
    if settings["deduplicate"]:
        *train, counts = without_repeats(train, test)
        facts |= counts
        if not train[0]:
            raise InputError(f"{settings['train']}: every example is also in {settings['test']}")
    return train, test, facts


def _key(example):
    return example if isinstance(example, str) else example.tobytes()


def refuse_conflicts(*sources):
    """Raise InputError if a string carries both labels.  sources: (path, texts, labels)."""
    first = {}
    for path, texts, labels in sources:
        for text, label in zip(texts, labels):
            if first.setdefault(text, (label, path))[0] != label:
                raise InputError(f"{path}: the string {text!r} has both labels (the other one in {first[text][1]})")

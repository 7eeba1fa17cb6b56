"""Real-valued sequences of several channels with a class each: `data=sequences data.train=TRAIN.ts data.test=TEST.ts`.

Files: `.ts` of the UEA and UCR archives; `.csv`, a row per step with the columns `series`, `step`, `label` and one per channel;
`.npz` with `values` (N, T, channels), `lengths` (N,) and `labels` (N,). Channels are scaled to mean 0 and deviation 1 of the
training split.
"""

import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from espalier.data import baselines
from espalier.data.split import Data, Split
from espalier.data.strings import at_most, read_both, split_train
from espalier.errors import InputError
from espalier.runs.seeds import stream


def load(settings):
    """settings: train, test (files), train_size, test_size, validation_fraction, deduplicate, scale, seed."""
    if not settings["train"] or not settings["test"]:
        raise InputError("data=sequences needs data.train=FILE and data.test=FILE (.ts, .csv or .npz)")
    train, test, facts = read_both(read, settings)
    names = set(train[1])
    strange = sorted(set(test[1]) - names)
    if strange:
        raise InputError(f"{settings['test']}: the label {strange[0]!r} does not occur in {settings['train']}")
    channels = train[0][0].shape[1], test[0][0].shape[1]
    if channels[0] != channels[1]:
        raise InputError(f"{settings['test']}: {channels[1]} channels, {settings['train']} has {channels[0]}")
    labels = tuple(sorted(names, key=_order))
    facts["channels"] = channels[0]
    rng = np.random.default_rng(stream(settings["seed"], "split"))
    train, test = (stack(*part, labels) for part in (train, test))
    train, test = at_most(train, settings["train_size"], rng), at_most(test, settings["test_size"], rng)
    train, validation = split_train(train, settings["validation_fraction"], rng)
    if settings["scale"]:
        train, validation, test = scaled(train, validation, test)
    rules = baselines.told(partial(baselines.scores, baselines.SEQUENCES), train, validation, test)
    return Data(train, validation, test, {"features": channels[0], "outputs": len(labels)}, labels, facts=facts, **rules)


def read(path):
    """(list of `(T, channels)` arrays, list of labels as text).  Raises: InputError with file and line."""
    readers = {".ts": read_ts, ".csv": read_long_csv, ".npz": read_npz}
    kind = Path(path).suffix
    if kind not in readers:
        raise InputError(f"{path}: sequences are read from {', '.join(readers)}")
    try:
        values, labels = readers[kind](path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from None
    if not values:
        raise InputError(f"{path}: there is no sequence in it")
    for number, series in enumerate(values, start=1):
        if not np.isfinite(series).all():
            raise InputError(f"{path}: sequence {number} holds values that are not finite")
    return values, labels


def read_ts(path):
    """A file of the UEA archive: a line per sequence, channels parted by colons, values by commas, the label last."""
    values, labels, started, channels = [], [], False, None
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            line = line.strip()
            lower = line.lower()
            if not line or line.startswith("#"):
                continue
            if not started:
                if lower.replace(" ", "") == "@timestampstrue":
                    raise InputError(f"{path}, line {number}: time stamps are not read; store values at equal steps")
                if lower.replace(" ", "") == "@classlabelfalse" or lower.startswith("@targetlabel"):
                    raise InputError(f"{path}, line {number}: every sequence needs a class label")
                started = lower == "@data"
                continue
            *parts, label = line.split(":")
            try:
                series = [np.array(part.split(","), dtype=np.float32) for part in parts]
            except ValueError:
                raise InputError(f"{path}, line {number}: a value is no number (missing values are not read)") from None
            if not parts or len({len(channel) for channel in series}) > 1:
                raise InputError(f"{path}, line {number}: {len(parts)} channels of different lengths, or none")
            channels = channels or len(parts)
            if len(parts) != channels:
                raise InputError(f"{path}, line {number}: {len(parts)} channels, the lines before have {channels}")
            values.append(np.stack(series, 1))
            labels.append(label.strip())
    if not started:
        raise InputError(f"{path}: no line @data, so this is no .ts file")
    return values, labels


def read_long_csv(path):
    """A CSV with a row per step: series, step, label, and a column per channel."""
    try:
        frame = pd.read_csv(path, dtype={"series": str, "label": str}, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a CSV ({str(error).splitlines()[0]})") from None
    missing = [name for name in ("series", "step", "label") if name not in frame]
    channels = [name for name in frame if name not in ("series", "step", "label")]
    if missing or not channels:
        raise InputError(f"{path}: no column {', '.join(missing) or 'of values'}; found {', '.join(map(str, frame))}")
    for name in ("step", *channels):
        if not pd.api.types.is_numeric_dtype(frame[name]):
            raise InputError(f"{path}: the column {name} holds text or gaps")
    values, labels = [], []
    for series, rows in frame.groupby("series", sort=False):
        if not series:
            raise InputError(f"{path}: a row has no series")
        if rows["label"].nunique() > 1 or not rows["label"].iloc[0]:
            raise InputError(f"{path}: series {series} has several labels, or none")
        if rows["step"].duplicated().any():
            raise InputError(f"{path}: series {series} has a step twice")
        values.append(rows.sort_values("step")[channels].to_numpy(dtype=np.float32))
        labels.append(rows["label"].iloc[0])
    return values, labels


def read_npz(path):
    """An archive of numpy with `values`, `lengths` and `labels`; it may hold no Python objects."""
    try:
        with np.load(path, allow_pickle=False) as content:
            values, lengths, labels = (content[name] for name in ("values", "lengths", "labels"))
    except KeyError as error:
        raise InputError(f"{path}: {error.args[0]}; it needs values, lengths and labels") from None
    except (ValueError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: cannot be read as an archive of numbers ({type(error).__name__})") from None
    if not np.issubdtype(values.dtype, np.number) or not np.issubdtype(lengths.dtype, np.integer):
        raise InputError(f"{path}: values must be numbers and lengths whole ones, got {values.dtype} and {lengths.dtype}")
    if values.ndim != 3 or not len(values) == len(lengths) == len(labels):
        raise InputError(f"{path}: values must be (N, T, channels) with N lengths and labels, got {values.shape}")
    if (lengths < 1).any() or (lengths > values.shape[1]).any():
        raise InputError(f"{path}: lengths must be from 1 to {values.shape[1]}")
    rows = zip(values.astype(np.float32), lengths)
    return [series[:length] for series, length in rows], [str(label) for label in labels]


def _order(label):
    """Numbers by their value, before words."""
    try:
        return 0, float(label), label
    except ValueError:
        return 1, 0.0, label


def stack(values, labels, names):
    """The `Split` of sequences `(T, channels)`: float32 `(N, T, channels)`, zero after the end, lengths, numbers of labels."""
    lengths = torch.tensor([len(series) for series in values])
    whole = torch.zeros(len(values), int(lengths.max()), values[0].shape[1])
    for row, series in zip(whole, values):
        row[: len(series)] = torch.from_numpy(np.ascontiguousarray(series))
    number = {name: place for place, name in enumerate(names)}
    return Split((whole, lengths), torch.tensor([number[label] for label in labels]))


def scaled(train, *others):
    """All splits with every channel shifted and scaled to mean 0 and deviation 1 of the real steps of `train`; what does not
    vary there is only shifted.
    """
    real = _real(train)
    values = train.sequences[real].double()
    mean, deviation = values.mean(0), values.std(0, correction=0)
    deviation = torch.where(deviation > 0, deviation, torch.ones_like(deviation))
    return tuple(
        Split(
            (torch.where(_real(split)[..., None], (split.sequences - mean) / deviation, 0.0).float(), split.lengths),
            split.targets,
        )
        for split in (train, *others)
    )


def _real(split):
    return torch.arange(split.sequences.shape[1])[None] < split.lengths[:, None]

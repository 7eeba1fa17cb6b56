"""Tables of several runs as one: their rows below one header, with what differs between the runs."""

import math

import pandas as pd
import yaml

from espalier.analysis import tables
from espalier.analysis.page import Table
from espalier.runs import files
from espalier.runs.identity import OUTSIDE, flat

TABLES = ("results.csv", "summary.csv", "curve.csv", "survivors.csv")
#: What tells the rows of a table apart; runs of a sweep may repeat rows (its base, its curve), which are kept once.
KEYS = {
    "results.csv": ["percent", "epoch"], "summary.csv": ["percent"], "curve.csv": ["percent"],
    "survivors.csv": ["percent", "layer", "kind", "gate"], "costs.csv": ["percent", "network"],
}  # fmt: skip


def join(folder, name, directories, variants=None):
    """The rows of one table of all runs below one header, as text, with a column `variant` for what else differs between
    the runs. A single run's table stays where it is.
    """
    if [folder] == list(directories):
        return
    parts = []
    for directory in directories:
        part = pd.read_csv(directory / name, dtype=str, keep_default_na=False)
        parts.append(part.assign(variant=(variants or {}).get(directory, "")))
    joined = pd.concat(parts, ignore_index=True)
    keys = [key for key in (*tables.SERIES, "seed", *KEYS[name]) if key in joined]
    joined = joined.drop_duplicates(keys)
    files.write_text(folder / name, joined.to_csv(index=False, lineterminator="\n"))


def configurations(directories):
    """Directory -> the settings of a run as text, by dotted key."""
    found = {}
    for directory in directories:
        config = yaml.load(
            (directory / "config.yaml").read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        )
        found[directory] = {key: "null" if value is None else str(value) for key, value in flat(config)}
    return found


def varied(configurations, apart):
    """The keys at which settings differ.  apart: first words of keys that do not count."""
    keys = dict.fromkeys(key for values in configurations.values() for key in values if key.split(".")[0] not in apart)
    return [key for key in keys if len({values.get(key) for values in configurations.values()}) > 1]


def variants_of(configurations):
    """What differs between the configurations of runs, cell, target, score, scope, seed and percent apart:
    directory -> text such as `optimizer.lr=0.1`, empty where nothing does.
    """
    keys = varied(configurations, (*tables.SERIES, "percent", "safe", *OUTSIDE))
    return {
        directory: " ".join(f"{key}={values[key]}" for key in keys if key in values)  # a schedule has its own keys only
        for directory, values in configurations.items()
    }


def settings(configurations):
    """A `Table` of the settings in which runs differ: a row per setting where there is a run for each combination of its
    values, otherwise a row per run; None where there are none, or a single run.
    """
    keys = varied(configurations, [name for name in OUTSIDE if name != "seed"])
    if not keys:
        return None
    rows = [[values.get(key, "") for key in keys] for values in configurations.values()]
    taken = [list(dict.fromkeys(column)) for column in zip(*rows)]
    if len({tuple(row) for row in rows}) == len(rows) == math.prod(map(len, taken)):
        return Table(
            ["setting", "values, a job for each combination"], [[key, ", ".join(own)] for key, own in zip(keys, taken)], 2
        )
    return Table(keys, rows, len(keys))

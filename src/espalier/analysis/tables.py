"""Tables and sentences: what the rows of one job, or of all jobs of a sweep, say."""

import itertools
import math

import pandas as pd
from rich.table import Table

from espalier.tasks import ACCURACY

#: Every digit of a float counts; pandas reads so by itself since 3.1, and warns where it is asked to.
EXACT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
#: What makes one series of levels; its seeds are its repetitions. variant: whatever else a sweep varies, in words.
SERIES = ["cell", "target", "score", "scope", "variant"]
NAMES = {"rnn_tanh": "RNN-tanh", "rnn_relu": "RNN-ReLU", "gru": "GRU", "lstm": "LSTM", "feedforward": "Feed-forward"}
KINDS = {
    "i2h": "i2h",
    "h2h": "h2h",
    "both": "both kinds",
    "unit": "the hidden units",
    "linear": "the linear weights",
    "all": "all weights",
}
ORDER = {name: k for k, name in enumerate(("rnn_tanh", "rnn_relu", "gru", "lstm", "i2h", "h2h", "both", "unit"))}


def judged(summary, what, metric=ACCURACY):
    """The column `{what}_val_<metric>`, or `_test_`, of the split that judges, row by row."""
    validation = summary["judge"] == "validation"
    return summary[f"{what}_val_{metric.name}"].where(validation, summary[f"{what}_test_{metric.name}"]).astype(float)


def safe_percents(summary, tolerance, metric=ACCURACY):
    """The safe percent of every series and seed: the largest level such that every level up to it stays within the
    tolerance right after the cut; 0 if the first does not.

    summary: rows of summary.csv as a DataFrame.  tolerance: in the metric's own terms; None: the metric's own.
    Returns a DataFrame of the series, seed and `safe`.
    """
    base, cut = (judged(summary, what, metric) for what in ("base", "cut"))
    summary = summary.assign(drop=metric.worse(base, cut), allowed=metric.allowed(base, tolerance))
    found = []
    for keys, rows in summary.groupby([*SERIES, "seed"], sort=False):
        safe = 0
        for percent, drop, allowed in sorted(zip(rows["percent"], rows["drop"], rows["allowed"])):
            if not drop <= allowed + 1e-9:
                break
            safe = percent
        found.append(dict(zip([*SERIES, "seed"], keys), safe=safe))
    return pd.DataFrame(found)


def regains(rows):
    """(level, epochs) for the levels of one series that cost something: median over seeds, None where most never regain.

    The text "not retrained" where no level was.
    """
    told = []
    for percent, seeds in rows.groupby("percent"):
        epochs = middle(seeds["regain_epoch"])
        if epochs == 0:
            continue
        if not seeds["epochs"].any():
            return "not retrained"
        told.append((percent, None if math.isinf(epochs) else epochs))
    return told


def middle(moments):
    """Median of moments of regain: a seed that never regained counts as later than all others (infinity), and of two in the
    middle the later one is told.
    """
    return sorted(moments.fillna(math.inf))[len(moments) // 2]


def overview(summary, tolerance, metric=ACCURACY):
    """One row per series: its words, seeds, safe percent (median over seeds, of two in the middle the lower; lowest;
    highest), the metric's value of the base (mean), and what regain costs, in words.
    """
    safe = safe_percents(summary, tolerance, metric)
    table = []
    for keys, rows in summary.groupby(SERIES, sort=False):
        own = sorted(of_series(safe, keys)["safe"])
        costs = regains(rows)
        table.append({
            **dict(zip(SERIES, keys)), "seeds": len(own), "safe": own[(len(own) - 1) // 2], "low": own[0], "high": own[-1],
            "base": judged(rows, "base", metric).mean(),
            "regain": costs if isinstance(costs, str) else ", ".join(_runs(costs)) or "nothing to regain",
        })  # fmt: skip
    return sorted(table, key=lambda row: order([row[key] for key in SERIES]))


def order(key):
    """Sorts series: cells and targets as listed in `ORDER`, the rest by name."""
    return [ORDER.get(key[0], 99), key[0], ORDER.get(key[1], 99), *key[1:]]


def of_series(frame, key):
    """The rows of one series: `key` holds a value for each of `SERIES`."""
    return frame[(frame[SERIES] == pd.Series(list(key), index=SERIES)).all(axis=1)]


def varied(keys):
    """Positions in `SERIES` beyond cell and target at which these series differ."""
    return [k for k in range(2, len(SERIES)) if len({key[k] for key in keys}) > 1]


def _runs(costs):
    """Consecutive levels of equal cost in one: `40-70 %: 1 epoch`."""
    told = []
    for epochs, run in itertools.groupby(costs, key=lambda cost: cost[1]):
        percents = [f"{percent:g}" for percent, _ in run]
        span = percents[0] if len(percents) == 1 else f"{percents[0]}-{percents[-1]}"
        told.append(f"{span} %: {'no' if epochs is None else plural(epochs)}")
    return told


def floor(baselines):
    """What the simplest rule reaches: a network that is no better has learned nothing. None: there is no such rule."""
    return next((baselines[name] for name in ("constant", "unigram") if name in baselines), None)


def sentences(summary, tolerance, metric=ACCURACY, floor=None):
    """One plain sentence per cell (and score, scope or variant, where a sweep has several).

    floor: what the constant rule reaches; of a base that is no better there is nothing to say. None: there is no such rule.
    """
    table = overview(summary, tolerance, metric)
    more = [SERIES[k] for k in varied([[row[key] for key in SERIES] for row in table])]
    told = []
    for head in dict.fromkeys((row["cell"], *(row[key] for key in more)) for row in table):
        rows = [row for row in table if (row["cell"], *(row[key] for key in more)) == head]
        name = NAMES.get(head[0], head[0]) + "".join(f", {value}" for value in head[1:])
        margin = 0.01 * abs(floor or 0) if metric.relative else 0.01
        if floor is not None and all(metric.worse(row["base"], floor) <= margin for row in rows):
            told.append(f"{name}: its base, at {rows[0]['base']:.4f}, has learned nothing that pruning could cost.")
        else:
            told.append(f"{name}: {'; '.join(_part(row, summary) for row in rows)}.")
    return told


def _part(row, summary):
    rows = of_series(summary, [row[key] for key in SERIES])
    kind, safe = KINDS.get(row["target"], row["target"]), row["safe"]
    part = f"{safe:g} % of {kind} is free" if safe else f"no level of {kind} is free"
    costs = regains(rows)
    if not isinstance(costs, list) or not costs:
        return part
    regained = [(percent, epochs) for percent, epochs in costs if epochs is not None and percent > safe]
    lost = [percent for percent, epochs in costs if epochs is None]
    if regained:
        percent, epochs = max(regained)
        part += f", {percent:g} % costs {plural(epochs)}"
    if lost:
        part += f", {min(lost):g} % is not regained in {plural(int(rows['epochs'].max()))}"
    return part


def plural(epochs):
    return f"{epochs:g} epoch{'' if epochs == 1 else 's'}"


def read(path):
    """A CSV of ours as a DataFrame: numbers as numbers, empty fields as NaN, words (`NA` too) as they are."""
    words = dict.fromkeys([*SERIES, "judge", "layer", "kind"], str)
    return as_series(pd.read_csv(path, keep_default_na=False, na_values=[""], dtype=words, **EXACT))


def as_series(rows):
    """Rows of one of our tables as a DataFrame with the column `variant`, which only joined tables have."""
    frame = pd.DataFrame(rows)
    return frame.assign(variant=frame["variant"].fillna("") if "variant" in frame else "")


def print_overview(summary, tolerance, console, metric=ACCURACY, floor=None):
    """The table and the sentences on the terminal. floor: as for `sentences`."""
    within = metric.told(tolerance)
    table = Table(title=f"Safe percent (within {within} of the base right after the cut) and epochs to regain")
    rows = overview(summary, tolerance, metric)
    more = [SERIES[k] for k in varied([[row[key] for key in SERIES] for row in rows])]
    for name in ("cell", "target", *more, "safe percent", "regain"):
        table.add_column(name, justify="right" if name == "safe percent" else "left", overflow="fold")
    for row in rows:
        spread = f" ({row['low']:g} to {row['high']:g}, {row['seeds']} seeds)" if row["seeds"] > 1 else ""
        table.add_row(row["cell"], row["target"], *(row[key] for key in more), f"{row['safe']:g} %{spread}", row["regain"])
    console.print(table)
    for sentence in sentences(summary, tolerance, metric, floor):
        console.print(sentence, markup=False)

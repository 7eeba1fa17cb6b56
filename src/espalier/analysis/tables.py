"""Tables: what the rows of one job, or of all jobs of a sweep, say."""

import itertools
import math

import pandas as pd

from espalier.tasks import ACCURACY

#: Every digit of a float counts; pandas reads so by itself since 3.1, and warns where it is asked to.
EXACT = {} if tuple(map(int, pd.__version__.split(".")[:2])) >= (3, 1) else {"float_precision": "round_trip"}
#: What makes one series of levels; its seeds are its repetitions. variant: whatever else a sweep varies, in words.
SERIES = ["cell", "target", "score", "scope", "variant"]
NAMES = {"rnn_tanh": "RNN-tanh", "rnn_relu": "RNN-ReLU", "gru": "GRU", "lstm": "LSTM", "feedforward": "Feed-forward"}
ORDER = {name: k for k, name in enumerate(("rnn_tanh", "rnn_relu", "gru", "lstm", "i2h", "h2h", "both", "unit"))}


def judged(summary, what, metric=ACCURACY):
    """The column `{what}_val_<metric>`, or `_test_`, of the split that judges, row by row."""
    validation = summary["judge"] == "validation"
    return summary[f"{what}_val_{metric.name}"].where(validation, summary[f"{what}_test_{metric.name}"]).astype(float)


def cuts(summary, tolerance, metric=ACCURACY, curve=None):
    """What is lost right after every cut: a DataFrame of the series, seed, percent, `lost`, `allowed` and whether that is
    `safe`.

    summary: rows of summary.csv as a DataFrame.  tolerance: in the metric's own terms; None: the metric's own.  curve: those of
    curve.csv, at every whole percent, which are taken besides where all levels are cut from the base as the curve is
    (`from_base`), and not where a level is cut from another; None: the levels alone.
    """
    columns = [*SERIES, "seed", "percent"]
    levels = summary[columns].assign(base=judged(summary, "base", metric), value=judged(summary, "cut", metric))
    found = [levels]
    if curve is not None and len(curve) and "from_base" in summary:
        own = summary.assign(base=levels["base"]).groupby([*SERIES, "seed"])
        bases = own["base"].first()[own["from_base"].min() == 1].reset_index()
        points = as_series(curve)[[*columns, metric.name]].rename(columns={metric.name: "value"})
        found.append(points.merge(bases, on=[*SERIES, "seed"]))
    points = pd.concat(found).drop_duplicates(columns)
    points = points.assign(
        lost=metric.worse(points["base"], points["value"]), allowed=metric.allowed(points["base"], tolerance)
    )
    return points.assign(safe=points["lost"] <= points["allowed"] + 1e-9).drop(columns=["base", "value"])


def safe_percents(summary, tolerance, metric=ACCURACY, curve=None):
    """The safe percent of every series and seed: the largest percent such that everything up to it stays within the tolerance
    right after the cut; 0 if the first does not. Where whole units or tiles go, the smallest percent at which as many go, 0
    where none does.  Arguments as for `cuts`.  Returns a DataFrame of the series, seed and `safe`.
    """
    found = []
    for keys, rows in cuts(summary, tolerance, metric, curve).groupby([*SERIES, "seed"], sort=False):
        rows = rows.sort_values("percent")
        up_to = rows["percent"][rows["safe"].cummin()]
        largest = up_to.max() if len(up_to) else 0
        if keys[1] == "unit" or keys[1].endswith("-block"):
            largest = _fewest(largest, keys, summary, curve, metric)
        found.append(dict(zip([*SERIES, "seed"], keys), safe=largest))
    return pd.DataFrame(found)


def _fewest(percent, keys, summary, curve, metric):
    """The smallest percent at which the same goes as at this one, as far as levels and curve can tell."""
    level = _one(summary, keys)
    level = level[level["percent"] == percent]
    if len(level) and "kept" in level and (level["kept"] == level["total"]).all():
        return 0
    if curve is not None and len(curve):
        points = _one(as_series(curve), keys).set_index("percent")[[metric.name, "loss"]]
        while percent in points.index and percent - 1 in points.index and points.loc[percent].equals(points.loc[percent - 1]):
            percent -= 1
    return percent


def _one(frame, keys):
    """The rows of one series and seed."""
    own = of_series(frame, keys[: len(SERIES)])
    return own[own["seed"] == keys[-1]]


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


def overview(summary, tolerance, metric=ACCURACY, curve=None):
    """One row per series: its words, seeds, safe percent (median over seeds, of two in the middle the lower; lowest;
    highest), what is `lost` there (such a median too: no more than is allowed), the standard `error` of the split that judges,
    the metric's value of the base and what that is on test (means), and what regain costs, in words.  Arguments as for `cuts`.
    """
    points = cuts(summary, tolerance, metric, curve)
    safe = safe_percents(summary, tolerance, metric, curve)
    table = []
    for keys, rows in summary.groupby(SERIES, sort=False):
        own = sorted(of_series(safe, keys)["safe"])
        costs, middle = regains(rows), own[(len(own) - 1) // 2]
        there = of_series(points, keys)
        lost = sorted(there.loc[there["percent"] == middle, "lost"])
        table.append({
            **dict(zip(SERIES, keys)), "seeds": len(own), "safe": middle, "low": own[0], "high": own[-1],
            "lost": lost[(len(lost) - 1) // 2] if lost else 0.0,
            "error": rows["judge_error"].mean() if "judge_error" in rows else math.nan,
            "base": judged(rows, "base", metric).mean(), "base_test": rows[f"base_test_{metric.name}"].mean(),
            "regain": costs if isinstance(costs, str) else ", ".join(_runs(costs)) or "nothing to regain",
        })  # fmt: skip
    return sorted(table, key=lambda row: order([row[key] for key in SERIES]))


def order(key):
    """Sorts series: cells and targets as listed in `ORDER`, the rest by name."""
    return [ORDER.get(key[0], 99), key[0], ORDER.get(key[1], 99), *key[1:]]


def of_series(frame, key):
    """The rows of one series: `key` holds a value for each of `SERIES`."""
    return frame[(frame[SERIES] == pd.Series(list(key), index=SERIES)).all(axis=1)]


def series(frame):
    """The series of a frame, in a fixed order."""
    keys = list(dict.fromkeys(map(tuple, frame[SERIES].itertuples(index=False))))
    return sorted(keys, key=order)


def titled(key, keys, first=0):
    """What tells this series from the others, in words: the cell and what goes, the rest only where it differs."""
    told = [NAMES.get(key[0], key[0]), in_words(key[1]), *(key[k] for k in varied(keys))]
    return ", ".join(part for part in told[first:] if part)


def varied(keys):
    """Positions in `SERIES` beyond cell and target at which these series differ."""
    return [k for k in range(2, len(SERIES)) if len({key[k] for key in keys}) > 1]


def idle(row):
    """Whether a level, a row of summary.csv, only takes what is zero in the base already."""
    zeros = row.get("base_zeros")
    return bool(zeros) and not math.isnan(zeros) and row["kept"] == row["total"] - zeros


def in_words(target):
    """What goes, in words: `h2h`, or `h2h in tiles`."""
    return f"{target.removesuffix('-block')} in tiles" if target.endswith("-block") else target


def _runs(costs):
    """Consecutive levels of equal cost in one: `40-70 %: 1 epoch`."""
    told = []
    for epochs, run in itertools.groupby(costs, key=lambda cost: cost[1]):
        percents = [f"{percent:g}" for percent, _ in run]
        span = percents[0] if len(percents) == 1 else f"{percents[0]}-{percents[-1]}"
        told.append(f"{span} %: {'no' if epochs is None else plural(epochs)}")
    return told


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

"""Tables and sentences: what the rows of one job, or of all jobs of a sweep, say."""

import itertools

import pandas as pd

#: What makes one series of levels; the seeds of a series are its repetitions.
SERIES = ["cell", "target", "score", "scope"]
NAMES = {"rnn_tanh": "RNN-tanh", "rnn_relu": "RNN-ReLU", "gru": "GRU", "lstm": "LSTM"}
KINDS = {"i2h": "i2h", "h2h": "h2h", "both": "both kinds"}
ORDER = {name: k for k, name in enumerate(("rnn_tanh", "rnn_relu", "gru", "lstm", "i2h", "h2h", "both"))}


def judged(summary, what):
    """The column `{what}_accuracy` of the split that judges, row by row."""
    validation = summary["judge"] == "validation"
    return summary[f"{what}_val_accuracy"].where(validation, summary[f"{what}_test_accuracy"]).astype(float)


def safe_percents(summary, tolerance):
    """The safe percent of every series and seed: the largest level such that every level up to it stays within the
    tolerance right after the cut; 0 if the first does not.

    summary: rows of summary.csv as a DataFrame.  Returns a DataFrame of the series, seed and `safe`.
    """
    summary = summary.assign(drop=judged(summary, "base") - judged(summary, "cut"))
    found = []
    for keys, rows in summary.groupby([*SERIES, "seed"], sort=False):
        safe = 0
        for percent, drop in sorted(zip(rows["percent"], rows["drop"])):
            if drop > tolerance + 1e-9:
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
        epochs = None if seeds["censored"].mean() > 0.5 else seeds["regain_epoch"].median()
        if epochs == 0:
            continue
        if not seeds["epochs"].any():
            return "not retrained"
        told.append((percent, epochs))
    return told


def overview(summary, tolerance):
    """One row per series: cell, target, score, scope, seeds, safe percent (median, lowest and highest), regain in words."""
    safe = safe_percents(summary, tolerance)
    table = []
    for keys, rows in summary.groupby(SERIES, sort=False):
        own = safe[(safe[SERIES] == pd.Series(keys, index=SERIES)).all(axis=1)]["safe"]
        costs = regains(rows)
        if isinstance(costs, list):
            words = ", ".join(_runs(costs)) or "nothing to regain"
        else:
            words = costs
        table.append({
            **dict(zip(SERIES, keys)), "seeds": len(own), "safe": own.median(), "low": own.min(), "high": own.max(),
            "regain": words,
        })  # fmt: skip
    return sorted(table, key=lambda row: [ORDER.get(row["cell"], 9), ORDER.get(row["target"], 9), row["score"], row["scope"]])


def _runs(costs):
    """Consecutive levels of equal cost in one: `40-70 %: 1 epoch`."""
    told = []
    for epochs, run in itertools.groupby(costs, key=lambda cost: cost[1]):
        percents = [f"{percent:g}" for percent, _ in run]
        span = percents[0] if len(percents) == 1 else f"{percents[0]}-{percents[-1]}"
        told.append(f"{span} %: {'no' if epochs is None else plural(epochs)}")
    return told


def sentences(summary, tolerance):
    """One plain sentence per cell (and score and scope, where a sweep has several)."""
    table = overview(summary, tolerance)
    varied = [key for key in ("score", "scope") if len({row[key] for row in table}) > 1]
    told = []
    for head in dict.fromkeys((row["cell"], *(row[key] for key in varied)) for row in table):
        rows = [row for row in table if (row["cell"], *(row[key] for key in varied)) == head]
        parts = [_part(row, summary) for row in rows]
        name = NAMES.get(head[0], head[0]) + "".join(f", {value}" for value in head[1:])
        told.append(f"{name}: {'; '.join(parts)}.")
    return told


def _part(row, summary):
    rows = summary[(summary[SERIES] == pd.Series({key: row[key] for key in SERIES})).all(axis=1)]
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
    words = [*SERIES, "judge", "layer", "kind"]
    frame = pd.read_csv(
        path, keep_default_na=False, na_values=[""], float_precision="round_trip", dtype={w: str for w in words}
    )
    return frame


def print_overview(summary, tolerance, console):
    """The table and the sentences on the terminal."""
    from rich.table import Table

    table = Table(title=f"Safe percent (within {tolerance:g} of the base right after the cut) and epochs to regain")
    rows = overview(summary, tolerance)
    varied = [key for key in ("score", "scope") if len({row[key] for row in rows}) > 1]
    for name in ("cell", "target", *varied, "safe percent", "regain"):
        table.add_column(name, justify="right" if name == "safe percent" else "left")
    for row in rows:
        spread = f" ({row['low']:g} to {row['high']:g}, {row['seeds']} seeds)" if row["seeds"] > 1 else ""
        table.add_row(row["cell"], row["target"], *(row[key] for key in varied), f"{row['safe']:g} %{spread}", row["regain"])
    console.print(table)
    for sentence in sentences(summary, tolerance):
        console.print(sentence)

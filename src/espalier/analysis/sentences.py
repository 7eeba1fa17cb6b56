"""Sentences: what came out of pruning, in words and numbers that can be defended."""

import math

from rich.table import Table

from espalier.analysis.tables import NAMES, SERIES, in_words, of_series, overview, plural, regains, varied
from espalier.tasks import ACCURACY

#: What goes, where a percent of it goes.
KINDS = {
    "both": "both kinds", "both in tiles": "both kinds in tiles", "unit": "the hidden units", "linear": "the linear weights",
    "all": "all weights",
}  # fmt: skip


#: Rules that say the same of every example: what is no better has nothing that could be lost.
SIMPLE = ("constant", "unigram")


def best_rule(baselines, metric):
    """(name, value) of the rule without learning that does best on test, or None where there is none."""
    return max(baselines.items(), key=lambda rule: metric.better(rule[1])) if baselines else None


def learned_nothing(row, baselines, metric):
    """Whether a base, a row of `overview`, no more than ties the best rule: it is not better by more than its error."""
    rule = best_rule(baselines, metric)
    if rule is None or math.isnan(row["base_test"]):
        return False
    margin = metric.allowed(rule[1]) if math.isnan(row["error"]) else row["error"]
    return metric.worse(row["base_test"], rule[1]) <= margin


def sentences(summary, tolerance, metric=ACCURACY, baselines=None, curve=None):
    """One plain sentence per cell (and score, scope or variant, where a sweep has several). First of all, which base has
    learned nothing that a rule without learning does not reach; of one that is no better than the simplest rule there is no
    more to say.  baselines: rule -> its value on test; the rest as for `tables.cuts`.
    """
    table = overview(summary, tolerance, metric, curve)
    more = [SERIES[k] for k in varied([[row[key] for key in SERIES] for row in table])]
    nothing, told = {}, []
    for head in dict.fromkeys((row["cell"], *(row[key] for key in more)) for row in table):
        rows = [row for row in table if (row["cell"], *(row[key] for key in more)) == head]
        name = NAMES.get(head[0], head[0]) + "".join(f", {value}" for value in head[1:] if value)
        simple = {rule: value for rule, value in (baselines or {}).items() if rule in SIMPLE}
        if all(learned_nothing(row, baselines, metric) for row in rows):
            rule, value = best_rule(baselines, metric)
            base = f"its base, at {rows[0]['base_test']:.4f} on test, has learned nothing"
            if not simple or not all(learned_nothing(row, simple, metric) for row in rows):
                base += " that a rule does not reach"
            line = f"{base}: {rule}, without learning, is at {value:.4f}."
            nothing.setdefault((head[0], line), []).append(name)
        if not simple or not all(learned_nothing(row, simple, metric) for row in rows):
            told.append(f"{name}: {'; '.join(_part(row, summary) for row in rows)}.")
    # A base that several series start from is told once, under its cell.
    first = [f"{names[0] if len(names) == 1 else NAMES.get(cell, cell)}: {line}" for (cell, line), names in nothing.items()]
    return first + told


def errors(summary, tolerance, metric=ACCURACY):
    """What a difference means: the standard error of the split that judges, in a sentence; None where it is not known."""
    known = summary["judge_error"].dropna() if "judge_error" in summary else []
    if not len(known):
        return None
    low, high = (f"{value:.2g}" for value in (known.min(), known.max()))
    told = f"Standard error of {metric.label} on the split that judges: {low if low == high else f'{low} to {high}'}"
    free = f"free is what loses at most {metric.told(tolerance)}"
    return f"{told}. What loses no more is not distinguishable from the base; {free}."


def _part(row, summary):
    rows = of_series(summary, [row[key] for key in SERIES])
    kind, safe, seeds = in_words(row["target"]), row["safe"], row["seeds"]
    ends = f"{row['low']:g} to {row['high']:g} %, {seeds} seeds" if row["low"] < row["high"] else f"all {seeds} seeds"
    spread = f" ({ends})" if seeds > 1 else ""
    kind = f" of {KINDS.get(kind, kind)}" if kind else ""
    if not safe:
        part = f"nothing{kind}{spread} is free"
    elif row["lost"] <= row["error"]:  # never, where the error is not known
        part = f"{safe:g} %{kind}{spread} is not distinguishable from the base"
    else:
        part = f"{safe:g} %{kind}{spread} is free"
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


def print_overview(summary, tolerance, console, metric=ACCURACY, baselines=None, curve=None):
    """The table and the sentences on the terminal.  Arguments as for `sentences`."""
    within = metric.told(tolerance)
    table = Table(title=f"Safe percent (within {within} of the base right after the cut) and epochs to regain")
    rows = overview(summary, tolerance, metric, curve)
    more = [SERIES[k] for k in varied([[row[key] for key in SERIES] for row in rows])]
    own = ["cell", "target"] if summary["target"].any() else ["series"]
    for name in (*own, *more, "safe percent", "regain"):
        table.add_column(name, justify="right" if name == "safe percent" else "left", overflow="fold")
    for row in rows:
        spread = f" ({row['low']:g} to {row['high']:g}, {row['seeds']} seeds)" if row["seeds"] > 1 else ""
        about = (row["cell"], in_words(row["target"]))[: len(own)] + tuple(row[key] for key in more)
        table.add_row(*about, f"{row['safe']:g} %{spread}", row["regain"])
    console.print(table)
    for sentence in sentences(summary, tolerance, metric, baselines, curve):
        console.print(sentence, markup=False)
    if error := errors(summary, tolerance, metric):
        console.print(error, markup=False)

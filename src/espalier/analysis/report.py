"""report.html: one file, readable offline, that answers in words and numbers first and shows the figures after."""

import math

from espalier.analysis import figures, page, tables, thesis, worth
from espalier.analysis.page import number, table, text


def write(folder, summary, results, baselines, about, controls=None, unfinished=(), costs=None):
    """`report.html` in the folder, beside `figures/`.

    summary, results: the joined tables as DataFrames; baselines: rule -> accuracy; controls: rows of
    (series, percent, seed, trained_on, dense, units), or None; unfinished: (overrides, why); costs: the rows of costs.csv as a
    DataFrame, or None.
    about: command, config (YAML text), versions, experiment, safe and regain tolerance.
    """
    published = thesis.published() if about["experiment"] == "thesis_pruning" else None
    parts = [
        _head(summary, about),
        _answers(summary, about, published),
        _costs(summary),
        page.shown(folder, CAPTIONS),
        _levels(summary, results, controls, published),
        worth.section(costs),
        _baselines(baselines),
        page.unfinished(unfinished),
        page.settings(summary["seed"], about),
        page.references(_used(summary, about)),
    ]
    page.write(folder / "report.html", "Pruning recurrent networks", parts)
    return folder / "report.html"


def _head(summary, about):
    cells = ", ".join(tables.NAMES.get(cell, cell) for cell in dict.fromkeys(summary["cell"]))
    seeds = summary["seed"].nunique()
    told = f"{cells}; targets {', '.join(dict.fromkeys(summary['target']))}; n = {seeds} seed{'s' * (seeds > 1)}"
    judge = " and ".join(dict.fromkeys(summary["judge"]))
    return page.head("Pruning recurrent networks", f"{told}. Decisions on {judge} accuracy.", about["command"])


def _answers(summary, about, published):
    tolerance = about["safe"]
    lines = tables.sentences(summary, tolerance, about["floor"])
    sentences = "".join(f"<p class='lead'>{text(line)}</p>" for line in lines)
    rows = []
    for row in tables.overview(summary, tolerance):
        spread = f" ({row['low']:g} to {row['high']:g})" if row["seeds"] > 1 else ""
        extra = [f"{thesis.SAFE[row['cell'], row['target']]} %"] if published is not None else []
        rows.append([
            text(tables.NAMES.get(row["cell"], row["cell"])), row["target"], row["score"], row["scope"],
            text(row["variant"]), row["seeds"],
            f"{row['safe']:g} %{spread}", *extra, text(row["regain"]),
        ])  # fmt: skip
    columns = [
        "cell",
        "target",
        "score",
        "scope",
        "variant",
        "n",
        "safe percent",
        *(["published"] if published is not None else []),
    ]
    return (
        "<h2>How far can one prune, and how soon is it regained?</h2>" + sentences
        + table([*columns, "epochs to regain"], rows, 5)
        + f"<p class='soft'>Safe percent: the largest level such that every level up to it loses at most {tolerance:g} right "
        f"after the cut (median over seeds, lowest to highest). Regained: back to the base less {about['regain']:g}; a level "
        "that is not regained within the epochs given is told as such, not as the last epoch.</p>"
    )  # fmt: skip


def _costs(summary):
    """Accuracy right after the cut: a row per series, a column per level, shaded by what is lost."""
    frame = summary.assign(cut=tables.judged(summary, "cut"), base=tables.judged(summary, "base"))
    levels = sorted(frame["percent"].unique())
    rows = []
    for key in figures.series(frame):
        own = tables.of_series(frame, key)
        row = [text(figures.titled(key, figures.series(frame))), number(own.groupby("seed")["base"].first())]
        for percent in levels:
            values = own[own["percent"] == percent]
            lost = float((values["base"] - values["cut"]).mean()) if len(values) else math.nan
            shade = 0 if math.isnan(lost) else min(max(lost, 0) / 0.5, 1) * 0.55
            style = f"background: rgba(200, 85, 61, {shade:.2f}); padding: .1rem .3rem"
            row.append(f'<span style="{style}">{number(values["cut"], 3)}</span>')
        rows.append(row)
    return "<h2>What does it cost?</h2><p>Accuracy right after the cut, before any retraining.</p>" + table(
        ["", "base", *(f"{percent:g} %" for percent in levels)], rows, 1
    )


CAPTIONS = {
    "accuracy": "Accuracy against percent: right after the cut at every whole percent (line), best after retraining (circles).",
    "regain": "Retraining, epoch by epoch, of the levels that lost more than the tolerance.",
    "worth": "Time of a forward pass and bytes, by level: dense, masked, torch's CSR, and shrunk.",
    "survivors": "Share of weights left in every layer, kind of weight and gate.",
}


def _levels(summary, results, controls, published):
    """A row per series and level: achieved sparsity, accuracies, regain, controls, published values."""
    frame = summary.assign(cut=tables.judged(summary, "cut"), best=tables.judged(summary, "best"))
    columns = [
        "", "level", "removed", "weights left", "after the cut", "best after retraining", "test after the cut", "test, best",
        "regain epoch", "step", "not regained",
    ]  # fmt: skip
    if controls is not None:
        columns += ["trained on, no cut", "small dense", "its units"]
    if published is not None:
        columns += ["published: cut", "after 10 epochs", "regain epoch", "ours after the last epoch"]
    rows = []
    keys = figures.series(frame)
    for key in keys:
        for percent, own in tables.of_series(frame, key).groupby("percent"):
            seeds, lost = len(own), int(own["censored"].sum())
            kept, total = own["kept"].iloc[0], own["total"].iloc[0]
            row = [
                text(figures.titled(key, keys)), f"{percent:g} %", f"{100 * (1 - kept / total):.2f} %",
                f"{kept:,} of {total:,}", number(own["cut"]), number(own["best"]),
                number(own["cut_test_accuracy"]), number(own["best_test_accuracy"]),
                *(_middle(own[f"regain_{what}"]) for what in ("epoch", "step")), f"{lost} of {seeds}" if lost else "",
            ]  # fmt: skip
            if controls is not None:
                held = tables.of_series(controls, key)
                held = held[held["percent"] == percent]
                units = held["units"].dropna()
                row += [number(held["trained_on"]), number(held["dense"]), f"{units.iloc[0]:g}" if len(units) else ""]
            if published is not None:
                row += _published(published, key, percent, results)
            rows.append(row)
    return "<h2>Level by level</h2>" + table(columns, rows, 1)


def _middle(moments):
    """The median over seeds as the sentences have it: what never happened is later than all else; empty if that is it."""
    middle = tables.middle(moments)
    return "" if math.isinf(middle) else f"{middle:g}"


def _published(published, key, percent, results):
    cell, target = key[:2]
    own = tables.of_series(results, key)
    own = own[own["percent"] == percent]
    last = own[own["epoch"] == own["epoch"].max()]["test_accuracy"] if own["epoch"].max() else []
    if (cell, target, percent) not in published.index:
        return ["", "", "", number(last)]
    row = published.loc[cell, target, percent]
    regain = "no" if math.isnan(row["regain"]) else f"{row['regain']:g}"
    return [f"{row['cut']:.4f}", f"{row['epoch_10']:.4f}", regain, number(last)]


def _baselines(baselines):
    rows = [[text(name), f"{accuracy:.4f}"] for name, accuracy in baselines.items()]
    return (
        "<h2>Without learning</h2><p>Accuracy on test of rules fitted on the training examples: a network that does not beat "
        "them has learned nothing worth pruning.</p>" + table(["rule", "accuracy"], rows, 1)
    )


def _used(summary, about):
    used = {*summary["cell"], *summary["score"], "adam", "study"}
    used |= {"reber"} if "name: reber" in about["config"] else set()
    if "orthogonal" in about["config"] and {"rnn_tanh", "rnn_relu"} & used:
        used.add("orthogonal")
    return used

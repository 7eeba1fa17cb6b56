"""report.html of pruning: one file, readable offline, that answers in words and numbers first and shows the figures after."""

import math

import pandas as pd

from espalier.analysis import methods, page, sentences, tables, thesis, worth
from espalier.analysis.page import Table, number

CAPTIONS = {
    "regain": "Retraining, epoch by epoch, of the levels that lost more than the tolerance; what is back is carried on.",
    "worth": "How many times as fast as the dense network (above the line it pays), and bytes, by level.",
    "methods": "Methods: test against the share of weights left, and at the highest level by epochs of retraining spent.",
    "structures": "Units or blocks beside single weights, by the share of weights left: equal percents are not equal sizes.",
    "variation": "Shares of the units in the movement of their layer, and the two points that decide which are redundant.",
    "sizes": "Test after retraining, against hidden units left, beside what needs no pruning.",
    "forecast": "Forecasts of the base and of levels against what came, in the first windows of test.",
    "survivors": "Share of weights left in every layer, kind of weight and gate, mean over seeds; levels at their true places.",
}
#: Controls beside a level that not every job has: column -> heading.
CONTROLS = {"fresh": "fresh start, same masks", "gradual": "gradual, single weights"}


def write(folder, pruned, results, about, controls=None, unfinished=(), costs=None, beside=None, differing=None):
    """`report.html` in the folder, beside `figures/`.

    pruned: summary and curve as DataFrames, metric, baselines and tolerance; results: the joined table as a DataFrame;
    controls: a row per series, seed and percent of what the controls reached, or None; unfinished: (overrides, why);
    costs: the rows of costs.csv as a DataFrame, or None.  beside: (series, percent) -> published value, in words, or None.
    differing: a `Table` of what differs between the jobs, or None.
    about: command, config (YAML text), versions, experiment and the settings `regain`.
    """
    summary, metric, baselines = pruned.summary, pruned.metric, pruned.baselines
    published = thesis.published() if about["experiment"] == "thesis_pruning" else None
    line = "against percent: right after the cut at every whole percent (line), best after retraining (hollow)."
    kind = "feed-forward networks" if set(summary["cell"]) == {"feedforward"} else "recurrent networks"
    title = f"Pruning {kind}" if about["config"] else "Pruning"
    captions = {metric.name: f"{metric.title} {line}"} | CAPTIONS
    page.write(
        folder / "report.html", "pruning.html", title, _subtitle(summary, metric), about,
        page.shown(folder, captions), unfinished, summary["seed"], _used(summary, about), differing,
        gradual="name: gradual" in (about["config"] or "") or summary["variant"].str.contains("gradual").any(),
        title_label=metric.title, higher=metric.higher, safe=metric.told(pruned.safe), by_curve=pruned.curve is not None,
        regained=f"{'less' if metric.higher else 'plus'} {metric.told(about['regain']['tolerance'])}",
        patience=about["regain"]["patience"], error=sentences.errors(summary, pruned.safe, metric),
        sentences=sentences.sentences(summary, pruned.safe, metric, pruned.rules, pruned.curve),
        overview=_overview(pruned, published), costs=_costs(summary, metric),
        regularisers=regularisers(summary, controls, metric),
        methods=methods.compare(summary, metric) if methods.groups(summary) else None,
        levels=_levels(summary, results, controls, published, metric, beside or {}), worth=worth.section(costs),
        price=worth.price(summary, metric),
        baselines=Table(["rule", metric.label], [[name, f"{value:.4f}"] for name, value in baselines.items()], 1),
    )  # fmt: skip
    return folder / "report.html"


def _subtitle(summary, metric):
    cells = ", ".join(tables.NAMES.get(cell, cell) for cell in dict.fromkeys(summary["cell"]))
    seeds = summary["seed"].nunique()
    targets = ", ".join(map(tables.in_words, filter(None, dict.fromkeys(summary["target"]))))
    told = f"{cells}; {f'targets {targets}; ' if targets else ''}n = {seeds} seed{'s' * (seeds > 1)}"
    return f"{told}. Decisions on {' and '.join(dict.fromkeys(summary['judge']))} {metric.label}."


def _overview(pruned, published):
    rows = []
    for row in tables.overview(pruned.summary, pruned.safe, pruned.metric, pruned.curve):
        spread = f" ({row['low']:g} to {row['high']:g})" if row["seeds"] > 1 else ""
        extra = [f"{thesis.SAFE[row['cell'], row['target']]} %"] if published is not None else []
        about = tables.NAMES.get(row["cell"], row["cell"]), tables.in_words(row["target"])
        about += row["score"], row["scope"], row["variant"], row["seeds"]
        rows.append([*about, f"{row['safe']:g} %{spread}", *extra, row["regain"]])
    extra = ["published"] if published is not None else []
    what = "cell" if pruned.summary["target"].any() else "series"
    return Table([what, "target", "score", "scope", "variant", "n", "safe percent", *extra, "epochs to regain"], rows, 5)


def _costs(summary, metric):
    """What judges right after the cut: a row per series, a cell per level, shaded by what is lost."""
    frame = summary.assign(**{what: tables.judged(summary, what, metric) for what in ("cut", "base")})
    levels, keys, rows = sorted(frame["percent"].unique()), tables.series(frame), []
    for key in keys:
        series, cells = tables.of_series(frame, key), []
        for percent in levels:
            values = series[series["percent"] == percent]
            lost = float(metric.worse(values["base"], values["cut"]).mean()) if len(values) else math.nan
            dark = 0.5 if not metric.relative else 0.5 * abs(values["base"].mean())  # what is lost there has the darkest shade
            shade = 0 if math.isnan(lost) or not dark else min(max(lost, 0) / dark, 1) * 0.55
            cells.append((number(values["cut"], 3), f"{shade:.2f}"))
        rows.append((tables.titled(key, keys), number(series.groupby("seed")["base"].first()), cells))
    return {"levels": [f"{percent:g}" for percent in levels], "rows": rows}


def _levels(summary, results, controls, published, metric, beside):
    """A row per series and level: achieved sparsity, what judges, regain, controls, published values."""
    frame = summary.assign(**{what: tables.judged(summary, what, metric) for what in ("cut", "best")})
    there = [] if controls is None else [name for name in CONTROLS if controls[name].notna().any()]
    columns = [
        "", "level", "removed", "weights left", "after the cut", "best after retraining", "test after the cut", "test, best",
        "regain epoch", "step", "not regained",
    ]  # fmt: skip
    if controls is not None:
        columns += ["trained on, no cut", "small dense", "its units", *(CONTROLS[name] for name in there)]
    if published is not None:
        columns += ["published: cut", "after 10 epochs", "regain epoch", "ours after the last epoch"]
    columns += ["published, test"] if beside else []
    rows = []
    keys = tables.series(frame)
    for key in keys:
        for percent, level in tables.of_series(frame, key).groupby("percent"):
            seeds, lost = len(level), int(level["censored"].sum())
            kept, total = level["kept"].iloc[0], level["total"].iloc[0]
            known = not pd.isna(kept)
            idle = ", changes nothing" if level.apply(tables.idle, axis=1).all() else ""
            row = [
                tables.titled(key, keys), f"{percent:g} %", f"{100 * (1 - kept / total):.2f} %{idle}" if known else "",
                f"{kept:,} of {total:,}" if known else "",
                number(level["cut"]), number(level["best"]),
                *(number(level[f"{what}_test_{metric.name}"]) for what in ("cut", "best")),
                *(_middle(level[f"regain_{what}"]) for what in ("epoch", "step")), f"{lost} of {seeds}" if lost else "",
            ]  # fmt: skip
            if controls is not None:
                held = tables.of_series(controls, key)
                held = held[held["percent"] == percent]
                units = held["units"].dropna()
                row += [number(held["trained_on"]), number(held["dense"]), f"{units.iloc[0]:g}" if len(units) else ""]
                row += [number(held[name]) for name in there]
            if published is not None:
                row += _published(published, key, percent, results)
            row += [beside.get((tuple(key), percent), "")] if beside else []
            rows.append(row)
    return Table(columns, rows, 1)


def regularisers(summary, controls, metric):
    """A `Table` of the test value of networks of the base's size: as it is, pruned to the level that judges best, of its
    masks on other weights, and with other regularisers; None without controls.
    """
    if controls is None:
        return None
    frame = summary.assign(best=metric.better(tables.judged(summary, "best", metric)))
    rows, keys = [], tables.series(frame)
    for key in keys:
        own = tables.of_series(frame, key)
        best = own.loc[own.groupby("seed")["best"].idxmax()]
        held = tables.of_series(controls, key)
        levels = held.merge(best[["seed", "percent"]], on=["seed", "percent"])
        alone = held.groupby("seed").first()
        rows.append([
            tables.titled(key, keys), number(own.groupby("seed")[f"base_test_{metric.name}"].first()),
            number(best[f"best_test_{metric.name}"]), f"{best['percent'].median():g} %", number(levels["fresh_test"]),
            number(alone["dropout_test"]), number(alone["decay_test"]),
        ])  # fmt: skip
    columns = ["", "base", "pruned, best level", "which", "its masks, fresh start", "dropout", "weight decay"]
    return Table(columns, rows, 1)


def _middle(moments):
    """The median over seeds as the sentences have it: what never happened is later than all else; empty if that is it."""
    middle = tables.middle(moments)
    return "" if math.isinf(middle) else f"{middle:g}"


def _published(published, key, percent, results):
    cell, target = key[:2]
    level = tables.of_series(results, key)
    level = level[level["percent"] == percent]
    last = level[level["epoch"] == level["epoch"].max()]["test_accuracy"] if level["epoch"].max() else []
    if (cell, target, percent) not in published.index:
        return ["", "", "", number(last)]
    row = published.loc[cell, target, percent]
    regain = "no" if math.isnan(row["regain"]) else f"{row['regain']:g}"
    return [f"{row['cut']:.4f}", f"{row['epoch_10']:.4f}", regain, number(last)]


def _used(summary, about):
    if not about["config"]:
        return set()
    used = {*summary["cell"], *summary["score"], "adam", "study"}
    used |= {"reber"} if "name: reber" in about["config"] else set()
    if "orthogonal" in about["config"] and {"rnn_tanh", "rnn_relu"} & used:
        used.add("orthogonal")
    return used

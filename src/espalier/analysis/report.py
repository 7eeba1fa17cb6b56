"""report.html: one file, readable offline, that answers in words and numbers first and shows the figures after."""

import html
import math
from datetime import UTC, datetime

import numpy as np

from espalier.analysis import figures, tables, thesis
from espalier.runs import files

REFERENCES = {
    "reber": "A. S. Reber (1967). Implicit learning of artificial grammars. Journal of Verbal Learning and Verbal Behavior 6.",
    "lstm": "S. Hochreiter, J. Schmidhuber (1997). Long short-term memory. Neural Computation 9(8).",
    "gru": "K. Cho et al. (2014). Learning phrase representations using RNN encoder-decoder. EMNLP.",
    "rnn_tanh": "J. L. Elman (1990). Finding structure in time. Cognitive Science 14(2).",
    "rnn_relu": "Q. V. Le, N. Jaitly, G. E. Hinton (2015). A simple way to initialize recurrent networks of rectified linear "
    "units. arXiv:1504.00941.",
    "magnitude": "S. Han, J. Pool, J. Tran, W. J. Dally (2015). Learning both weights and connections for efficient neural "
    "networks. NeurIPS.",
    "orthogonal": "A. M. Saxe, J. L. McClelland, S. Ganguli (2014). Exact solutions to the nonlinear dynamics of learning in "
    "deep linear neural networks. ICLR.",
    "adam": "D. P. Kingma, J. Ba (2015). Adam: a method for stochastic optimization. ICLR.",
    "study": "H. Darji (2021). Investigating sparsity in recurrent neural networks. Master's thesis, University of Passau.",
}
STYLE = """
:root { --ink: #22223b; --soft: #6b7080; --line: #d9dbe3; --mark: #1b6ca8; }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); max-width: 1080px; margin: 2rem auto; padding: 0 1.2rem; }
h1 { font-size: 1.7rem; margin-bottom: .2rem; } 
h2 { font-size: 1.2rem; margin-top: 2.2rem; border-bottom: 1px solid var(--line); }
p.lead { font-size: 1.05rem; } .soft { color: var(--soft); } code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { background: #f5f6fa; padding: .7rem; overflow-x: auto; white-space: pre-wrap; }
table { border-collapse: collapse; margin: .8rem 0; font-variant-numeric: tabular-nums; font-size: 13px; }
th, td { padding: .22rem .55rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { text-align: right; font-weight: 600; white-space: normal; vertical-align: bottom; }
pre.settings { column-count: 3; } th.word, td.word { text-align: left; }
.wide { overflow-x: auto; } figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: var(--soft); font-size: 13px; } .bad { color: #a4161a; }
@page { size: A4 landscape; margin: 12mm; }
@media print { body { max-width: none; margin: 0; font-size: 10pt; } figure, tr { break-inside: avoid; }
 h2 { break-after: avoid; }
 table { font-size: 6.5pt; } th, td { padding: .1rem .25rem; } .wide { overflow: visible; } pre { white-space: pre-wrap; } }
"""


def write(folder, summary, results, baselines, about, controls=None, unfinished=()):
    """`report.html` in the folder, beside `figures/`.

    summary, results: the joined tables as DataFrames; baselines: rule -> accuracy; controls: rows of
    (series, percent, seed, trained_on, dense, units), or None; unfinished: (overrides, why).
    about: command, config (YAML text), versions, experiment, safe and regain tolerance.
    """
    published = thesis.published() if about["experiment"] == "thesis_pruning" else None
    parts = [
        _head(summary, about),
        _answers(summary, about, published),
        _costs(summary),
        _figures(folder),
        _levels(summary, results, controls, published),
        _baselines(baselines),
        _unfinished(unfinished),
        _settings(summary, about),
        _references(summary, about),
    ]
    title = "Pruning recurrent networks"
    page = f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
    page += '<meta name="viewport" content="width=device-width, initial-scale=1">'
    page += f"<style>{STYLE}</style></head><body>\n" + "\n".join(filter(None, parts)) + "\n</body></html>\n"
    files.write_text(folder / "report.html", page)
    return folder / "report.html"


def _text(value):
    return html.escape(str(value))


def table(columns, rows, words=0):
    """An HTML table of plain values; the first `words` columns are aligned as text."""
    cells = ["".join(f"<th{_word(k, words)}>{_text(name)}</th>" for k, name in enumerate(columns))]
    cells += ["".join(f"<td{_word(k, words)}>{value}</td>" for k, value in enumerate(row)) for row in rows]
    return '<div class="wide"><table>' + "".join(f"<tr>{row}</tr>" for row in cells) + "</table></div>"


def _word(k, words):
    return ' class="word"' if k < words else ""


def number(values, digits=4):
    """Mean of the values, with half the width of its 95 % interval where there are several."""
    values = np.asarray(values, dtype=float)
    values = values[~np.isnan(values)]
    if not len(values):
        return ""
    half = figures.interval(values)
    return f"{values.mean():.{digits}f}" + ("" if math.isnan(half) else f" ± {half:.{digits}f}")


def _head(summary, about):
    cells = ", ".join(tables.NAMES.get(cell, cell) for cell in dict.fromkeys(summary["cell"]))
    seeds = summary["seed"].nunique()
    told = f"{cells}; targets {', '.join(dict.fromkeys(summary['target']))}; n = {seeds} seed{'s' * (seeds > 1)}"
    judge = " and ".join(dict.fromkeys(summary["judge"]))
    made = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    return (
        f"<h1>Pruning recurrent networks</h1><p class='soft'>{_text(told)}. Decisions on {judge} accuracy. Made {made} by"
        f"</p><pre>{_text(about['command'])}</pre>"
    )


def _answers(summary, about, published):
    tolerance = about["safe"]
    lines = tables.sentences(summary, tolerance, about["floor"])
    sentences = "".join(f"<p class='lead'>{_text(line)}</p>" for line in lines)
    rows = []
    for row in tables.overview(summary, tolerance):
        spread = f" ({row['low']:g} to {row['high']:g})" if row["seeds"] > 1 else ""
        extra = [f"{thesis.SAFE[row['cell'], row['target']]} %"] if published is not None else []
        rows.append([
            _text(tables.NAMES.get(row["cell"], row["cell"])), row["target"], row["score"], row["scope"],
            _text(row["variant"]), row["seeds"],
            f"{row['safe']:g} %{spread}", *extra, _text(row["regain"]),
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
        row = [_text(figures.titled(key, figures.series(frame))), number(own.groupby("seed")["base"].first())]
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
    "survivors": "Share of weights left in every layer, kind of weight and gate.",
}


def _figures(folder):
    shown = []
    for name, caption in CAPTIONS.items():
        path = folder / "figures" / f"{name}.svg"
        if path.exists():
            drawing = path.read_text()
            drawing = _inline(drawing, name)
            shown.append(f"<figure>{drawing}<figcaption>{caption}</figcaption></figure>")
    return "<h2>Figures</h2>" + "".join(shown) if shown else ""


def _inline(drawing, name):
    """An SVG for the inside of a page: its identifiers, unique within one drawing only, get a prefix."""
    drawing = drawing[drawing.index("<svg") :]
    return drawing.replace(' id="', f' id="{name}-').replace('href="#', f'href="#{name}-').replace("url(#", f"url(#{name}-")


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
                _text(figures.titled(key, keys)), f"{percent:g} %", f"{100 * (1 - kept / total):.2f} %",
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
    rows = [[_text(name), f"{accuracy:.4f}"] for name, accuracy in baselines.items()]
    return (
        "<h2>Without learning</h2><p>Accuracy on test of rules fitted on the training strings: a network that does not beat "
        "them has learned nothing worth pruning.</p>" + table(["rule", "accuracy"], rows, 1)
    )


def _unfinished(unfinished):
    if not unfinished:
        return ""
    rows = [[_text(overrides), f'<span class="bad">{_text(why)}</span>'] for overrides, why in unfinished]
    return "<h2>Not finished</h2><p>The same command does these again and skips the rest.</p>" + table(["job", "why"], rows, 2)


def _settings(summary, about):
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    seeds = ", ".join(str(seed) for seed in sorted(summary["seed"].unique()))
    return (
        f"<h2>Settings</h2><p>Seeds {seeds}. {_text(versions)}.</p><p>The first job's configuration; the others differ in what "
        f"was swept.</p><pre class='settings'>{_text(about['config'])}</pre>"
    )


def _references(summary, about):
    used = {*summary["cell"], *summary["score"], "reber", "adam", "study"}
    if "orthogonal" in about["config"] and {"rnn_tanh", "rnn_relu"} & used:
        used.add("orthogonal")
    return (
        "<h2>References</h2><ul>"
        + "".join(f"<li>{_text(text)}</li>" for key, text in REFERENCES.items() if key in used)
        + "</ul>"
    )

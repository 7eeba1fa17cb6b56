"""The analysis of a structure search: from its table to correlations, prediction, figures and sentences."""

import csv
import math

import pandas as pd
from rich.table import Table

from espalier.analysis import structure_figures, structure_report
from espalier.analysis.correlation import carried, correlations
from espalier.analysis.drawing import words
from espalier.analysis.prediction import EACH, best, needed, plenty, prediction
from espalier.errors import InputError
from espalier.graphs import DIRECTED, STUDY
from espalier.runs import files
from espalier.tasks import ACCURACY


def read(path, folds, metric=ACCURACY):
    """A table in the study's columns as a DataFrame, checked; further columns are kept.  metric: what `test_...` holds.

    Raises: InputError in one line: unreadable, columns missing, text or nothing where numbers belong, too few rows.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except OSError as error:
        raise InputError(f"results={path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"results={path}: not a CSV ({error})") from None
    missing = [name for name in (*STUDY, metric.test) if name not in header]
    if missing:
        raise InputError(f"results={path}: no column {', '.join(missing)}")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise InputError(f"results={path}, line {number}: {len(line)} fields, the header has {len(header)}")
    frame = pd.DataFrame(lines, columns=header, dtype=object)
    for name in (*STUDY, metric.test, *(name for name in DIRECTED if name in header)):
        frame[name] = [_number(value, name, path, number) for number, value in enumerate(frame[name], start=2)]
    frame["graph"] = frame["graph"].astype(str) if "graph" in frame else "graph"
    frame["mode"] = frame["mode"].astype(str) if "mode" in frame else "RNN"
    for mode, own in frame.groupby("mode"):
        if len(own) < needed(folds):
            raise InputError(
                f"results={path}: {len(own)} rows of {mode}; {folds} folds and the published split need {needed(folds)}"
            )
    if frame.empty:
        raise InputError(f"results={path}: there is no row below the header")
    return frame


def _number(value, name, path, number):
    try:
        found = float(value)
    except ValueError:
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"results={path}, line {number}: {name} must be a number, got {value!r}")
    return found


def analyse(folder, frame, config, about, graphs=None, dense=None, metric=ACCURACY, cores=1):
    """Write the tables, figures and report of one cell's graphs into `folder`.

    frame: a row per graph, `STUDY`, `graph`, `mode` and `test_acc` (or another metric's) among its columns.
    config: the predictor's.
    about: cell, command, config (YAML), versions, experiment.  graphs: (family, number) -> networkx graph, to be drawn.
    dense: DataFrame of the dense networks beside them.  cores: processes that fit.  Returns (correlations, prediction).
    """
    correlated = correlations(frame, metric.test)

    def draw():
        structure_figures.families(folder / "figures", frame, metric, dense)
        structure_figures.correlations(folder / "figures", correlated, metric)
        structure_figures.joint(folder / "figures", frame, correlated, metric)
        if graphs:
            structure_figures.graphs(folder / "figures", frame, graphs, metric)

    predicted, held, importances = prediction(frame, config, metric.test, cores, meanwhile=draw)
    for name, found in (
        ("correlations", correlated), ("prediction", predicted), ("importance", importances), ("predicted", held),
    ):  # fmt: skip
        files.write_text(folder / f"{name}.csv", found.to_csv(index=False, lineterminator="\n"))
    structure_figures.predicted(folder / "figures", frame, held, predicted, metric)
    lines = sentences(frame, correlated, predicted, metric)
    structure_report.write(folder, frame, correlated, predicted, importances, about, dense, lines, metric)
    return correlated, predicted


def sentences(frame, correlated, predicted, metric=ACCURACY):
    """What came out, in plain sentences."""
    overall = correlated[correlated["family"] == "all"].dropna(subset="pearson")
    solid = overall[overall["p_adjusted"] < 0.05].sort_values("pearson", key=abs, ascending=False)
    means = frame.groupby("graph")[metric.test].mean().sort_values(ascending=not metric.higher)
    told = [
        f"{len(frame)} graphs, {metric.label} on test {frame[metric.test].min():.4f} to {frame[metric.test].max():.4f}"
        + (f"; on average {', '.join(f'{words(name)} {value:.4f}' for name, value in means.items())}" if len(means) > 1 else "")
        + "."
    ]
    if len(solid):
        named = ", ".join(_correlated(row) for row in solid.head(4).to_dict("records"))
        told.append(f"Goes with {metric.label}, after correction for {len(overall)} tests: {named}.")
    else:
        told.append(f"No property goes with {metric.label} once {len(overall)} tests are corrected for.")
    if len(solid) and correlated["family"].nunique() > 1:
        kept = [
            name
            for name in solid["property"]
            if (correlated[(correlated["property"] == name) & (correlated["family"] != "all")]["p_adjusted"] < 0.05).all()
        ]
        told.append(f"Of these, within every family too: {', '.join(map(words, kept)) or 'none'}.")
    return [*told, _predicted(len(frame), predicted)]


def _correlated(row):
    """A property and its r, and what is left of it where it hangs on one graph."""
    left = "nothing varies" if math.isnan(row.get("without_one", math.nan)) else f"{row['without_one']:+.2f}"
    return f"{words(row['property'])} ({row['pearson']:+.2f}{f', without one graph {left}' if carried(row) else ''})"


def _predicted(graphs, predicted):
    """The sentence on prediction."""
    if not plenty(graphs, len(STUDY)):
        few = f"{graphs} graphs are fewer than {EACH} for each of {len(STUDY)} properties"
        return f"Whether it can be predicted is not told: {few}, and R² would be of chance."
    name = best(predicted)
    chosen = predicted[(predicted["regressor"] == name) & (predicted["features"] == "all")].set_index("protocol")
    row = chosen.loc["cross_validation"]
    told = f"R² {row['r2']:.2f} ({row['low']:.2f} to {row['high']:.2f}) in cross-validation"
    if not row["r2"] > 0:
        return (
            f"The graph predicts nothing: the best regressor, {words(name)}, has {told}, no better than the mean of all graphs."
        )
    return f"Predicted best by {words(name)}: {told}, {chosen.loc['published', 'r2']:.2f} by the study's single split."


def overview(frame, correlated, predicted, console, metric=ACCURACY):
    """The sentences and the strongest correlations on the terminal."""
    shown = Table(title=f"Correlation with {metric.label} on test, strongest first")
    for name in ("property", "Pearson", "95 %", "Spearman", "p, corrected"):
        shown.add_column(name, justify="left" if name == "property" else "right")
    overall = correlated[correlated["family"] == "all"].dropna(subset="pearson")
    for row in overall.sort_values("pearson", key=abs, ascending=False).head(8).itertuples():
        shown.add_row(
            words(row.property), f"{row.pearson:+.2f}", f"{row.low:+.2f} to {row.high:+.2f}", f"{row.spearman:+.2f}",
            f"{row.p_adjusted:.2g}",
        )  # fmt: skip
    console.print(shown)
    for line in sentences(frame, correlated, predicted, metric):
        console.print(line)

"""The analysis of a structure search: from its table to correlations, prediction, figures and report."""

import csv
import math

import numpy as np
import pandas as pd
from rich.table import Table

from espalier.analysis import page, structure_figures, tables, thesis
from espalier.analysis.correlation import correlations
from espalier.analysis.page import table, text
from espalier.analysis.prediction import best, needed, prediction
from espalier.errors import InputError
from espalier.graphs import DIRECTED, STUDY
from espalier.runs import files

CAPTIONS = {
    "families": "Accuracy on test by family of graphs, a dot per graph; box: quartiles, line: median.",
    "correlations": "Pearson's r of every property with accuracy on test, over all graphs and within each family.",
    "joint": "Accuracy on test against the properties of the study's tables, with their distributions and r.",
    "predicted": "Accuracy predicted for graphs that the regressor had not seen (out of fold), against the measured one.",
    "graphs": "Graphs from the best to the worst, in their layers, edges from left to right; arcs skip layers.",
    "ranking": "Unseen graphs, ranked by their predicted accuracy: predicted and, where trained, measured.",
}


def read(path, folds):
    """A table in the study's columns as a DataFrame, checked; further columns are kept.

    Raises: InputError in one line: unreadable, columns missing, text or nothing where numbers belong, too few rows.
    """
    try:
        with open(path, newline="", encoding="utf-8") as file:
            header, *lines = [line for line in csv.reader(file) if line] or [[]]
    except OSError as error:
        raise InputError(f"results={path}: cannot be read ({error.strerror})") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise InputError(f"results={path}: not a CSV ({error})") from None
    missing = [name for name in (*STUDY, "test_acc") if name not in header]
    if missing:
        raise InputError(f"results={path}: no column {', '.join(missing)}")
    for number, line in enumerate(lines, start=2):
        if len(line) != len(header):
            raise InputError(f"results={path}, line {number}: {len(line)} fields, the header has {len(header)}")
    frame = pd.DataFrame(lines, columns=header, dtype=object)
    for name in (*STUDY, "test_acc", *(name for name in DIRECTED if name in header)):
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


def analyse(folder, frame, config, about, graphs=None, dense=None):
    """Write the tables, figures and report of one cell's graphs into `folder`.

    frame: a row per graph, `STUDY`, `graph`, `mode` and `test_acc` among its columns.  config: the predictor's.
    about: cell, command, config (YAML), versions, experiment.  graphs: (family, number) -> networkx graph, to be drawn.
    dense: DataFrame of the dense networks beside them.  Returns (correlations, prediction).
    """
    correlated = correlations(frame)
    predicted, held, importances = prediction(frame, config)
    for name, found in (
        ("correlations", correlated), ("prediction", predicted), ("importance", importances), ("predicted", held),
    ):  # fmt: skip
        files.write_text(folder / f"{name}.csv", found.to_csv(index=False, lineterminator="\n"))
    structure_figures.families(folder / "figures", frame, dense)
    structure_figures.correlations(folder / "figures", correlated)
    structure_figures.joint(folder / "figures", frame, correlated)
    structure_figures.predicted(folder / "figures", frame, held, predicted)
    if graphs:
        structure_figures.graphs(folder / "figures", frame, graphs)
    report(folder, frame, correlated, predicted, importances, about, dense)
    return correlated, predicted


def sentences(frame, correlated, predicted):
    """What came out, in plain sentences."""
    overall = correlated[correlated["family"] == "all"].dropna(subset="pearson")
    solid = overall[overall["p_adjusted"] < 0.05].sort_values("pearson", key=abs, ascending=False)
    means = frame.groupby("graph")["test_acc"].mean().sort_values(ascending=False)
    told = [
        f"{len(frame)} graphs, accuracy on test {frame['test_acc'].min():.4f} to {frame['test_acc'].max():.4f}"
        + (f"; on average {', '.join(f'{name} {value:.4f}' for name, value in means.items())}" if len(means) > 1 else "")
        + "."
    ]
    if len(solid):
        named = ", ".join(f"{row.property} ({row.pearson:+.2f})" for row in solid.head(4).itertuples())
        told.append(f"Goes with accuracy, after correction for {len(overall)} tests: {named}.")
    else:
        told.append(f"No property goes with accuracy once {len(overall)} tests are corrected for.")
    if len(solid) and correlated["family"].nunique() > 1:
        kept = [
            name
            for name in solid["property"]
            if (correlated[(correlated["property"] == name) & (correlated["family"] != "all")]["p_adjusted"] < 0.05).all()
        ]
        told.append(f"Of these, within every family too: {', '.join(kept) or 'none'}.")
    name = best(predicted)
    chosen = predicted[(predicted["regressor"] == name) & (predicted["features"] == "all")].set_index("protocol")
    row = chosen.loc["cross_validation"]
    told.append(
        f"Predicted best by {name}: R² {row['r2']:.2f} ({row['low']:.2f} to {row['high']:.2f}) in cross-validation, "
        f"{chosen.loc['published', 'r2']:.2f} by the study's single split."
    )
    return told


def overview(frame, correlated, predicted, console):
    """The sentences and the strongest correlations on the terminal."""
    shown = Table(title="Correlation with accuracy on test, strongest first")
    for name in ("property", "Pearson", "95 %", "Spearman", "p, corrected"):
        shown.add_column(name, justify="left" if name == "property" else "right")
    overall = correlated[correlated["family"] == "all"].dropna(subset="pearson")
    for row in overall.sort_values("pearson", key=abs, ascending=False).head(8).itertuples():
        shown.add_row(
            row.property, f"{row.pearson:+.2f}", f"{row.low:+.2f} to {row.high:+.2f}", f"{row.spearman:+.2f}",
            f"{row.p_adjusted:.2g}",
        )  # fmt: skip
    console.print(shown)
    for line in sentences(frame, correlated, predicted):
        console.print(line)


def report(folder, frame, correlated, predicted, importances, about, dense):
    """`report.html` in the folder, beside `figures/`."""
    study = thesis.structure() if about["experiment"] == "thesis_structure" else {}
    lines = "".join(f"<p class='lead'>{text(line)}</p>" for line in sentences(frame, correlated, predicted))
    name = tables.NAMES.get(about["cell"], about["cell"])
    parts = [
        page.head("Random structures", f"{name}; {len(frame)} graphs.", about["command"]),
        "<h2>Which graphs make good recurrent networks, and can it be predicted?</h2>" + lines,
        _use(folder),
        _families(frame, dense),
        page.shown(folder, CAPTIONS),
        _correlations(correlated, study, about["cell"]),
        _prediction(predicted, study, about["cell"]),
        _importances(importances),
        _dense(dense),
        page.settings([about["seed"]], about) if "seed" in about else "",
        page.references({about["cell"], *frame["graph"], "networkx", "holm", "nadeau", "study"}),
    ]  # fmt: skip
    page.write(folder / "report.html", "Random structures", parts)


def _use(folder):
    """What predictions of unseen graphs were worth (predict=N)."""
    told = [files.read_json(path) for path in sorted(folder.glob("predict_*/prediction.json"))]
    return "".join(f"<p class='lead'>{text(found['told'])}</p>" for found in told if found)


def _families(frame, dense):
    rows = []
    for family, own in frame.groupby("graph", sort=False):
        accuracy = own["test_acc"]
        rows.append([
            text(family), len(own), page.number(accuracy), f"{accuracy.median():.4f}", f"{accuracy.min():.4f}",
            f"{accuracy.max():.4f}",
        ])  # fmt: skip
    for kind, own in dense.groupby("kind") if dense is not None and len(dense) else ():
        accuracy = own["test_acc"]
        rows.append([
            f"dense, same number of parameters, {'same depth' if kind == 'depth' else 'three layers'}", len(own),
            page.number(accuracy), f"{accuracy.median():.4f}", f"{accuracy.min():.4f}", f"{accuracy.max():.4f}",
        ])  # fmt: skip
    columns = ["family", "n", "mean accuracy on test ± 95 %", "median", "lowest", "highest"]
    return "<h2>By family</h2>" + table(columns, rows, 1)


def _correlations(correlated, study, cell):
    families = [family for family in dict.fromkeys(correlated["family"]) if family != "all"]
    columns = [
        "property",
        "Pearson's r",
        "95 %",
        "Spearman's rho",
        "95 %",
        "p, corrected",
        *(f"r in {text(f)}" for f in families),
    ]
    columns += ["published r"] if study else []
    by_family = correlated.pivot(index="property", columns="family", values="pearson")
    rows = []
    for row in correlated[correlated["family"] == "all"].itertuples():
        numbers = [
            _signed(row.pearson), _range(row.low, row.high), _signed(row.spearman),
            _range(row.spearman_low, row.spearman_high), "" if math.isnan(row.p_adjusted) else f"{row.p_adjusted:.2g}",
        ]  # fmt: skip
        within = [_signed(by_family.loc[row.property, family]) for family in families]
        told = [_signed(study.get(("pearson", cell, row.property), math.nan))] if study else []
        rows.append([row.property, *numbers, *within, *told])
    return (
        "<h2>Correlation of every property with accuracy on test</h2>" + table(columns, rows, 1)
        + "<p class='soft'>p of Pearson's r, corrected for the number of properties (Holm). A correlation that vanishes "
        "within the families only tells them apart.</p>"
    )  # fmt: skip


def _prediction(predicted, study, cell):
    columns = ["regressor", "features", "R², cross-validation", "95 %", "R², published split", "over seeds"]
    columns += ["published R²"] if study else []
    rows = []
    for (regressor, features), own in predicted.groupby(["regressor", "features"], sort=False):
        own = own.set_index("protocol")
        held, split = own.loc["cross_validation"], own.loc["published"]
        row = [regressor, features, f"{held['r2']:.3f}", _range(held["low"], held["high"], 3), f"{split['r2']:.5f}"]
        row.append(_range(split["low"], split["high"], 3))
        if study:
            value = study.get(("r2", cell, regressor)) if features == "all" else None
            row.append("" if value is None else f"{value:.5f}")
        rows.append(row)
    return (
        "<h2>Prediction of accuracy from the graph</h2>" + table(columns, rows, 2)
        + "<p class='soft'>Cross-validation: scaling and regressor see the training rows only, repeated folds. Published: "
        "one split with seed 7, scaled on all rows; of so few test rows its R² says little.</p>"
    )  # fmt: skip


def _importances(importances):
    regressors = list(dict.fromkeys(importances["regressor"]))
    columns = ["property", *(f"{name}: {what}" for name in regressors for what in ("own", "permutation", "95 %"))]
    rows = []
    for name, own in importances.groupby("property", sort=False):
        own, row = own.set_index("regressor"), [name]
        for regressor in regressors:
            found = own.loc[regressor]
            row += [_signed(found["own"], 3), _signed(found["permutation"], 3), _range(found["low"], found["high"], 3)]
        rows.append(row)
    return "<h2>What the regressors look at</h2>" + table(columns, rows, 1)


def _dense(dense):
    if dense is None or not len(dense):
        return ""
    rows = [
        [
            text(row.graph), row.graph_nr, row.kind, row.layers, row.hidden, f"{row.parameters:,} of {row.graph_parameters:,}",
            f"{row.test_acc:.4f}", f"{row.graph_test_acc:.4f}",
        ]
        for row in dense.itertuples()
    ]  # fmt: skip
    columns = ["graph", "nr", "as", "layers", "units each", "parameters, of the graph's", "accuracy on test", "the graph's"]
    return "<h2>Dense networks of no more parameters</h2>" + table(columns, rows, 1)


def _signed(value, digits=2):
    return "" if value is None or np.isnan(value) else f"{value:+.{digits}f}"


def _range(low, high, digits=2):
    return "" if np.isnan(low) else f"{low:+.{digits}f} to {high:+.{digits}f}"


def compare(folder, joined, results, about, unfinished=()):
    """The report of a sweep, beside its joined tables.

    joined: (correlations, prediction) of all searches, with columns cell, variant, seed; results: their result.json.
    """
    correlated, predicted = joined
    keys = list(dict.fromkeys(zip(correlated["cell"], correlated["variant"], correlated["seed"])))
    names = {key: _search(key, keys) for key in keys}
    structure_figures.cells(folder / "figures", correlated, names)
    rows = []
    for result in results:
        rows.append([
            tables.NAMES.get(result["cell"], result["cell"]), result["seed"], result["graphs"],
            f"{result['mean_test_acc']:.4f}", f"{result['best_test_acc']:.4f}", result["regressor"],
            f"{result['prediction_r2']:.2f}",
        ])  # fmt: skip
    columns = ["cell", "seed", "graphs", "mean accuracy on test", "best", "best regressor", "its R², cross-validation"]
    study = thesis.structure() if about["experiment"] == "thesis_structure" else {}
    parts = [
        page.head("Random structures", f"{len(results)} searches.", about["command"]),
        "<h2>Which graphs make good recurrent networks, and can it be predicted?</h2>" + table(columns, rows, 1),
        page.shown(folder, {"cells": "Pearson's r of every property with accuracy on test, over all graphs."}),
        *(_one_search(name, key, correlated, predicted, study) for key, name in names.items()),
        page.unfinished(unfinished),
        page.settings([result["seed"] for result in results], about),
        page.references({*correlated["cell"], "barabasi_albert", "watts_strogatz", "networkx", "holm", "nadeau", "study"}),
    ]
    page.write(folder / "report.html", "Random structures", parts)


def _search(key, keys):
    """What tells one search of a sweep from the others."""
    cell, variant, seed = key
    told = [tables.NAMES.get(cell, cell)]
    told += [variant] if len({other[1] for other in keys}) > 1 else []
    told += [f"seed {seed}"] if len({other[2] for other in keys}) > 1 else []
    return ", ".join(told)


def _one_search(name, key, correlated, predicted, study):
    own = [found[(found[["cell", "variant", "seed"]] == list(key)).all(axis=1)] for found in (correlated, predicted)]
    return f"<h1>{text(name)}</h1>" + _correlations(own[0], study, key[0]) + _prediction(own[1], study, key[0])

"""report.html of a structure search, and of a sweep of them."""

import math

import numpy as np

from espalier.analysis import page, structure_figures, tables, thesis
from espalier.analysis.drawing import words
from espalier.analysis.page import Table
from espalier.analysis.prediction import FEATURES, plenty
from espalier.runs import files

TITLE = "Random structures"


def captions(metric):
    """What stands below the figures."""
    label = metric.label
    return {
        "families": f"{metric.title} on test by family of graphs, a dot per graph; box: quartiles, line: median.",
        "correlations": f"Pearson's r of every property with {label} on test, over all graphs and within each family.",
        "joint": f"{metric.title} on test against the properties of the study's tables, with their distributions and r.",
        "predicted": f"{metric.title} predicted for graphs that the regressor had not seen (out of fold), against the "
        "measured one.",
        "graphs": "Graphs from the best to the worst, in their layers, edges from left to right; arcs skip layers.",
        "ranking": f"Unseen graphs, ranked by their predicted {label}: predicted and, where trained, measured.",
    }


def write(folder, frame, correlated, predicted, importances, about, dense, lines, metric):
    """`report.html` in the folder, beside `figures/`.  lines: the sentences; the rest as for `structure.analyse`."""
    study = thesis.structure() if about["experiment"] == "thesis_structure" else {}
    name = tables.NAMES.get(about["cell"], about["cell"])
    used = [files.read_json(path) for path in sorted(folder.glob("predict_*/prediction.json"))]
    page.write(
        folder / "report.html", "search.html", TITLE, f"{name}; {len(frame)} graphs.", about,
        page.shown(folder, captions(metric)), seeds=[about["seed"]] if "seed" in about else (),
        used={about["cell"], *frame["graph"], "networkx", "holm", "nadeau", "study"}, label=metric.label,
        sentences=[*lines, *(result["told"] for result in used if result)], families=_families(frame, dense, metric),
        correlated=_correlations(correlated, study, about["cell"]),
        predicted=_prediction(predicted, study, about["cell"], len(frame)),
        importances=_importances(importances), dense=_dense(dense, metric),
    )  # fmt: skip


def _families(frame, dense, metric):
    named = [(family, values[metric.test]) for family, values in frame.groupby("graph", sort=False)]
    for kind, values in dense.groupby("kind") if dense is not None and len(dense) else ():
        name = f"dense, same number of parameters, {'same depth' if kind == 'depth' else 'three layers'}"
        named.append((name, values[metric.test]))
    rows = []
    for name, values in named:
        spread = [f"{value:.4f}" for value in (values.median(), values.min(), values.max())]
        rows.append([name, len(values), page.number(values), *spread])
    return Table(["family", "n", f"mean {metric.label} on test ± 95 %", "median", "lowest", "highest"], rows, 1)


def _correlations(correlated, study, cell):
    families = [family for family in dict.fromkeys(correlated["family"]) if family != "all"]
    within = [f"r in {words(family)}" for family in families]
    columns = ["property", "Pearson's r", "95 %", "without one graph", "Spearman's rho", "95 %", "p, corrected", *within]
    columns += ["published r"] if study else []
    by_family = correlated.pivot(index="property", columns="family", values="pearson")
    rows = []
    for row in correlated[correlated["family"] == "all"].itertuples():
        numbers = [
            _signed(row.pearson), _range(row.low, row.high), _signed(getattr(row, "without_one", math.nan)),
            _signed(row.spearman),
            _range(row.spearman_low, row.spearman_high), "" if math.isnan(row.p_adjusted) else f"{row.p_adjusted:.2g}",
        ]  # fmt: skip
        numbers += [_signed(by_family.loc[row.property, family]) for family in families]
        published = [_signed(study.get(("pearson", cell, row.property), math.nan))] if study else []
        rows.append([words(row.property), *numbers, *published])
    return Table(columns, rows, 1)


def _prediction(predicted, study, cell, graphs):
    columns = ["regressor", "features", "R², cross-validation", "95 %", "R², published split", "over seeds"]
    columns += ["published R²"] if study else []
    rows = []
    for (regressor, features), protocols in predicted.groupby(["regressor", "features"], sort=False):
        protocols = protocols.set_index("protocol")
        held, split = protocols.loc["cross_validation"], protocols.loc["published"]
        row = [words(regressor), words(features)]
        if plenty(graphs, len(FEATURES[features])):
            row += [f"{held['r2']:.3f}", _range(held["low"], held["high"], 3), f"{split['r2']:.5f}"]
            row.append(_range(split["low"], split["high"], 3))
        else:
            row += ["too few graphs", "", "", ""]
        if study:
            value = study.get(("r2", cell, regressor)) if features == "all" else None
            row.append("" if value is None else f"{value:.5f}")
        rows.append(row)
    return Table(columns, rows, 2)


def _importances(importances):
    regressors = list(dict.fromkeys(importances["regressor"]))
    columns = ["property", *(f"{words(name)}: {what}" for name in regressors for what in ("own", "permutation", "95 %"))]
    rows = []
    for name, by_regressor in importances.groupby("property", sort=False):
        by_regressor, row = by_regressor.set_index("regressor"), [words(name)]
        for regressor in regressors:
            looks = by_regressor.loc[regressor]
            row += [_signed(looks["own"], 3), _signed(looks["permutation"], 3), _range(looks["low"], looks["high"], 3)]
        rows.append(row)
    return Table(columns, rows, 1)


def _dense(dense, metric):
    rows = []
    for row in dense.to_dict("records") if dense is not None else ():
        sizes = f"{row['parameters']:,} of {row['graph_parameters']:,}"
        values = [f"{row[column]:.4f}" for column in (metric.test, f"graph_{metric.test}")]
        rows.append([words(row["graph"]), row["graph_nr"], row["kind"], row["layers"], row["hidden"], sizes, *values])
    columns = [
        "graph", "nr", "as", "layers", "units each", "parameters, of the graph's", f"{metric.label} on test", "the graph's",
    ]  # fmt: skip
    return Table(columns, rows, 1)


def _signed(value, digits=2):
    return "" if value is None or np.isnan(value) else f"{value:+.{digits}f}"


def _range(low, high, digits=2):
    return "" if np.isnan(low) else f"{low:+.{digits}f} to {high:+.{digits}f}"


def compare(folder, joined, results, about, metric, unfinished=(), differing=None):
    """The report of a sweep, beside its joined tables.

    joined: (correlations, prediction) of all searches, with columns cell, variant, seed; results: their result.json.
    """
    correlated = joined[0]
    keys = list(dict.fromkeys(zip(correlated["cell"], correlated["variant"], correlated["seed"])))
    names = {key: _search(key, keys) for key in keys}
    structure_figures.cells(folder / "figures", correlated, names, metric)
    rows = []
    for result in results:
        values = [f"{result[f'{which}_{metric.test}']:.4f}" for which in ("mean", "best")]
        cell = tables.NAMES.get(result["cell"], result["cell"])
        rows.append([cell, result["seed"], result["graphs"], *values, result["regressor"], f"{result['prediction_r2']:.2f}"])
    columns = ["cell", "seed", "graphs", f"mean {metric.label} on test", "best", "best regressor", "its R², cross-validation"]
    study = thesis.structure() if about["experiment"] == "thesis_structure" else {}
    graphs, searches = {key: result["graphs"] for key, result in zip(keys, results)}, []
    for key, name in names.items():
        own = [part[(part[["cell", "variant", "seed"]] == list(key)).all(axis=1)] for part in joined]
        correlated = _correlations(own[0], study, key[0])
        predicted = _prediction(own[1], study, key[0], graphs[key])
        searches.append({"name": name, "correlated": correlated, "predicted": predicted})
    caption = f"Pearson's r of every property with {metric.label} on test, over all graphs."
    page.write(
        folder / "report.html", "searches.html", TITLE, f"{len(results)} searches.", about,
        page.shown(folder, {"cells": caption}), unfinished, [result["seed"] for result in results],
        {*joined[0]["cell"], "barabasi_albert", "watts_strogatz", "networkx", "holm", "nadeau", "study"},
        differing, label=metric.label, overview=Table(columns, rows, 1), searches=searches,
    )  # fmt: skip


def _search(key, keys):
    """What tells one search of a sweep from the others."""
    cell, variant, seed = key
    words = [tables.NAMES.get(cell, cell)]
    words += [variant] if len({other[1] for other in keys}) > 1 else []
    words += [f"seed {seed}"] if len({other[2] for other in keys}) > 1 else []
    return ", ".join(words)

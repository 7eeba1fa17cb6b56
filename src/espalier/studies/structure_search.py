"""Structure search: train networks wired like random graphs, measure, correlate, predict, and use the prediction."""

import dataclasses
import logging

import numpy as np
import pandas as pd

from espalier import graphs, tasks
from espalier.analysis import prediction, structure, structure_figures
from espalier.errors import InputError
from espalier.graphs.pool import search_graphs, unseen_graphs
from espalier.learning.board import Board
from espalier.runs import files, progress
from espalier.settings import StructureConfig, from_yaml
from espalier.settings.checks import is_own
from espalier.studies.collect import about
from espalier.studies.graph_trainings import Wanted, columns, dense_columns, train_all, with_dense
from espalier.studies.plan import cores, structure_run
from espalier.studies.train import given

log = logging.getLogger(__name__)

FILES = ("results.csv", "dense.csv", "correlations.csv", "prediction.csv", "importance.csv", "predicted.csv")


def job(config, experiment=None):
    """One job of structure_search.py: a search, or (predict=N) the use of a finished one."""
    run = structure_run(config)
    if config.predict is not None:
        return use(config, run, experiment)
    known = search_graphs(config.graph)
    prediction_needs(config, len(known))
    with run.alone():
        if config.force or not run.result():
            with run.logging("structure_search"):
                _search(config, run, known, experiment)


def prediction_needs(config, count):
    need = prediction.needed(config.predictor.folds)
    if count < need:
        raise InputError(f"{count} graphs: {config.predictor.folds} folds and the published split need {need}; raise graph.*")


def _search(config, run, known, experiment):
    run.start()
    for named in known:
        graphs.write(run / "graphs" / f"{named.name}.json", named.graph)
    metric = tasks.load(config.task).metric
    board = Board(run.directory, config.logger, metric)
    chosen = with_dense(config, known)
    todo = [Wanted(named) for named in known] + [Wanted(named, kind) for named in chosen for kind in ("depth", "parameters")]
    rows = {}

    def tell(task, row):
        rows[task] = row
        if task.kind == "graph":
            reached = [own[metric.test] for done, own in rows.items() if done.kind == "graph"]
            told = {"best": max(reached, key=metric.better), "mean": float(np.mean(reached))}
            board.values({f"graphs_trained/{name}_{metric.test}": value for name, value in told.items()}, len(reached))
            files.write_rows(run / "results.csv", columns(metric), [rows[own] for own in map(Wanted, known) if own in rows])

    with progress.current.job(f"{config.cell}, {len(known)} graphs", len(todo)):
        train_all(config, todo, tell, again=config.force)
    dense = []
    for task in todo:
        if task.kind != "graph" and rows[task]:
            own = rows[Wanted(task.named)]
            told = {"graph_parameters": own["parameters"], f"graph_{metric.test}": own[metric.test]}
            dense.append({**rows[task], **told})
    files.write_rows(run / "dense.csv", dense_columns(metric), dense)
    analyse(config, run, experiment)
    found = pd.read_csv(run / "prediction.csv")
    name = prediction.best(found)
    chosen = found[(found["regressor"] == name) & (found["features"] == "all")]
    r2 = float(chosen.loc[chosen["protocol"] == "cross_validation", "r2"].item())
    values = [rows[Wanted(named)][metric.test] for named in known]
    best = max(values, key=metric.better)
    metrics = {f"best_{metric.test}": best, f"mean_{metric.test}": float(np.mean(values)), "prediction_r2": r2}
    board.pictures(run / "figures", ("families", "correlations", "joint", "predicted"))
    board.finish({"cell": config.cell, "seed": config.seed, **given(config), "graphs": len(known)}, metrics)
    result = {"cell": config.cell, "seed": config.seed, "graphs": len(known), "regressor": name, **metrics}
    result["task"] = dataclasses.asdict(metric)
    run.finish(result, FILES)


def analyse(config, run, experiment):
    """Tables, figures and report of a search from its results.csv; reads only files, so that it can be repeated.

    Returns (frame, correlations, prediction).
    """
    metric = tasks.load(config.task).metric
    frame = structure.read(run / "results.csv", config.predictor.folds, metric)
    dense = pd.read_csv(run / "dense.csv") if (run / "dense.csv").exists() else None
    known = {(family, number): graph for family, number, graph in graphs.read_folder(run / "graphs")}
    told = about(config.cell, experiment, run)
    return frame, *structure.analyse(run.directory, frame, config.predictor, told, known, dense, metric, cores(config))


def analyse_again(directory, experiment):
    """`analyse` for the search in a folder."""
    config = from_yaml(directory / "config.yaml", StructureConfig)
    run = structure_run(config)
    run.directory = directory  # also where its address would be another one by now
    return analyse(config, run, experiment)


def use(config, run, experiment):
    """predict=N: rank N unseen graphs by predicted accuracy, train both ends of the ranking, and say whether it held."""
    if not is_own(config.graph) and config.graph.folder:
        raise InputError("predict=N draws random graphs like those of the search; a search over graph.folder has none")
    if not run.result():
        raise InputError(f"predict={config.predict} needs the finished search; run the same command without predict first")
    known = search_graphs(config.graph)
    unseen = unseen_graphs(config.graph, config.predict, known)
    metric = tasks.load(config.task).metric
    frame = structure.read(run / "results.csv", config.predictor.folds, metric)
    name = run.result()["regressor"]
    columns = list(prediction.FEATURES["all"])
    model = prediction.pipeline(name, config.predictor.seed).fit(frame[columns].to_numpy(float), frame[metric.test])
    measured = pd.DataFrame([graphs.properties(named.graph) for named in unseen])
    ranked = pd.DataFrame({
        "graph": [named.family for named in unseen], "graph_nr": [named.number for named in unseen],
        "predicted": model.predict(measured[columns].to_numpy(float)),
    }).sort_values("predicted", ascending=not metric.higher, kind="stable")  # fmt: skip
    each = min(config.predict_each, len(unseen) // 2)
    ends = [unseen[place] for place in [*ranked.index[:each], *ranked.index[-each:]]]
    rows = {}
    with run.logging("predict"), progress.current.job(f"{config.cell}, {2 * each} unseen graphs", 2 * each):
        train_all(config, [Wanted(named) for named in ends], lambda task, row: rows.update({task.named.name: row}))
    ranked.insert(0, "rank", range(1, len(ranked) + 1))
    for column in (metric.test, f"val_{metric.short}"):
        values = [rows.get(f"{family}_{number}", {}).get(column) for family, number in zip(ranked["graph"], ranked["graph_nr"])]
        ranked[column] = pd.Series(values, index=ranked.index, dtype=float)
    folder = run / f"predict_{config.predict}"
    files.write_text(folder / "ranking.csv", ranked.to_csv(index=False, lineterminator="\n"))
    structure_figures.ranking(run / "figures", ranked, metric)
    told = prediction.held(ranked.dropna(subset=metric.test), each, name, config.predict, metric)
    files.write_json(folder / "prediction.json", told)
    analyse(config, run, experiment)
    return told

"""The third story, from the command line and in parts."""

import csv
import json

import networkx as nx
import numpy as np
import pandas as pd
import pytest
import torch
from helpers import TINY_SEARCH
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from espalier import SequenceClassifier, graphs
from espalier.analysis import prediction
from espalier.errors import InputError
from espalier.graphs import STUDY, pool
from espalier.learning import attempt
from espalier.runs import progress
from espalier.settings import Graph, StructureConfig, Trainer
from espalier.studies import graph_trainings, structure_search
from espalier.studies.plan import structure_run

TINY = [*TINY_SEARCH, "logger=none"]


def table(tmp_path, kind="structure_search", name="results.csv"):
    (path,) = (tmp_path / "outputs" / kind).rglob(name)
    return path


def test_a_search_from_the_command_line(door, tmp_path, monkeypatch):
    code, out, err = door("structure_search", "cell=gru", *TINY_SEARCH)
    assert code == 0, err
    (events,) = (tmp_path / "outputs" / "structure_search").rglob("events*")
    told = EventAccumulator(str(events.parent), size_guidance={"scalars": 0}).Reload().Scalars("graphs_trained/best_test_acc")
    assert [one.step for one in told] == list(range(1, 13)) and (np.diff([one.value for one in told]) >= 0).all()
    path = table(tmp_path)
    rows = list(csv.DictReader(path.open()))
    assert len(rows) == 12 and list(rows[0])[: 4 + len(STUDY)] == ["mode", "graph", "graph_nr", *STUDY, "test_acc"]
    assert {row["mode"] for row in rows} == {"GRU"}
    for row in rows:
        found = graphs.properties(graphs.read(path.parent / "graphs" / f"{row['graph']}_{row['graph_nr']}.json"))
        assert all(float(row[name]) == found[name] for name in (*STUDY, *graphs.DIRECTED))
    header = (path.parent / "correlations.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header.startswith("property,family,pearson,low,high,spearman,p_adjusted")
    assert (path.parent / "prediction.csv").read_text(encoding="utf-8").splitlines()[
        0
    ] == "regressor,features,protocol,r2,low,high"
    for name in ("families", "correlations", "joint", "predicted", "graphs"):
        assert all((path.parent / "figures" / f"{name}.{kind}").exists() for kind in ("png", "svg"))
    few = "12 graphs are fewer than 3 for each of"  # of so few an R squared says nothing
    assert few in (path.parent / "report.html").read_text(encoding="utf-8") and few in out.replace("\n", " ")
    dense = pd.read_csv(path.parent / "dense.csv")
    assert set(dense["kind"]) <= {"depth", "parameters"} and (dense["parameters"] <= dense["graph_parameters"]).all()
    assert json.loads((path.parent / "result.json").read_text(encoding="utf-8"))["graphs"] == 12

    # More graphs: those that are trained are not trained again. A done search is not searched again.
    kept = {row["graph"] + row["graph_nr"]: row["time"] for row in rows}
    code, _, err = door("structure_search", "cell=gru", *TINY, "graph.erdos_renyi=5")
    assert code == 0, err
    (more,) = [found for found in (tmp_path / "outputs").rglob("results.csv") if found != path]
    again = {row["graph"] + row["graph_nr"]: row["time"] for row in csv.DictReader(more.open())}
    assert len(again) == 13 and all(again[name] == time for name, time in kept.items())
    _, _, err = door("structure_search", "cell=gru", *TINY)
    assert "done before" in err

    # The analysis alone, of the search's own table.
    code, out, err = door("structure_search", f"results={path}", *TINY)
    assert code == 0, err
    again = table(tmp_path, "structure_analysis", "correlations.csv")
    assert again.read_text(encoding="utf-8") == (path.parent / "correlations.csv").read_text(encoding="utf-8")

    code, _, err = door("structure_search", f"results={path}", "experiment=thesis_structure", *TINY)  # sweeps nothing here
    assert code == 0, err
    pages = [page.read_text(encoding="utf-8") for page in (tmp_path / "outputs" / "structure_analysis").rglob("report.html")]
    assert any("0.67224" in page for page in pages)

    # The use of it.
    code, out, err = door("structure_search", "cell=gru", *TINY, "predict=9", "predict_each=2")
    assert code == 0, err
    ranking = pd.read_csv(path.parent / "predict_9" / "ranking.csv")
    assert len(ranking) == 9 and ranking["predicted"].is_monotonic_decreasing
    assert list(ranking["test_acc"].notna()) == [True] * 2 + [False] * 5 + [True] * 2
    assert "rank correlation" in out and "rank correlation" in (path.parent / "report.html").read_text(encoding="utf-8")

    # The report once more, with its figures as they are.
    (path.parent / "report.html").unlink()
    monkeypatch.undo()
    code, out, err = door("structure_search", f"report={path.parent}")
    assert code == 0 and (path.parent / "report.html").exists(), err
    for name in ("families", "correlations", "joint", "predicted", "graphs"):
        assert all((path.parent / "figures" / f"{name}.{kind}").stat().st_size > 5000 for kind in ("png", "svg"))
    code, _, err = door("prune", f"report={path.parent}")
    assert code == 2 and "structure_search.py report=" in err


def test_a_sweep_joins_and_compares(door, tmp_path):
    code, _, err = door("structure_search", "-m", "cell=rnn_tanh,rnn_relu", *TINY, "dense=0")
    assert code == 0, err
    folder = next((tmp_path / "outputs" / "sweeps").iterdir())
    joined = pd.read_csv(folder / "results.csv")
    assert len(joined) == 24 and set(joined["cell"]) == {"rnn_tanh", "rnn_relu"}
    assert (folder / "figures" / "cells.svg").exists() and "RNN-ReLU" in (folder / "report.html").read_text(encoding="utf-8")
    code, _, err = door("structure_search", f"report={folder}")
    assert code == 0, err


def test_thesis_values_stand_beside_ours(door, tmp_path):
    code, _, err = door(
        "structure_search", "experiment=thesis_structure", "cell=gru", *TINY, "graph.erdos_renyi=0", "graph.watts_strogatz=8"
    )
    assert code == 0, err
    report = (table(tmp_path).parent / "report.html").read_text(encoding="utf-8")
    assert "published r" in report and "+0.74" in report and "0.67224" in report
    config = (table(tmp_path).parent / "config.yaml").read_text(encoding="utf-8")
    assert "interleaved" in config and "separate" in config and "last_step" in config


@pytest.fixture
def config(tmp_path):
    base = dict(
        cell="rnn_tanh", outputs=str(tmp_path / "outputs"), processes=1, dense=1, trainer=Trainer(max_epochs=2),
        graph=Graph(barabasi_albert=6, watts_strogatz=6, erdos_renyi=0, nodes=[6, 9]),
    )  # fmt: skip

    def make(**changes):
        own = StructureConfig(**{**base, **changes})
        own.data.train_size, own.data.test_size, own.data.validation_fraction, own.data.batch_size = 160, 80, 0.25, 32
        own.predictor.regressors, own.predictor.repeats, own.logger.tensorboard = ["bayesian_ridge"], 1, False
        return own

    return make


def without_time(path):
    return [{k: v for k, v in row.items() if k != "time"} for row in csv.DictReader(path.open())]


def test_interrupted_at_any_row_and_continued_gives_the_same_table(config, tmp_path, monkeypatch):
    structure_search.job(config(outputs=str(tmp_path / "whole")))
    whole = structure_run(config(outputs=str(tmp_path / "whole")))
    advance = progress.current.advance
    for stop in (1, 13):
        own = config(outputs=str(tmp_path / f"stopped{stop}"))
        count = iter(range(1, 100))

        def interrupt(*arguments, **told):
            if next(count) == stop:  # noqa: B023
                raise KeyboardInterrupt
            advance(*arguments, **told)

        monkeypatch.setattr(progress.current, "advance", interrupt)
        with pytest.raises(KeyboardInterrupt):
            structure_search.job(own)
        assert not structure_run(own).result()
        monkeypatch.setattr(progress.current, "advance", advance)
        structure_search.job(own)
        for name in ("results.csv", "dense.csv"):
            assert without_time(structure_run(own) / name) == without_time(whole / name)
        for name in ("correlations.csv", "prediction.csv"):
            assert (structure_run(own) / name).read_bytes() == (whole / name).read_bytes()


def test_interrupted_within_a_graph(config, tmp_path, monkeypatch):
    whole, own = config(outputs=str(tmp_path / "a")), config(outputs=str(tmp_path / "b"))
    task = graph_trainings.Wanted(pool.search_graphs(own.graph)[7])
    expected = graph_trainings.one(whole, task)
    end, epochs = attempt.Attempt.end_of_epoch, []

    def interrupt(self, epoch, *more):
        epochs.append(epoch)
        if len(epochs) == 2:
            raise RuntimeError("killed")
        return end(self, epoch, *more)

    monkeypatch.setattr(attempt.Attempt, "end_of_epoch", interrupt)
    with pytest.raises(RuntimeError):
        graph_trainings.one(own, task)
    found = graph_trainings.one(own, task)
    assert epochs == [1, 2, 2]  # the first epoch was not repeated
    assert {**found, "time": 0} == {**expected, "time": 0}


def test_two_processes_give_the_same_table(config, tmp_path):
    found = []
    for processes in (1, 2):
        own, rows = config(outputs=str(tmp_path / str(processes)), processes=processes), {}
        tasks = [graph_trainings.Wanted(named) for named in pool.search_graphs(own.graph)[4:8]]
        graph_trainings.train_all(own, tasks, lambda task, row: rows.update({task.key: {**row, "time": 0}}))  # noqa: B023
        found.append(rows)
    assert len(found[0]) == 4 and found[0] == found[1]


def test_more_graphs_keep_the_first_and_seeds_change_them():
    few = pool.search_graphs(Graph(barabasi_albert=3, watts_strogatz=2, erdos_renyi=1))
    many = pool.search_graphs(Graph(barabasi_albert=5, watts_strogatz=5, erdos_renyi=5))
    by_name = {named.name: named.graph for named in many}
    assert [named.name for named in few][:3] == ["barabasi_albert_0", "barabasi_albert_1", "barabasi_albert_2"]
    assert all(nx.utils.graphs_equal(named.graph, by_name[named.name]) for named in few)
    other = pool.search_graphs(Graph(seed=1))
    assert any(len(a.graph) != len(b.graph) for a, b in zip(other, pool.search_graphs(Graph())))
    assert all(10 <= len(named.graph) <= 50 and nx.is_connected(named.graph) for named in other)


def test_unseen_graphs_are_unseen():
    config = Graph(barabasi_albert=8, watts_strogatz=4, erdos_renyi=0, nodes=[6, 7])
    known = pool.search_graphs(config)
    unseen = pool.unseen_graphs(config, 6, known)
    signatures = [pool._signature(named.graph) for named in [*known, *unseen]]
    assert len(unseen) == 6 and not set(signatures[:12]) & set(signatures[12:]) and len(set(signatures[12:])) == 6
    with pytest.raises(InputError, match="not so many different"):
        pool.unseen_graphs(Graph(barabasi_albert=2, watts_strogatz=0, erdos_renyi=0, nodes=[3, 3]), 50, known)


def test_dense_networks_have_no_more_parameters_and_no_fewer_units_than_need_be(config):
    own = config()
    named = pool.search_graphs(own.graph)[0]
    budget = graph_trainings.network(own, named).active
    for layers in (1, 3):
        units = graph_trainings.dense_units(own, layers, budget)
        counts = [
            sum(p.numel() for p in SequenceClassifier(own.cell, [u] * layers, embedding=own.model.embedding).parameters())
            for u in (units, units + 1)
        ]
        assert counts[0] <= budget < counts[1]
    assert graph_trainings.dense_units(own, 3, 10) == 0


def test_what_held_means():
    trained = pd.DataFrame({"predicted": [0.9, 0.8, 0.6, 0.5], "test_acc": [0.95, 0.7, 0.8, 0.6]})
    told = prediction.held(trained, 2, "ridge", 30)
    assert told["hit_rate"] == 0.5 and told["rank_correlation"] == pytest.approx(0.8)
    assert told["top_minus_bottom"] == pytest.approx(0.125) and "1 of 2" in told["told"]


def test_a_folder_of_graphs(door, tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    for number in range(11):
        graphs.write(folder / f"ring_{number}.json", nx.cycle_graph(5 + number))
    nx.write_graphml(nx.path_graph(5), folder / "line_0.graphml")
    code, _, err = door("structure_search", "cell=rnn_relu", *TINY, "dense=0", f"graph.folder={folder}")
    assert code == 0, err
    rows = list(csv.DictReader(table(tmp_path).open()))
    assert [row["graph"] for row in rows] == ["line"] + ["ring"] * 11
    before = structure_run(StructureConfig(graph=Graph(folder=str(folder)))).name
    (folder / "line_0.graphml").unlink()
    graphs.write(folder / "line_0.json", nx.path_graph(6))
    assert structure_run(StructureConfig(graph=Graph(folder=str(folder)))).name != before  # other graphs, another run
    code, _, err = door("structure_search", *TINY, f"graph.folder={folder}", "predict=8")
    assert code == 2 and "graph.folder" in err


@pytest.mark.parametrize(
    "overrides, told",
    [
        (["graph.nodes=[1,5]"], "graph.nodes must be"),
        (["graph.barabasi_albert=0", "graph.watts_strogatz=0", "graph.erdos_renyi=0"], "needs a number of graphs"),
        (["graph.erdos_renyi=1"], "9 graphs: 5 folds"),
        (["graph.rewire=[2]"], "graph.rewire"),
        (["graph.attach=3"], "nodes"),
        (["graph.folder=nowhere"], "graph.folder=nowhere"),
        (["predictor.regressors=[forest]"], "predictor.regressors must be among"),
        (["predictor.folds=1"], "predictor.folds"),
        (["predict=2"], "predict must be at least"),
        (["predict=8"], "needs the finished search"),
        (["results=none.csv"], "cannot be read"),
        (["model.skip=none"], "summed"),
    ],
)  # fmt: skip
def test_bad_input_is_one_line(door, overrides, told):
    code, _, err = door("structure_search", *TINY, *overrides)
    assert code == 2 and told in err and len(err.strip().splitlines()) == 1


def test_every_choice_of_wiring_runs_one_step(config):
    from espalier.settings import GateMask, GraphModel, H2h, Sinks, Skip

    named = pool.search_graphs(config().graph)[8]
    tokens, lengths = torch.randint(65, 90, (4, 7)), torch.tensor([7, 3, 1, 5])
    for skip in Skip:
        for h2h in H2h:
            for sinks in Sinks:
                own = config(cell="lstm", model=GraphModel("graph", skip, GateMask.interleaved, h2h, sinks, embedding=7))
                model = graph_trainings.network(own, named)
                nn.functional.cross_entropy(model(tokens, lengths), lengths % 2).backward()
                assert all(torch.isfinite(p.grad).all() for p in model.parameters())

"""A sample of tests/fuzz.py: every odd command line, and damages of the files of a finished job."""

import json
import random
import shutil

import fuzz
import networkx as nx
import pytest
from helpers import TINY


@pytest.mark.parametrize(("name", "arguments", "words"), [line for line in fuzz.LINES if line[2]], ids=lambda value: str(value))
def test_odd_command_lines_are_one_line(door, name, arguments, words):
    code, out, err = door(name, *arguments)
    assert code == 2 and words in err and err.startswith("error: ") and err.count("\n") == 1, err
    assert not out


def test_groups_that_may_be_null_and_damages_are_noticed(door, tmp_path):
    code, _, err = door("prune", *fuzz.LINES[-1][1])
    assert code == 0, err
    (run,) = (tmp_path / "outputs" / "prune").rglob("seed_0")
    before, whole = fuzz.numbers(tmp_path), tmp_path / "whole"
    shutil.copytree(tmp_path / "outputs", whole)
    every = fuzz.cases(whole)
    wanted = ("config.yaml", "result.json", "costs.csv", "50.c", "best.pt", "done.json", "summary.csv")
    for number, name in enumerate(wanted):
        own = [case for case in every if case[0].name == name]
        path, how = random.Random(f"sample {number}").choice(own)
        fuzz.damage(tmp_path / "outputs" / path, how, 1)
        for arguments in ([f"report={run}"], fuzz.JOB):
            code, _, err = door("prune", *arguments)
            wrong = fuzz.verdict(code, err, tmp_path, before)
            assert wrong is None, (path, how, arguments[-1], wrong)
        shutil.rmtree(tmp_path / "outputs")
        shutil.copytree(whole, tmp_path / "outputs")


HOSTILE = ("<script>alert(1)</script>", "[bold]${oc.env:HOME}[/bold]", "../../etc & <img src=x onerror=alert(2)>")


@pytest.mark.rendered
def test_text_of_the_users_is_text_and_nothing_else(door, tmp_path):
    """Labels, folders and overrides that look like HTML, markup, interpolations or paths appear as they are."""
    strings = ["BTSSXXTVVE", "BPVVEBTXSE"]
    rows = [f'"{strings[k % 2]}{"X" * (k % 5)}","{HOSTILE[k % 2]}"' for k in range(60)]
    for name in ("train", "test"):
        (tmp_path / f"{name}.csv").write_text("\n".join(["string,label", *rows]) + "\n", encoding="utf-8")
    outputs = "out [red]<b>"
    own = ["data=strings_csv", "data.train=train.csv", "data.test=test.csv", "data.deduplicate=false", f"outputs='{outputs}'"]
    kept = [one for one in TINY if not one.startswith("data.train_size") and not one.startswith("data.test_size")]
    job = [*kept, *own, "cell=gru", "percent=[50]", "retrain.max_epochs=1", "curve=false", "logger=none"]
    code, out, err = door("prune", "-m", *job, "seed=0,1")
    assert code == 0, err
    assert "Report: out [red]<b>/sweeps/" in out
    (page,) = (tmp_path / outputs / "sweeps").rglob("report.html")
    text = page.read_text(encoding="utf-8")
    for tag in ("<script>alert", "<img src=x", "<b>/"):
        assert tag not in text, tag
    assert "out [red]&lt;b&gt;" in text
    (facts,) = {path.read_text(encoding="utf-8") for path in (tmp_path / outputs).rglob("facts.json")} or {""}
    assert "oc.env" in facts or not facts


def test_names_of_graphs_are_no_paths_and_no_markup(door, tmp_path):
    folder = tmp_path / "graphs"
    folder.mkdir()
    for number in range(12):
        graph = nx.barabasi_albert_graph(6 + number % 5, 2, seed=number)
        data = nx.node_link_data(graph, edges="edges") | {"graph": {"name": HOSTILE[number % 3], "family": HOSTILE[number % 3]}}
        (folder / f"<i>[red]{number}.json").write_text(json.dumps(data), encoding="utf-8")
    job = [
        *TINY[:4],
        "trainer.max_epochs=1",
        "cell=gru",
        f"graph.folder={folder}",
        "dense=1",
        "logger=none",
        "processes=1",
    ]
    counts = [f"graph.{family}=0" for family in ("barabasi_albert", "watts_strogatz", "erdos_renyi")]
    code, _, err = door("structure_search", *job, *counts, "predictor.regressors=[ridge]", "predictor.repeats=1")
    assert code == 0, err
    (page,) = (tmp_path / "outputs" / "structure_search").rglob("report.html")
    text = page.read_text(encoding="utf-8")
    assert "<script>alert" not in text and "<img src=x" not in text and "<i>[red]" not in text
    places = {path.relative_to(tmp_path).parts[0] for path in tmp_path.rglob("*")}
    assert places == {"graphs", "outputs"}
    drawn = sorted((page.parent / "graphs").iterdir())
    for path in drawn[:3]:
        path.unlink()
    code, _, err = door("structure_search", f"report={page.parent}")
    assert drawn and code == 0, err

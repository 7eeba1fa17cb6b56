"""What a user brings in a folder of their own runs through sweeps like ours, and is found again."""

import math
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
from helpers import TINY_SEARCH

from espalier.learning.training import short
from espalier.runs.identity import identity, source

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "your-own.md"
FOLDER = Path(__file__).parent / "own" / "settings"
SHORT = ["trainer.max_epochs=2", "retrain.max_epochs=2", "curve=false"]
MINE = ["model=mine", "data=mine", "task=mine", "score=mine", "schedule=mine", "logger=mine"]
LIT = ["model=lit", "data=lit", "task=logged", "task.metric=val_acc", "task.higher=true", "logger=none"]


def files_of(page):
    """Path -> content of the files that a page shows, each after a line with its path."""
    return dict(re.findall(r"^`(settings/\S+)`:\n\n```\w+\n(.*?)```", page, flags=re.S | re.M))


@pytest.fixture
def folder(tmp_path, monkeypatch):
    shutil.copytree(FOLDER, tmp_path / "settings")
    for path, content in files_of(PAGE.read_text(encoding="utf-8")).items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    monkeypatch.setattr(sys, "path", list(sys.path))
    for name in ("mine", "lit"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


@pytest.fixture
def sweep(door, folder):
    """A function that sweeps in the folder, which must succeed, and gives its output."""

    def call(story, *arguments):
        code, out, err = door(story, "-m", "-cd", "settings", *arguments)
        assert code == 0, err
        return out

    return call


def test_everything_of_ones_own_through_a_sweep_twice(folder, sweep):
    """First in a process of its own, then in this one: what is hashed is the same in both."""
    arguments = [*MINE, *SHORT, "percent=[50,80]", "target=i2h,both"]
    command = [sys.executable, str(ROOT / "prune.py"), "-m", "-cd", "settings", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0 and "Net" in done.stdout, done.stderr
    (table,) = (folder / "outputs" / "sweeps").glob("prune-*/results.csv")
    rows = pd.read_csv(table)
    assert set(rows["score"]) == {"saliency"} and set(rows["percent"]) == {0, 50}  # the schedule goes one level far
    assert {"train_mae", "val_mae", "test_mae"} < set(rows) and "test_accuracy" not in rows
    logs = list((folder / "outputs").rglob("metrics.csv"))
    assert any("test/mae" in path.read_text() for path in logs)
    changed = {path: path.stat().st_mtime_ns for path in (folder / "outputs").rglob("result.json")}
    assert "2 of 2 jobs were done before" in sweep("prune", *arguments)
    assert changed == {path: path.stat().st_mtime_ns for path in (folder / "outputs").rglob("result.json")}
    page = (table.parent / "report.html").read_text(encoding="utf-8")
    assert "Mean absolute error right after the cut" in page and "within" not in page.partition("<h2>Figures")[0][:100]


def test_a_lightning_module_and_its_data_module_through_a_sweep_twice(folder, sweep):
    arguments = [*LIT, *SHORT, "percent=[50]", "target=h2h,both", "controls=true", "export=torch"]
    sweep("prune", *arguments)
    (table,) = (folder / "outputs" / "sweeps").glob("prune-*/summary.csv")
    rows = pd.read_csv(table)
    assert set(rows["cell"]) == {"Lit"} and rows["cut_val_acc"].between(0, 1).all() and rows["judge"].eq("validation").all()
    assert rows["kept"].tolist() == (rows["total"] / 2).tolist()
    assert "2 of 2 jobs were done before" in sweep("prune", *arguments)


def test_the_page_runs_as_it_stands(folder):
    page = PAGE.read_text(encoding="utf-8")
    (command,) = re.findall(r"^python (prune.py .*)$", page, flags=re.M)
    done = subprocess.run(
        [sys.executable, str(ROOT / "prune.py"), *shlex.split(command)[1:], *SHORT, "percent=[50]"],
        cwd=folder, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0 and "report.html" in done.stdout, done.stderr
    (example,) = [code for code in re.findall(r"```python\n(.*?)```", page, flags=re.S) if "def load(" in code]
    names = {}
    exec(example, names)
    assert [len(split) for split in (names["load"](0).train, names["load"](0).test)] == [120, 60]


def test_graphs_and_regressors_of_ones_own_through_a_search_twice(folder, sweep):
    tiny = [key for key in TINY_SEARCH if not key.startswith(("graph.", "predictor.regressors"))]
    arguments = [*tiny, "logger=none", "graph=mine", "predictor.regressors=[mean,mine.lasso]", "cell=gru,rnn_tanh"]
    sweep("structure_search", *arguments)
    (table,) = (folder / "outputs" / "sweeps").glob("structure_search-*/prediction.csv")
    assert set(pd.read_csv(table)["regressor"]) == {"mean", "mine.lasso"}
    assert "2 of 2 jobs were done before" in sweep("structure_search", *arguments)


def test_edited_code_is_other_code(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder / "settings")
    settings = {"model": {"_target_": "mine.Net", "width": 8}, "seed": 0}
    before = identity(settings)
    assert identity({"model": {"_target_": "mine.Net", "width": 9}}) != before == identity(settings)
    assert "mine" not in sys.modules and source("espalier.nn:SequenceClassifier") is None
    file = folder / "settings" / "mine.py"
    file.write_text(file.read_text() + "\n# edited\n")
    assert identity(settings) != before
    assert short(settings["model"]) == "Net"


def test_a_tolerance_is_another_study_where_the_task_has_its_own(folder):
    plain = {"task": {"_target_": "mine.absolute"}, "regain": {"tolerance": None}}
    assert identity(plain) != identity({**plain, "regain": {"tolerance": 0.01}})
    ours = {"task": {"name": "classify"}, "regain": {"tolerance": None}}
    assert identity(ours) == identity({**ours, "regain": {"tolerance": 0.01}})


def test_keys_of_ones_own_are_not_taken_for_ours(folder, monkeypatch):
    monkeypatch.syspath_prepend(folder / "settings")
    settings = {"data": {"_target_": "mine.load", "train": 120, "path": "word", "files": ["x.csv"], "limit": math.inf}}
    monkeypatch.chdir(folder)
    (folder / "x.csv").write_text("1")
    before = identity(settings)
    (folder / "x.csv").write_text("23")
    assert identity(settings) != before


def test_a_generator_of_a_loader_does_not_run_on_from_training_to_training(folder, sweep):
    file = folder / "settings" / "lit.py"
    text = file.read_text().replace("shuffle=True)", "shuffle=True, generator=self.generator)")
    text = text.replace("self.count, self.batch", "self.generator = torch.Generator()\n        self.count, self.batch", 1)
    file.write_text(text)
    tables = []
    for outputs, percent in (("a", "[30,60]"), ("b", "[60]")):
        sweep("prune", *LIT, *SHORT, "retrain=fixed", f"percent={percent}", f"outputs={outputs}")
        (path,) = (folder / outputs / "prune").glob("*/seed_0/results.csv")
        rows = pd.read_csv(path)
        tables.append(rows[rows["percent"] == 60].drop(columns="seconds").to_csv(index=False))
    assert tables[0] == tables[1]


def test_a_report_again_tells_the_metric(door, tmp_path):
    tiny = ["data=embedded_reber", "data.train_size=120", "data.test_size=40", "model.hidden=[4]", "logger=none"]
    code, _, err = door("prune", "-m", *tiny, "percent=[50]", *SHORT, "cell=gru,rnn_tanh")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    code, out, err = door("prune", f"report={folder}")
    assert code == 0 and "bits per token on test" in out and "has learned nothing" in out, err
    code, _, err = door("prune", "-m", *tiny, *SHORT, "data=embedded_reber,copy")
    assert code == 2 and "the jobs have different tasks" in err and err.count("\n") == 1, err


BAD = [
    (["model=mine", "data=lit", "cell=gru"], "cell=gru: mine.Net does not read it; say cell: ${cell} in its file"),
    (["model=lit", "data=lit"], "lit.Lit makes a LightningModule, which has a loss of its own: add task=logged"),
    ([*LIT, "task.metric=val_f1"], "task.metric=val_f1: Lit logs val_loss, val_acc in validation"),
    ([*LIT, "optimizer.lr=0.1"], "optimizer.lr: a LightningModule configures its own optimizer"),
    (
        ["model=mine", "data=mine", "task=mine", "+model.depth=3"],
        "model: mine.Net cannot be called with features, outputs, width",
    ),
    (["model=mine", "data=mine", "task=classify"], "model=Net, data=load, task=classify do not go together"),
    ([*MINE, "score._target_=mine.salience"], "mine.salience: the module 'mine' has no salience"),
    (
        [*MINE, "schedule._target_=other.one"],
        "other.one: there is no module 'other' in this folder, in that of -cd, or installed",
    ),
    (["model=mine", "data=mine", "task=mine", "data.count=-3"], "do not go together: RuntimeError"),
    ([*MINE, "structure=unit", "score._target_=mine.saliency"], "do not go together"),
]


@pytest.mark.parametrize("arguments, told", BAD)
def test_what_does_not_fit_is_one_line_before_any_training(door, folder, arguments, told):
    code, _, err = door("prune", "-cd", "settings", *arguments, *SHORT)
    assert code == 2 and err.count("\n") == 1 and told in err, err
    assert not list((folder / "outputs").glob("trainings/*/*/result.json"))


def test_units_of_a_network_that_does_not_say_who_reads_them(folder, sweep):
    """Found by running it on the data: pruned, its curve and figures made, shrunk, weighed and rebuilt."""
    code = (folder / "settings" / "mine.py").read_text(encoding="utf-8").replace('self.readers = {"rnn": ["head"]}', "pass")
    code = code.replace("self.head(self.rnn(values)[0][:, -1])", "self.head(torch.cos(self.rnn(values)[0][:, -1]))")
    (folder / "settings" / "mine.py").write_text(code, encoding="utf-8")
    small = ["model=mine", "data=mine", "task=mine", "trainer.max_epochs=1", "retrain.max_epochs=1", "logger=none"]
    sweep("prune", *small, "structure=unit", "percent=[50]", "export=torch", "costs=true")
    (run,) = (folder / "outputs" / "prune").glob("*/seed_0")
    curve, costs = pd.read_csv(run / "curve.csv"), pd.read_csv(run / "costs.csv")
    assert curve["percent"].tolist() == list(range(94)) and set(costs["network"]) == {"dense", "masked", "csr", "shrunk"}
    assert "torch.nn.GRU(2, 4, batch_first=True)" in (run / "export" / "50.py").read_text(encoding="utf-8")

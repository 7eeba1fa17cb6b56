"""Adding to the project takes what the README says, and no test minds."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from helpers import TINY_PRUNE

ROOT = Path(__file__).parents[1]
WEIGHTS = """import torch


def position(weights, generator):
    return {name: torch.arange(weight.numel()).view(weight.shape).float() for name, weight in weights.items()}
"""
UNITS = """import torch


def place(units, context):
    return {one: torch.arange(one.hidden).double() for one in units}
"""


REGRESSOR = """

def lasso(seed):
    from sklearn.linear_model import Lasso

    return Lasso(alpha=1e-4)
"""
SCHEDULE = """from espalier.schedules.keys import whole

KEYS = {"most": (1, whole(1))}


def twice(level, start, percents, run, settings):
    for percent in percents[: settings["most"]]:
        yield run(level(percent, start))
"""
#: Group -> the module of a member that needs no line, what stands there, and its keys.
MEMBERS = {
    "data": ("data.mine", "load", "count: 120"), "task": ("tasks.mine", "absolute", "allowed: 0.2"),
    "model": ("nn.mine", "Net", "width: 6"), "graph": ("graphs.mine", "ring", "graphs: 12\nnodes: [5, 9]"),
}  # fmt: skip


#: Commands of the doors and of pytest, one after the other in one process: [exit code, output, errors] of each.
DOORS = """
import contextlib, io, json, sys
import pytest
from espalier import cli

told = []
for door, *arguments in json.loads(sys.argv[1]):
    sys.argv, out, err, code = [f"{door}.py", *arguments], io.StringIO(), io.StringIO(), 0
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = int(pytest.main(arguments)) if door == "pytest" else getattr(cli, door)() or 0
        except SystemExit as end:
            code = end.code or 0
    told.append((code, out.getvalue(), err.getvalue()))
print(json.dumps(told))
"""


def copy_of_the_project(folder):
    """A copy of the project, and a function that runs Python in it."""
    for name in ("src", "conf", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prune.py", "train.py", "structure_search.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    with (folder / "src" / "espalier" / "analysis" / "drawing.py").open("a") as file:
        file.write("\n\ndef rendered(figure):\n    return {}\n")  # nobody looks at the figures of the copy

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)

    return run


def doors(run, *commands):
    """(exit code, standard output, standard error) of every command, given in the copy."""
    done = run("-c", DOORS, json.dumps(commands))
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def register(names, **lines):
    """Add a line to registries. lines: registry -> (name, place)."""
    text = names.read_text(encoding="utf-8")
    for registry, (name, place) in lines.items():
        assert f"{registry} = {{\n" in text
        text = text.replace(f"{registry} = {{\n", f'{registry} = {{\n    "{name}": "{place}",\n')
    names.write_text(text, encoding="utf-8")


def test_other_members_are_one_file_one_yaml_and_at_most_one_line(tmp_path):
    run, package = copy_of_the_project(tmp_path), tmp_path / "src" / "espalier"
    for group, (module, name, keys) in MEMBERS.items():
        shutil.copy(ROOT / "tests" / "own" / "settings" / "mine.py", package / f"{module.replace('.', '/')}.py")
        yaml = f"_target_: espalier.{module}.{name}\n{keys}\n"
        (tmp_path / "conf" / group / "mine.yaml").write_text(yaml)
    (package / "schedules" / "twice.py").write_text(SCHEDULE)
    (tmp_path / "conf" / "schedule" / "twice.yaml").write_text("name: twice\nmost: 1\n")
    with (package / "analysis" / "regressors.py").open("a") as file:
        file.write(REGRESSOR)
    register(
        package / "names.py", SCHEDULES=("twice", "espalier.schedules.twice:twice"),
        REGRESSORS=("lasso", "espalier.analysis.regressors:lasso"),
    )  # fmt: skip
    fast = ["logger=none", "trainer.max_epochs=1", "device=cpu"]
    ours = ["data=mine", "task=mine", "model=mine", "schedule=twice", "percent=[20,40,60]", "retrain.max_epochs=1"]
    wired = ["processes=1", "graph=mine", "predictor.regressors=[lasso]", "dense=0", "data.train_size=120", "data.test_size=40"]
    pruned, refused, searched = doors(
        run, ["prune", *fast, *ours], ["prune", *fast, *ours, "schedule.most=0"], ["structure_search", *fast, *wired]
    )
    assert pruned[0] == 0, pruned[2]
    (summary,) = (tmp_path / "outputs" / "prune").rglob("summary.csv")
    lines = summary.read_text().splitlines()
    assert len(lines) == 2 and "test_mae" in lines[0]
    assert refused[0] == 2 and "schedule.most must be a whole number, at least 1, got 0" in refused[2]
    assert searched[0] == 0, searched[2]
    (table,) = (tmp_path / "outputs" / "structure_search").rglob("prediction.csv")
    assert "lasso" in table.read_text()


def test_a_score_is_one_file_one_line_and_one_yaml(tmp_path):
    run = copy_of_the_project(tmp_path)
    pruning, names = tmp_path / "src" / "espalier" / "pruning", tmp_path / "src" / "espalier" / "names.py"
    (pruning / "scores" / "position.py").write_text(WEIGHTS)
    (pruning / "unit_scores" / "place.py").write_text(UNITS)
    for registry, name, folder in (("WEIGHT_SCORES", "position", "scores"), ("UNIT_SCORES", "place", "unit_scores")):
        register(names, **{registry: (name, f"espalier.pruning.{folder}.{name}:{name}")})
        (tmp_path / "conf" / "score" / f"{name}.yaml").write_text(f"# @package _global_\nscore: {name}\n")

    fast = [*TINY_PRUNE, "cell=gru", "curve=false", "logger=none", "percent=[50]", "retrain.max_epochs=0"]
    good = (["score=position"], ["score=place", "structure=unit"])
    bad = {"add structure=unit": ["score=place"], "add structure=weight": ["score=position", "structure=unit"]}
    refused = [["prune", *fast, *more, "outputs=refused"] for more in bad.values()]
    tests = ["pytest", "-q", "-p", "no:cacheprovider", "tests/test_cli.py", "-k", "conf_composes or score"]
    done = doors(run, *(["prune", *fast, *more] for more in good), *refused, tests)
    for name, (code, _, err) in zip(("position", "place"), done[:2]):
        assert code == 0 and list((tmp_path / "outputs" / "prune").glob(f"*{name}*")), err
    for told, (code, _, err) in zip(bad, done[2:4]):
        assert code == 2 and told in err and not (tmp_path / "refused").exists(), err
    code, out, _ = done[-1]
    assert code == 0, out


def test_a_score_of_a_yaml_alone_is_refused_before_the_base_is_trained(door, tmp_path):
    (tmp_path / "settings" / "score").mkdir(parents=True)
    (tmp_path / "settings" / "score" / "mine.yaml").write_text("# @package _global_\nscore: mine\n")
    for more in ([], ["structure=unit"]):
        code, _, err = door("prune", "-cd", "settings", *TINY_PRUNE, "score=mine", *more)
        assert code == 2 and err.count("\n") == 1 and "score must be one of magnitude, " in err and "got 'mine'" in err
    assert not (tmp_path / "outputs").exists()

"""Adding to the project takes what the README says, and no test minds."""

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


def test_a_score_is_one_file_one_line_and_one_yaml(tmp_path):
    for name in ("src", "conf", "tests", "benchmarks"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("prune.py", "train.py", "structure_search.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    pruning, names = tmp_path / "src" / "espalier" / "pruning", tmp_path / "src" / "espalier" / "names.py"
    (pruning / "scores" / "position.py").write_text(WEIGHTS)
    (pruning / "unit_scores" / "place.py").write_text(UNITS)
    text = names.read_text(encoding="utf-8")
    for registry, name, folder in (("WEIGHT_SCORES", "position", "scores"), ("UNIT_SCORES", "place", "unit_scores")):
        line = f'    "{name}": "espalier.pruning.{folder}.{name}:{name}",\n'
        text = text.replace(f"{registry} = {{\n", f"{registry} = {{\n{line}")
        (tmp_path / "conf" / "score" / f"{name}.yaml").write_text(f"# @package _global_\nscore: {name}\n")
    names.write_text(text)

    def run(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(tmp_path / "src")}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)

    fast = [*TINY_PRUNE, "cell=gru", "curve=false", "logger=none", "percent=[50]", "retrain.max_epochs=0"]
    for more in (["score=position"], ["score=place", "structure=unit"]):
        done = run("prune.py", *fast, *more)
        assert done.returncode == 0, done.stderr
        assert more[0].partition("=")[2] in next((tmp_path / "outputs" / "prune").glob(f"*{more[0][6:]}*")).name
    for more, told in ((["score=place"], "add structure=unit"), (["score=position", "structure=unit"], "add structure=weight")):
        done = run("prune.py", *fast, *more, "outputs=refused")
        assert done.returncode == 2 and told in done.stderr and not (tmp_path / "refused").exists(), done.stderr
    done = run("-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/test_cli.py", "-k", "conf_composes or score")
    assert done.returncode == 0, done.stdout


def test_a_score_of_a_yaml_alone_is_refused_before_the_base_is_trained(door, tmp_path):
    (tmp_path / "settings" / "score").mkdir(parents=True)
    (tmp_path / "settings" / "score" / "mine.yaml").write_text("# @package _global_\nscore: mine\n")
    for more in ([], ["structure=unit"]):
        code, _, err = door("prune", "-cd", "settings", *TINY_PRUNE, "score=mine", *more)
        assert code == 2 and err.count("\n") == 1 and "score must be one of magnitude, " in err and "got 'mine'" in err
    assert not (tmp_path / "outputs").exists()

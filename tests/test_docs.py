"""The pages of docs/ run and are built, and the reference names everything public."""

import inspect
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import espalier
from espalier import names
from espalier.pruning.c.check import compiler

DOCS = Path(__file__).parents[1] / "docs"


def test_prune_your_own_lstm_runs_from_model_to_onnx(monkeypatch, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "your-own-lstm.md").read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 8
    scope = {}
    for block in blocks:
        exec(block, scope)
    said = capsys.readouterr().out
    for line in (
        "Masks(6554 of 32768 weights kept in 2 tensors)",
        "rnn, layer 0: 16 of 64 units stay",
        "LSTM(8, 16, num_layers=2",
    ):
        assert line in said, line
    assert {path.name for path in tmp_path.iterdir()} == {"tagger.onnx", "tagger.pt", "tagger.py"}
    fresh = {"model": scope["Tagger"]()}
    exec((tmp_path / "tagger.py").read_text(encoding="utf-8"), fresh)
    assert fresh["model"](scope["x"]).equal(scope["small"](scope["x"]))


@pytest.mark.skipif(compiler() is None, reason="no C compiler")
def test_one_c_file_runs_from_a_gru_to_a_program(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    page = (DOCS / "in-c.md").read_text(encoding="utf-8")
    (code,), (program,) = (re.findall(rf"```{kind}\n(.*?)```", page, flags=re.S) for kind in ("python", "c"))
    scope = {}
    exec(code, scope)
    assert len(program.strip().splitlines()) <= 16
    (tmp_path / "main.c").write_text(program)
    lines = re.search(r"```sh\n(cc .*?)```", page, flags=re.S).group(1)
    said = subprocess.run(["sh", "-ec", lines], capture_output=True, text=True, check=True).stdout
    told = [[float(one) for one in line.split(":")[1].split()] for line in said.splitlines()]
    expected = scope["model"](scope["torch"].tensor([list(b"espalier")])).tolist()[0]
    assert np.allclose(told, expected, atol=2e-6)
    (small,) = espalier.export(scope["model"], "small.c", quantize="int8", say=None)
    for count in (scope["row"]["bytes"], small["bytes"], small["stack_step"]):
        assert f"{count:,}" in page


def test_the_page_of_columns_names_every_column():
    """Of every table that the project writes, `accuracy` and `acc` standing for any metric."""
    from espalier.analysis.correlation import COLUMNS
    from espalier.studies.graph_trainings import columns, dense_columns
    from espalier.studies.prune import SURVIVORS
    from espalier.studies.ship import COSTS
    from espalier.studies.train import columns as epochs
    from espalier.tasks import ACCURACY

    page = (DOCS / "columns.md").read_text(encoding="utf-8")
    told = set(re.findall(r"`(\w+)`", page))
    summary = (
        "judge kept total base_zeros regain_epoch regain_step censored best_epoch epochs spent seconds judge_error".split()
    )
    summary += [f"{what}_{split}_accuracy" for what in ("base", "cut", "best") for split in ("val", "test")]
    search = [name.replace("_acc", "_accuracy") for name in (*columns(ACCURACY), *dense_columns(ACCURACY))]
    for name in (*SURVIVORS, *COSTS, *epochs(ACCURACY), *summary, *search, *COLUMNS, "variant", "epoch"):
        assert name.replace("accuracy", "METRIC") in told, name


def test_the_reference_names_everything_public_and_all_of_it_is_said():
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    targets = re.findall(r"^::: (\S+)$", page, flags=re.M)
    for name in espalier._FROM:
        assert f"{getattr(espalier, name).__module__}.{name}" in targets, name
    for registry in (names.WEIGHT_SCORES, names.SCHEDULES, names.TASKS):
        assert {place.partition(":")[0] for place in registry.values()} <= set(targets)
    for target in targets:
        assert inspect.getdoc(pkgutil.resolve_name(target)), target


def test_the_pages_are_built(tmp_path):
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=DOCS.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "api.html").read_text(encoding="utf-8")
    for name in ("espalier.pruning.prune.prune", "Masks.attached", "espalier.learning.runner.Runner"):
        assert name in page

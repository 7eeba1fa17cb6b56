"""The pages of docs/ run, and the reference is what the docstrings say."""

import importlib.util
import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[1] / "docs"


def test_prune_your_own_lstm_runs_from_model_to_onnx(monkeypatch, tmp_path, capsys):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", (DOCS / "your-own-lstm.md").read_text(encoding="utf-8"), flags=re.S)
    assert len(blocks) == 7
    names = {}
    for block in blocks:
        exec(block, names)
    said = capsys.readouterr().out
    for line in (
        "Masks(6554 of 32768 weights kept in 2 tensors)",
        "rnn, layer 0: 16 of 64 units stay",
        "LSTM(8, 16, num_layers=2",
    ):
        assert line in said, line
    assert {path.name for path in tmp_path.iterdir()} == {"tagger.onnx", "tagger.pt", "tagger.py"}
    fresh = {"model": names["Tagger"]()}
    exec((tmp_path / "tagger.py").read_text(encoding="utf-8"), fresh)
    assert fresh["model"](names["x"]).equal(names["small"](names["x"]))


def test_the_reference_is_what_the_docstrings_say():
    spec = importlib.util.spec_from_file_location("make_api", DOCS / "make_api.py")
    make_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_api)
    page = (DOCS / "api.md").read_text(encoding="utf-8")
    assert page == make_api.page(), "run python docs/make_api.py"
    for name in ("espalier.prune(", "espalier.shrink(", "espalier.export(", "espalier.graphs.properties(", "Masks.attached("):
        assert name in page
    empty = re.findall(r"### `([^`]*)`\n\n```text\n\n```", page)
    assert not empty, empty

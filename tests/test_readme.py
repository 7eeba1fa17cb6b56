"""Every command and every block of Python in the README runs."""

import re
import shlex
from pathlib import Path

import pytest
import torch
from helpers import TINY, TINY_PRUNE, TINY_SEARCH, series, ts, write_idx

from espalier import SequenceClassifier

README = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.S)
COMMANDS = sorted({
    command.split("#")[0].strip()
    for command in re.findall(r"python ((?:train|prune|structure_search)\.py [^`\n│|]*)", README)
    # test_own.py runs that with model=lit, test_elsewhere.py those that tell of runs, and another sweeper of Hydra's.
    if not any(word in command for word in ("--help", "report=", "list=", "model=lit", "hydra/sweeper=optuna"))
})  # fmt: skip


def test_commands_were_found():
    assert len(COMMANDS) >= 7 and any("thesis_pruning" in command for command in COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(door, tmp_path, command):
    script, *arguments = shlex.split(command)
    if "base=path/to/model.pt" in arguments:
        path = tmp_path / "path" / "to" / "model.pt"
        path.parent.mkdir(parents=True)
        torch.save(SequenceClassifier("lstm", (6, 5)).state_dict(), path)
    if any("train.csv" in argument for argument in arguments):
        for name, first in (("train", 0), ("test", 200)):
            rows = "".join(f"{'AB'[k % 2]}{k},{k % 2}\n" for k in range(first, first + 160))
            (tmp_path / f"{name}.csv").write_text("string,valid\n" + rows)
    for name, seed in (("TRAIN.ts", 0), ("TEST.ts", 1)) if "data=sequences" in arguments else ():
        (tmp_path / name).write_text(ts(*series(seed)))
    for name, first in (("a.csv", 0), ("b.csv", 200)) if "data=strings_csv" in arguments else ():
        rows = "".join(f"{'AB'[k % 2]}{k},{'yes' if k % 2 else 'no'}\n" for k in range(first, first + 160))
        (tmp_path / name).write_text("string,label\n" + rows)
    if "data=text" in arguments:
        (tmp_path / "input.txt").write_text("to be or not to be, that is the question; " * 60)
    if "experiment=mine" in arguments:
        arguments = ["-cd", "settings", *(a for a in arguments if a not in ("-cd", "settings"))]
        arguments = ["-m", *(a for a in arguments if a != "-m")]
        (tmp_path / "settings" / "experiment").mkdir(parents=True)
        (yaml,) = [code for language, code in BLOCKS if language == "yaml"]
        (tmp_path / "settings" / "experiment" / "mine.yaml").write_text(yaml)
        arguments.append("seed=0")
    if arguments[0] == "-m" and script == "structure_search.py":  # two cells show as much as four
        arguments = [argument.replace("rnn_tanh,rnn_relu,gru,lstm", "rnn_tanh,gru") for argument in arguments]
        arguments += ["cell=gru"] if "experiment=thesis_structure" in arguments else []
    if "experiment=thesis_pruning" in arguments:
        arguments += ["cell=rnn_tanh,lstm", "target=i2h,h2h"]
    tiny = {"train.py": TINY, "prune.py": [*TINY_PRUNE, "curve=false"], "structure_search.py": TINY_SEARCH}[script]
    if "results=table.csv" in arguments:
        door("structure_search", "logger=none", *TINY_SEARCH)
        (table,) = tmp_path.rglob("structure_search/**/results.csv")
        (tmp_path / "table.csv").write_bytes(table.read_bytes())
    if "predict=100" in arguments:
        door("structure_search", "cell=gru", "logger=none", *TINY_SEARCH)
    if script == "prune.py" and "percent" not in command:
        tiny = [*tiny, "percent=[50]"]
    if "data=mnist" in arguments:
        (tmp_path / "DIR").mkdir()
        write_idx(tmp_path / "DIR", "train", 200)
        write_idx(tmp_path / "DIR", "t10k", 100)
        arguments = [argument for argument in arguments if not argument.startswith("seed=")]
    if "experiment=ffn_methods" in arguments:
        arguments += ["score=random,obd", "scope=layer", "schedule=one_shot"]
    if "experiment=ffn_weights_vs_units" in arguments:
        arguments += ["modules=[layers.0]", "costs=false"]
    if "experiment=redundant_units" in arguments:
        arguments += ["data.length=600", "costs=false"]
    if "data=text" in arguments or "experiment=redundant_units" in arguments:  # which have no number of examples
        tiny = [key for key in tiny if not key.endswith("_size=160") and not key.endswith("_size=80")]
    code, out, err = door(script.removesuffix(".py"), *arguments, "logger=none", *tiny)
    assert code == 0, err
    assert "Tables: " in out


def test_python_blocks(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    names = {}
    blocks = [code for language, code in BLOCKS if language == "python"]
    assert len(blocks) >= 2
    for code in blocks:
        exec(code, names)
    kept = names["masks"]
    assert all(not parameter[~kept[name]].any() for name, parameter in names["model"].named_parameters() if name in list(kept))


def test_make_runs_the_command_of_the_readme():
    makefile = (Path(__file__).parents[1] / "Makefile").read_text(encoding="utf-8")
    assert "prune.py -m cell=lstm,gru target=i2h,h2h,both experiment=quick" in makefile
    assert "prune.py -m cell=lstm,gru target=i2h,h2h,both experiment=quick" in README

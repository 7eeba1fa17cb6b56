"""The doors, as a user meets them."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from helpers import TINY, TINY_PRUNE

from espalier import cli
from espalier import overrides as command_line
from espalier.names import UNIT_SCORES, WEIGHT_SCORES

ROOT = Path(__file__).parents[1]
FAST = [*TINY_PRUNE, "curve=false", "logger=none"]


@pytest.mark.parametrize(
    "overrides, told",
    [
        (["cell=lstmm"], "cell=lstmm is unknown; there are gru, lstm, rnn_relu, rnn_tanh"),
        (["target=foo"], "Invalid value 'foo', expected one of [i2h, h2h, both, linear, all]"),
        (["scope=foo"], "expected one of [global, layer, tensor, gate]"),
        (["score=foo"], f"score=foo is unknown; there are {', '.join(sorted({*UNIT_SCORES, *WEIGHT_SCORES}))}"),
        (["score=taylor"], "score=taylor ranks hidden units: add structure=unit"),
        (["percent=101"], "percent must be from 0 to 100, got 101"),
        (["percent=-5"], "percent must be from 0 to 100, got -5"),
        (["percent=many"], "percent must be a number"),
        (["percent=[10,x]"], "percent must be a number"),
        (["percent=[]"], "at least one level"),
        (["percent=nan"], "percent must be from 0 to 100"),
        (["percnt=10"], "percnt is no key here, but percent is; --help lists those that there are"),
        (["model.hiden=10"], "model.hiden is no key here, but model.hidden is; --help"),
        (["regain.max_epochs=10"], "but trainer.max_epochs, retrain.max_epochs are"),
        (["lr=0.1"], "lr is no key here, but optimizer.lr is;"),
        (["optimizer.x=0.1"], "optimizer.x is no key here, but optimizer.name, optimizer.lr, optimizer.weight_decay are"),
        (["color=red"], "color is no key here; --help lists those that there are"),
        (["data={a: 1}"], "data.a is no key here"),
        (["safe=3"], "safe=3: safe stands for safe.tolerance, safe.by"),
        (["regain=[1]"], "regain=[1]: regain stands for regain.tolerance, regain.patience"),
        (["trainer.plateau=half"], "trainer.plateau takes keys with values, {key: value}, got 'half'"),
        (["gates=3"], "gates takes keys with values, {key: value}, got 3"),
        (["score={a: 1}"], "score._target_ must be an import path"),
        (["score=[[1]]"], "score=[1] is unknown; there are"),
        (["export=3"], "export must be among c, c_int8, int8, onnx, torch, got 3"),
        (["outputs="], "outputs must name a folder"),
        (["outputs=/tmp/a[1]"], """put the value in quotes, 'outputs="/tmp/a[1]"'"""),
        (["data.validation_fraction=0.999"], "examples leaves none to train on; lower it"),
        (["schedule=fixed_number", "schedule.weights=9", "structure=unit"], "schedule=fixed_number counts single weights"),
        (["structure=block", "block=8"], "block must be [rows, columns], both positive, got [8]"),
        (["cell=gru,lstm"], "cell=gru,lstm names several values: add -m for a job for each"),
        (["percent=50,90"], "add -m for a job for each, or write percent=[50,90] for one job with all of them"),
        (["optimizer=sgd"], "optimizer=sgd is unknown; there is adam; optimizer.name takes adam, adamw, sgd, rmsprop"),
        (["regain.patience=0"], "regain.patience must be positive"),
        (
            ["retrain.max_epochs=1", "retrain.checks_per_epoch=1"],
            "regain.patience=2 looks in a row can never be back in 1 of them",
        ),
        (["optimizer.lr=0"], "optimizer.lr must be positive"),
        (["optimizer.lr=-1"], "optimizer.lr must be positive"),
        (["optimizer.name=magic"], "adam, adamw, sgd, rmsprop"),
        (["data.batch_size=0"], "data.batch_size must be positive"),
        (["data.batch_size=2.5"], "2.5"),
        (["trainer.max_epochs=0"], "trainer.max_epochs must be positive"),
        (["regain.tolerance=-1"], "regain.tolerance must not be negative"),
        (["data=reber_csv"], "data.train=FILE"),
        (["data=reber_csv", "data.train=no.csv", "data.test=no.csv"], "no.csv: cannot be read"),
        (["data.shares.near=0.9"], "sum to 1"),
        (["base=none.pt"], "base=none.pt"),
        (["+foo=1"], "nothing reads foo"),
        (["data.train=x.csv", "data.test=x.csv"], "data.train"),
        (["data=reber_csv", "data.min_length=9"], "data.min_length"),
        (
            ["data.name=magic"],
            "strings_csv, sequences, text, adding, copy, embedded_reber, got 'magic'",
        ),
        (["device=cuda:99"], "use device=cpu"),
        (["device=tpu"], "device must be"),
        (["threads=0"], "threads must be positive"),
        (["experiment=thesis_pruning", "--config-dir", "."], "python prune.py -m data.train_size=160"),
        (
            ["experiment=thesis_pruning", "--config-dir", "."],
            " curve=false logger=none experiment=thesis_pruning --config-dir .",
        ),
    ],
)
def test_bad_input_is_one_line_before_training(door, tmp_path, overrides, told):
    code, out, err = door("prune", *FAST, *overrides)
    assert code == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and told in err, err
    assert not list(tmp_path.rglob("result.json"))


def test_a_list_of_one_needs_no_brackets(door):
    code, out, err = door("prune", "model.hidden=6", "modules=head", "--cfg", "job")
    assert code == 0 and "hidden:\n  - 6\n" in out and "modules:\n- head\n" in out, err
    sweep = ["-m", "model.hidden=6,8", "model.hidden=[6,8],[8]", "modules=null", "cell=gru,lstm"]
    assert command_line.checked(sweep, "prune", ("prune",), cli.conf()) == ["-m", "model.hidden=[6],[8]", *sweep[2:]]


@pytest.mark.parametrize(
    "override, told",
    [
        ("percent=10,200", "percent must be from 0 to 100, got 200"),
        ("optimizer.lr=0.1,high", "optimizer.lr=high: Value 'high' of type 'str' could not be converted to Float"),
        ("lr=0.1,0.2", "lr is no key here, but optimizer.lr is; --help lists those that there are"),
        ("safe=1,2", "safe=1: safe stands for safe.tolerance, safe.by"),
        (
            "safe.by=curve,levels",
            "safe.* changes what is said of a run, not the run: give one value, and others with report=FOLDER",
        ),
    ],
)
def test_a_sweep_with_a_bad_job_starts_none(door, tmp_path, override, told):
    code, _, err = door("prune", "-m", *FAST, override)
    assert code == 2 and err == f"error: {told}\n"
    assert not list(tmp_path.rglob("*.log"))


def test_a_csv_of_ones_own_from_strings_to_table(door, tmp_path):
    strings = [f"{'AB'[k % 2]}{'XY' * (k % 7)}{k}" for k in range(120)]
    for name, part in (("train", strings[:80]), ("test", strings[80:])):
        with open(tmp_path / f"{name}.csv", "w", newline="") as file:
            csv.writer(file).writerows([("string", "valid"), *((text, int(text[0] == "A")) for text in part)])
    data = ["data=reber_csv", "data.train=train.csv", "data.test=test.csv"]
    code, out, err = door("prune", *FAST, *data, "data.train_size=null", "data.test_size=null", "percent=[50]", "cell=rnn_relu")
    assert code == 0, err
    assert "rnn_relu" in out and "safe percent" in out and "RNN-ReLU: " in out and "Tables: " in out


def test_a_sweep_ends_in_joined_tables_sentences_and_exit_code(door, tmp_path):
    sweep = ["-m", *FAST, "cell=rnn_tanh,gru", "target=i2h,h2h", "percent=[50,100]", "logger=tensorboard"]
    code, out, err = door("prune", *sweep)
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    rows = list(csv.DictReader((folder / "summary.csv").open()))
    assert len(rows) == 8 and {(row["cell"], row["target"]) for row in rows} == {
        (cell, target) for cell in ("rnn_tanh", "gru") for target in ("i2h", "h2h")
    }
    assert len({row["percent"] for row in csv.DictReader((folder / "results.csv").open())}) == 3
    assert {path.name for path in (folder / "figures").glob("*.png")} == {"accuracy.png", "regain.png", "survivors.png"}
    events = list((tmp_path / "outputs" / "prune").rglob("events*"))
    assert len(events) == 4
    for path in events:  # what the command line sets, and nothing that it leaves as it is
        content = path.read_bytes()
        assert b"retrain.max_epochs" in content and b"model.hidden" in content and b"optimizer.weight_decay" not in content
    assert "RNN-tanh: " in out and "GRU: " in out and "tensorboard --logdir outputs" in out and str(folder.name) in out
    assert re.search(r"\[4/4\] .*level 100 %: .*left\)", err)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "prune").rglob("*.csv")}
    code, out, _ = door("prune", *sweep)
    assert code == 0 and "4 of 4 jobs were done before" in out
    assert before == {path: path.stat().st_mtime_ns for path in before}


def test_a_failing_job_stops_no_other(door, tmp_path):
    sweep = ["-m", *FAST, "cell=rnn_relu", "percent=[50]", "optimizer.lr=1e30,1e-3"]
    code, out, _ = door("prune", *sweep)
    assert code == 1 and "RNN-ReLU" in out
    (failure,) = [line for line in out.splitlines() if line.startswith("failed: ")]
    assert failure.startswith("failed: optimizer.lr=1e+30: training diverged in epoch 1") and "lower optimizer.lr" in failure
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert len(list(csv.DictReader((folder / "runs.csv").open()))) == 2
    assert "training diverged" in (folder / "report.html").read_text(encoding="utf-8")
    (log,) = [
        path for path in tmp_path.glob("outputs/trainings/*/*/training.log") if "diverged" in path.read_text(encoding="utf-8")
    ]
    assert not (log.parent / "result.json").exists()
    code, out, _ = door("prune", *sweep)
    assert code == 1 and "1 of 2 jobs was done before" in out


def test_bad_bases_and_data_end_a_sweep_before_its_jobs(door, tmp_path):
    torch.save({"nothing": 1}, tmp_path / "bad.pt")
    code, _, err = door("prune", "-m", *FAST, "cell=gru", "percent=[50]", "base=null,bad.pt")
    assert code == 2 and err.startswith("error: base bad.pt") and not list(tmp_path.rglob("*.log"))
    code, _, err = door("prune", "-m", *FAST, "data=reber_csv", "data.train=no.csv", "data.test=no.csv", "target=i2h,h2h")
    assert code == 2 and err.count("\n") == 1 and "no.csv" in err


def test_whatever_is_swept_is_told_apart(door, tmp_path):
    code, out, err = door("prune", "-m", *FAST, "cell=gru", "percent=50,90", "seed=0,1", "data.batch_size=16,8")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    summary = list(csv.DictReader((folder / "summary.csv").open()))
    assert {row["variant"] for row in summary} == {"data.batch_size=16", "data.batch_size=8"} and len(summary) == 8
    results = list(csv.DictReader((folder / "results.csv").open()))
    assert sum(row["percent"] == "0" for row in results) == 4  # one base per seed and batch size, not one per level
    assert "data.batch_size=16" in out


def test_another_tolerance_of_the_sentences_trains_nothing_again(door, tmp_path):
    sweep = ["-m", *FAST, "cell=gru", "target=i2h,h2h", "percent=[50]"]
    code, out, err = door("prune", *sweep, "safe.tolerance=0.3")
    assert code == 0 and "within 0.3 of the base" in out, err
    code, out, err = door("prune", *sweep, "safe.tolerance=0.4")
    assert code == 0 and "2 of 2 jobs were done before" in out and "within 0.4 of the base" in out
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert json.loads((folder / "sweep.json").read_text(encoding="utf-8"))["safe"] == {"tolerance": 0.4, "by": "curve"}
    code, out, err = door("prune", f"report={folder}")
    assert code == 0 and "within 0.4 of the base" in out, err  # what the sweep was told with
    code, out, err = door("prune", f"report={folder}", "safe.tolerance=0.2")
    assert code == 0 and "within 0.2 of the base" in out, err


def test_runs_of_before_are_reported_still(door, tmp_path):
    """Their config.yaml has keys of every kind of data, their results do not say which levels there are, and have no seal."""
    code, _, err = door("prune", *FAST, "cell=gru", "percent=[50]")
    assert code == 0, err
    (run,) = (tmp_path / "outputs" / "prune").glob("*/seed_0")
    text = (run / "config.yaml").read_text(encoding="utf-8")
    (run / "config.yaml").write_text(text.replace("data:\n", "data:\n  train: null\n  test: null\n"), encoding="utf-8")
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    text = (run / "config.yaml").read_text(encoding="utf-8")
    assert "  patience: 2\n" in text and "  by: curve\n" in text
    (run / "config.yaml").write_text(text.replace("  patience: 2\n", "").replace("  by: curve\n", ""), encoding="utf-8")
    del result["percents"], result["sha256"], result["files"]["config.yaml"]
    (run / "result.json").write_text(json.dumps(result), encoding="utf-8")
    code, out, err = door("prune", f"report={run}")
    assert code == 0 and "safe percent" in out, err
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "looks in a row" not in page and "of all whole ones" not in page  # which they did not have


def test_a_sweep_of_before_is_told_with_the_tolerance_of_its_runs(door, tmp_path):
    code, _, err = door("prune", "-m", *FAST, "cell=gru", "percent=[50]", "safe.tolerance=0.3")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    about = json.loads((folder / "sweep.json").read_text(encoding="utf-8"))
    del about["safe"], about["sha256"], about["files"]
    (folder / "sweep.json").write_text(json.dumps(about), encoding="utf-8")
    code, out, err = door("prune", f"report={folder}")
    assert code == 0 and "within 0.3 of the base" in out, err


def test_a_percent_that_looks_like_a_share_is_said_before_work(door):
    code, _, err = door("prune", *FAST, "cell=gru", "percent=0.8", "retrain.max_epochs=0")
    assert code == 0 and err.startswith("note: percent=0.8 removes 0.8 % of the weights; for 80 % say 80\n"), err
    code, _, err = door("prune", "-m", *FAST, "cell=gru", "percent=0.8", "target=i2h,h2h", "retrain.max_epochs=0")
    assert code == 0 and err.count("for 80 % say 80") == 1


def test_train_alone(door, tmp_path):
    code, out, err = door("train", *TINY, "cell=rnn_relu", "logger=none")
    assert code == 0, err
    assert "best epoch" in out and "trigram" in out
    assert len(list((tmp_path / "outputs" / "train").rglob("best.pt"))) == 1
    code, out, err = door("train", *TINY, "cell=rnn_relu", "logger=none")
    assert code == 0 and "done before" in err


def test_an_experiment_of_another_door_is_told(door):
    code, _, err = door("train", "experiment=thesis_pruning")
    assert code == 2 and err.count("\n") == 1 and "thesis_pruning" in err


def test_an_unwritable_folder_is_told(door, tmp_path):
    (tmp_path / "file").write_text("")
    code, _, err = door("prune", *FAST, "outputs=file/inside")
    assert code == 2 and "file/inside" in err and err.count("\n") == 1


@pytest.mark.parametrize("arguments", [["--help"], ["target=foo"]])
def test_help_and_errors_answer_without_loading_torch(arguments):
    code = f"import sys; sys.argv = ['prune.py', *{arguments!r}]\n"
    code += "from espalier.cli import prune\ntry: prune()\nexcept SystemExit: pass\n"
    done = subprocess.run([sys.executable, "-c", code + "assert 'torch' not in sys.modules"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_tables_and_reports_load_no_torch():
    code = "import sys; from espalier import cli, tasks; from espalier.studies import collect, search_table\n"
    code += "tasks.load({'name': 'classify'}).metric; assert 'torch' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

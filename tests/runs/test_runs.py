import json
import logging

import pytest
import torch
from helpers import tiny_config

from espalier.errors import InputError
from espalier.learning.training import place
from espalier.runs import files, pace, progress
from espalier.runs.identity import identity, plain
from espalier.runs.pace import Pace
from espalier.runs.progress import Progress, clock
from espalier.runs.run import Run
from espalier.runs.seeds import generator, seeded, stream
from espalier.settings import PruneConfig, Reber, Regain, Safe, Structure, StructureConfig, TrainConfig
from espalier.studies.plan import base_run, base_training, prune_run


def test_golden_hashes():
    """A change here means that no old run is found again: raise FORMAT only when results change."""
    assert identity(plain(TrainConfig())) == "01ec0929"
    assert identity(plain(PruneConfig(regain=Regain(patience=1)))) == "6a1f0c7b"  # as it was before looks were confirmed
    assert identity(plain(StructureConfig())) == "7b6fa135"


def test_numbers_are_normalised():
    same = [identity(plain(PruneConfig(percent=percent))) for percent in (10, 10.0, [10], [10.0, 10])]
    assert len(set(same)) == 1
    assert identity(plain(PruneConfig(percent=[10, 20]))) == identity(plain(PruneConfig(percent=[20, 10])))
    assert identity(plain(PruneConfig(percent=[10, 20]))) != same[0]


@pytest.mark.parametrize("changes", [dict(outputs="x"), dict(force=True), dict(device="cpu"), dict(threads=2), dict(seed=3)])
def test_what_does_not_change_results_is_outside(changes):
    assert identity(plain(PruneConfig(**changes))) == identity(plain(PruneConfig()))


@pytest.mark.parametrize(
    "changes",
    [
        dict(safe=Safe(0.2)),
        dict(block=[8, 4]),
    ],
)
def test_keys_that_change_nothing_here_are_outside(changes):
    assert identity(plain(PruneConfig(**changes))) == identity(plain(PruneConfig()))


def test_they_are_inside_where_they_do():
    assert identity(plain(PruneConfig(structure=Structure.block, block=[8, 4]))) != identity(
        plain(PruneConfig(structure=Structure.block))
    )
    assert identity(plain(TrainConfig(data=Reber(min_length=5)))) != identity(plain(TrainConfig()))


@pytest.mark.parametrize("changes", [dict(cell="gru"), dict(percent=[5]), dict(curve=False), dict(score="random")])
def test_what_changes_results_is_inside(changes):
    assert identity(plain(PruneConfig(**changes))) != identity(plain(PruneConfig()))


def test_files_enter_by_content(tmp_path):
    one, two = tmp_path / "one.pt", tmp_path / "two.pt"
    one.write_bytes(b"weights"), two.write_bytes(b"weights")
    first = identity(plain(PruneConfig(base=str(one))))
    assert first == identity(plain(PruneConfig(base=str(two))))
    two.write_bytes(b"others")
    assert first != identity(plain(PruneConfig(base=str(two))))
    with pytest.raises(InputError, match=r"base=.*none.pt"):
        identity(plain(PruneConfig(base=str(tmp_path / "none.pt"))))


def test_the_base_of_a_pruning_job_is_the_training_of_train_py(tmp_path):
    prune, train = tiny_config(tmp_path), tiny_config(tmp_path, TrainConfig)
    assert base_run(prune).directory == place(base_training(train), train.outputs, train.seed).directory
    assert base_run(tiny_config(tmp_path, base="x.pt")) is None
    assert prune_run(prune).directory.parts[-3:-1] == ("prune", prune_run(prune).name)
    assert prune_run(prune).directory.name == "seed_0"


def test_streams_depend_on_seed_and_purpose():
    assert stream(0, "init") == 1519069808562059438
    assert len({stream(seed, *purpose) for seed in (0, 1) for purpose in (("a",), ("b",), ("a", 1), ("a", 10))}) == 8
    assert torch.equal(torch.rand(3, generator=generator(1, "x")), torch.rand(3, generator=generator(1, "x")))
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with seeded(1, "init"):
        first = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with seeded(1, "init"):
        assert torch.equal(torch.rand(2), first)


@pytest.fixture
def run(tmp_path):
    run = Run("train", "test", plain(tiny_config(tmp_path, TrainConfig)))
    run.start()
    files.write_text(run / "results.csv", "a,b\n1,2\n")
    run.finish({"accuracy": 1.0}, ("results.csv",))
    return run


def test_a_finished_run_is_known(run):
    assert run.result()["accuracy"] == 1.0
    assert (run / "config.yaml").read_text(encoding="utf-8").startswith("cell: lstm")
    run.start()
    assert run.result() is None


@pytest.mark.parametrize("damage", ["truncate result", "empty result", "change table", "remove table", "foreign json"])
def test_damage_is_said_and_not_trusted(run, damage, caplog):
    result, table = run / "result.json", run / "results.csv"
    {
        "truncate result": lambda: result.write_text(result.read_text(encoding="utf-8")[:-5]),
        "empty result": lambda: result.write_text(""),
        "change table": lambda: table.write_text("a,b\n1,3\n"),
        "remove table": table.unlink,
        "foreign json": lambda: result.write_text(json.dumps([1])),
    }[damage]()
    with caplog.at_level(logging.WARNING, "espalier"):
        assert run.result() is None
    assert "done again" in caplog.text


def test_files_are_whole_or_as_before(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    files.write_text(path, "before")
    with pytest.raises(RuntimeError), files.whole(path) as file:
        file.write(b"half")
        raise RuntimeError
    assert path.read_text(encoding="utf-8") == "before" and [p.name for p in path.parent.iterdir()] == ["file.txt"]


class Evil:
    def __reduce__(self):
        return (print, ("executed",))


def test_tensors_load_without_code(tmp_path, capsys):
    files.save_tensors(tmp_path / "good.pt", {"a": torch.ones(2)})
    assert torch.equal(files.load_tensors(tmp_path / "good.pt", "base")["a"], torch.ones(2))
    torch.save({"a": Evil()}, tmp_path / "evil.pt")
    (tmp_path / "short.pt").write_bytes((tmp_path / "good.pt").read_bytes()[:-200])
    (tmp_path / "empty.pt").write_bytes(b"")
    for name, told in (("evil", "carries code"), ("short", "truncated"), ("empty", "truncated"), ("none", "does not exist")):
        with pytest.raises(InputError, match=f"base .*{name}.pt .*{told}") as error:
            files.load_tensors(tmp_path / f"{name}.pt", "base")
        assert "\n" not in str(error.value)
    assert "executed" not in capsys.readouterr().out


def test_a_second_process_waits_for_the_lock(run, monkeypatch):
    import subprocess
    import sys

    lock = f"filelock.FileLock({str(run / '.lock')!r})"
    code = f"import filelock, sys; lock = {lock}; lock.acquire(); print('in', flush=True)\n"
    code += "sys.stdin.read(); print('out', flush=True)"
    ends = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    with subprocess.Popen([sys.executable, "-c", code], **ends) as other:
        assert other.stdout.readline() == "in\n"
        monkeypatch.setattr(progress.current, "say", lambda line: other.stdin.close())
        with run.alone():  # says that it waits, which lets the other one go
            assert other.stdout.readline() == "out\n"


def test_progress_tells_job_and_level(capsys):
    shown = Progress(2)
    with shown.job("lstm both", 10):
        shown.advance(5, "level 50 %: 0.99 after the cut", line=True)
        shown.advance(1, "not worth a line")
    with shown.job("gru both", 1):
        shown.advance(1, "level 10 %", line=True)
    lines = capsys.readouterr().err.splitlines()
    assert [line.split("(")[0].strip() for line in lines] == [
        "[1/2] lstm both: level 50 %: 0.99 after the cut", "[2/2] gru both: level 10 %",
    ]  # fmt: skip
    assert clock(59.6) == "1:00" and clock(3725) == "1:02:05"


@pytest.fixture
def hands(monkeypatch):
    """A clock that is set by hand."""
    now = [0.0]
    monkeypatch.setattr(pace.time, "monotonic", lambda: now[0])
    return now


def test_time_left_is_told_from_work_and_not_from_the_first_seconds(capsys, hands, tmp_path):
    """Two jobs share a base of 10 epochs at 2 s; levels take 1 s for 5 units. 20 s of importing are no epoch."""
    work = [{"base": 10, "levels": 10}, {"base": 0, "levels": 10}]
    shown = Progress(2, work, Pace(tmp_path / "pace.json"))

    def job(first):
        with shown.job("gru", work[not first]):
            hands[0] += 20.0 if first else 1.0
            for epoch in range(10 if first else 0):
                shown.advance(1, f"epoch {epoch + 1}", line=True, of="base")
                hands[0] += 2.0
            for level in (1, 2):
                hands[0] += 1.0
                shown.advance(5, f"level {level}", line=True, of="levels")
            hands[0] += 3.0

    job(True)
    lines = capsys.readouterr().err.splitlines()
    assert not any("left" in line for line in lines[:3])  # 22 s for one epoch would have told minutes
    assert "left" in lines[4] and lines[-1].endswith("level 2  (0:24 left)"), lines  # 10 units at 0.4, 20 aside
    job(False)
    assert capsys.readouterr().err.splitlines()[-1].endswith("(0:00 left)")

    again = Progress(2, work, Pace(tmp_path / "pace.json"))  # what it took before is known from the first line on
    with again.job("gru", work[0]):
        hands[0] += 20.0
        again.advance(1, "epoch 1", line=True, of="base")
    (line,) = capsys.readouterr().err.splitlines()
    seconds = shown.pace.of("base") * 9 + 20 * shown.pace.of("levels") + 20.0
    assert line.endswith(f"({clock(seconds)} left)"), line


def test_work_outside_of_a_job_is_no_fault(capsys):
    """Of who calls the library without a door."""
    shown = Progress()
    shown.advance(1, "epoch 1", line=True)
    shown.advance(1, "epoch 2", line=True)
    assert [line.split(": ")[1].split("  ")[0] for line in capsys.readouterr().err.splitlines()] == ["epoch 1", "epoch 2"]


def test_a_damaged_pace_is_nobodys_concern(tmp_path):
    for content in ("{", '{"base": [0, 1], "levels": "x"}', "[1]"):
        (tmp_path / "pace.json").write_text(content)
        assert Pace(tmp_path / "pace.json").left({"base": 3}) is None


def test_time_left_is_never_negative(capsys):
    """A job that was not announced, such as an export after a run, is counted in."""
    shown = Progress(1)
    for label in ("run", "export"):
        with shown.job(label, 2):
            shown.advance(1, "half", line=True)
    err = capsys.readouterr().err
    assert "[2/2] export: half" in err and "(-" not in err

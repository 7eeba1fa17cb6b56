"""Train and prune through their stories: what is written, that it is reproducible, and that it survives being killed."""

import json
from pathlib import Path

import pandas as pd
import pytest
import torch
from helpers import finished, tiny_config, without_seconds

from espalier import SequenceClassifier
from espalier.analysis import tables
from espalier.learning.training import place
from espalier.runs import progress
from espalier.settings import Logger, Mode, Retrain, Target
from espalier.studies import prune, train
from espalier.studies.plan import base_run, base_training, prune_run, train_run


def assert_equal_results(one, two):
    assert without_seconds(one / "results.csv") == without_seconds(two / "results.csv")
    assert without_seconds(one / "summary.csv") == without_seconds(two / "summary.csv")
    for name in ("curve.csv", "survivors.csv"):
        assert (one / name).read_bytes() == (two / name).read_bytes()
    for path in (one / "levels").glob("*.pt"):
        ours, theirs = (torch.load(run / "levels" / path.name, weights_only=True) for run in (one, two))
        for part in ("state_dict", "masks"):
            assert all(torch.equal(value, theirs[part][name]) for name, value in ours[part].items())


@pytest.mark.rendered
def test_training_writes_what_it_promises(train_config, tmp_path):
    config = train_config()
    run = train.train(config)
    rows = pd.read_csv(run / "results.csv")
    assert list(rows["epoch"]) == [1, 2] and rows.notna().all().all()
    best = torch.load(run / "best.pt", weights_only=True)
    last = torch.load(run / "last.pt", weights_only=True)
    assert last["epoch"] == 2 and best["epoch"] == run.result()["best_epoch"]
    SequenceClassifier(best["cell"], **best["sizes"]).load_state_dict(best["state_dict"])
    for figure in ("training", "examples"):
        assert (run / "figures" / f"{figure}.png").stat().st_size > 10_000
        assert "<svg" in (run / "figures" / f"{figure}.svg").read_text(encoding="utf-8")
    result = run.result()
    assert result["data"]["train_valid"]["count"] == 60 and result["judge"] == "validation"
    assert list(result["baselines"]) == ["constant", "length", "bigram", "trigram"]
    assert not list((tmp_path / "outputs").rglob("training.ckpt")) and "epoch 2" in (run / "train.log").read_text(
        encoding="utf-8"
    )


def test_best_is_best_by_validation(train_config):
    run = train.train(train_config(trainer=type(train_config().trainer)(max_epochs=5)))
    rows = pd.read_csv(run / "results.csv")
    top = rows[rows["val_accuracy"] == rows["val_accuracy"].max()]
    assert run.result()["best_epoch"] == top.loc[top["val_loss"].idxmin(), "epoch"]


@pytest.mark.rendered
def test_pruning_writes_what_it_promises(config):
    settings = config(percent=[10, 90], curve=True, target=Target.h2h, cell="gru")
    run = finished(settings)
    rows, summary = tables.read(run / "results.csv"), tables.read(run / "summary.csv")
    assert list(rows.columns[:8]) == ["cell", "target", "score", "scope", "percent", "seed", "epoch", "train_loss"]
    base = rows[rows["percent"] == 0]
    assert len(base) == 1 and base["epoch"].item() == 0 and base["kept"].item() == 3 * (36 + 25)
    cut = rows[(rows["percent"] == 90) & (rows["epoch"] == 0)]
    assert cut["kept"].item() == 183 - round(0.9 * 183) and cut["train_loss"].isna().all()
    assert list(summary["percent"]) == [10, 90] and set(summary["censored"]) <= {0, 1}
    curve = tables.read(run / "curve.csv")
    assert list(curve["percent"]) == list(range(101))
    assert curve["accuracy"][90] == cut["val_accuracy"].item() and curve["accuracy"][0] == base["val_accuracy"].item()
    survivors = tables.read(run / "survivors.csv")
    assert survivors[survivors["percent"] == 90]["kept"].sum() == cut["kept"].item()
    assert set(survivors["gate"]) == {0, 1, 2} and set(survivors["kind"]) == {"h2h"}
    for figure in ("accuracy", "regain", "survivors"):
        assert (run / "figures" / f"{figure}.png").stat().st_size > 10_000
    level = torch.load(run / "levels" / "90.pt", weights_only=True)
    model = SequenceClassifier(level["cell"], **level["sizes"])
    model.load_state_dict(level["state_dict"])
    weights = dict(model.named_parameters())
    assert all(not weights[name][~mask].any() for name, mask in level["masks"].items())


def test_tensorboard_shows_a_job_in_one_run(config):
    """Levels over percent, their epochs below them, figures, and every setting as a hyper-parameter."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = finished(config(percent=[50, 90], retrain=Retrain(max_epochs=2, mode=Mode["fixed"])))
    (file,) = (run / "tensorboard").rglob("events*")
    events = EventAccumulator(str(file.parent), size_guidance={"scalars": 0}).Reload()
    rows = tables.read(run / "summary.csv")
    for tag, column in (("levels/cut_val_accuracy", "cut_val_accuracy"), ("levels/best_test_accuracy", "best_test_accuracy")):
        assert [one.step for one in events.Scalars(tag)] == [50, 90]
        assert [one.value for one in events.Scalars(tag)] == pytest.approx(list(rows[column]))
    assert [one.value for one in events.Scalars("kept/all")] == pytest.approx(list(rows["kept"] / rows["total"]))
    kept = [tag for tag in events.Tags()["scalars"] if tag.startswith("kept/")]
    assert len(kept) == 1 + 2 * 2  # two layers, two kinds of weights
    epochs = events.Scalars("level_90/val/accuracy")
    assert [one.step for one in epochs] == [0, 1, 2]
    assert [one.step for one in events.Scalars("level_90/optimizer/lr")] == [1, 2]
    assert all(one.value > 0 for one in events.Scalars("level_90/optimizer/gradient_norm"))
    assert set(events.Tags()["images"]) == {"figures/accuracy", "figures/regain", "figures/survivors"}
    content = file.read_bytes()
    for name in (b"model.hidden", b"retrain.mode", b"percent", b"final/safe_percent"):
        assert name in content
    (base,) = (run.directory.parents[2] / "trainings").glob("*-train-*/seed_*/tensorboard/events*")
    assert b"final/test_accuracy" in base.read_bytes() and b"model.hidden" in base.read_bytes()
    assert len(list(run.directory.parents[2].rglob("events*"))) == 2  # one for the job, one for its base


def test_levels_between_whole_percents_have_steps_of_their_own(config):
    """99.5 and 99.9 are not one step; and the safe percent is that of the report, from the curve."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = finished(config(percent=[50.5, 99.5, 99.9], curve=True, retrain=Retrain(max_epochs=0)))
    (file,) = (run / "tensorboard").rglob("events*")
    events = EventAccumulator(str(file.parent), size_guidance={"scalars": 0}).Reload()
    tag = "levels_by_hundredths_of_a_percent/cut_val_accuracy"
    assert [one.step for one in events.Scalars(tag)] == [5050, 9950, 9990]
    summary, curve = tables.read(run / "summary.csv"), tables.read(run / "curve.csv")
    (safe,) = events.Scalars("final/safe_percent")
    assert safe.value == pytest.approx(tables.safe_percents(summary, None, curve=curve)["safe"].item())
    assert list(summary["from_base"]) == [1, 1, 1]


def test_random_masks_of_all_percents_are_nested(config):
    """One draw: what goes at a level is gone at every higher one, and a level alone is that of a list."""
    run = finished(config(percent=[20, 50, 90], score="random", retrain=Retrain(max_epochs=0)))
    low, middle, high = (torch.load(run / "levels" / f"{p}.pt", weights_only=True)["masks"] for p in (20, 50, 90))
    for name in low:
        assert not (middle[name] & ~low[name]).any() and not (high[name] & ~middle[name]).any()
    alone = finished(config(percent=50, score="random", retrain=Retrain(max_epochs=0)))
    assert all(torch.load(alone / "levels" / "50.pt", weights_only=True)["masks"][name].equal(middle[name]) for name in low)


def test_the_norm_of_the_gradient_is_that_of_the_last_step(config, monkeypatch):
    norms, clip = [], torch.nn.utils.clip_grad_norm_

    def noted(*arguments, **how):
        norms.append(float(clip(*arguments, **how)))

    monkeypatch.setattr(torch.nn.utils, "clip_grad_norm_", noted)
    settings = config(percent=50, retrain=Retrain(max_epochs=1, mode=Mode["fixed"]))
    finished(settings)
    (file,) = Path(settings.outputs).glob("trainings/*-train-*/seed_0/result.json")
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    steps = len(norms) // 3  # two epochs of the base, one of the level
    assert [row["gradient_norm"] for row in rows] == pytest.approx([norms[steps - 1], norms[2 * steps - 1]])


def test_twice_in_a_row_is_bit_identical(tmp_path):
    runs = [finished(tiny_config(tmp_path / name, curve=True, score="random")) for name in ("one", "two")]
    assert_equal_results(*runs)


def test_a_level_of_a_list_equals_that_level_alone(config):
    many, alone = finished(config(percent=[20, 50, 90])), finished(config(percent=50))
    rows = [line for line in without_seconds(many / "results.csv") if line[4] in ("percent", "0", "50")]
    assert rows == without_seconds(alone / "results.csv")


class Killed(BaseException):
    pass


@pytest.mark.parametrize("moment, mode", [(k, "fixed") for k in range(1, 8)] + [(3, "until_regained"), (4, "until_regained")])
def test_killed_and_repeated_equals_uninterrupted(tmp_path, monkeypatch, moment, mode):
    fixed = dict(retrain=Retrain(max_epochs=2, mode=Mode[mode]), logger=Logger(tensorboard=False))
    whole = finished(tiny_config(tmp_path / "whole", **fixed))
    settings = tiny_config(tmp_path / "killed", **fixed)
    calls = []

    def advance(self, units, now, line=False, of=None):
        calls.append(now)
        if len(calls) == moment:
            raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "advance", advance)
        with pytest.raises(Killed):
            prune.job(settings)
    assert prune_run(settings).result() is None
    before = len(calls)
    with monkeypatch.context() as patch:
        patch.setattr(progress.Progress, "advance", lambda self, units, now, line=False, of=None: calls.append(now))
        assert_equal_results(whole, finished(settings))
    parts = calls[: before - 1], calls[before:]
    trained = [{now for now in part if "epoch" in now and "after the cut" not in now} for part in parts]
    assert not trained[0] & trained[1], "an epoch that was finished was trained again"
    for name in ("best.pt", "last.pt"):
        ours, theirs = (torch.load(base_run(c) / name, weights_only=True) for c in (settings, tiny_config(tmp_path / "whole")))
        assert all(torch.equal(value, theirs["state_dict"][key]) for key, value in ours["state_dict"].items())


def test_a_damaged_checkpoint_is_said_and_left(train_config, caplog):
    config = train_config()
    run, training = train_run(config), place(base_training(config), config.outputs, config.seed)
    training.start()
    (training / "training.ckpt").write_bytes(b"half a checkpoint")
    train.train(config)
    assert "training starts again" in (run / "train.log").read_text(encoding="utf-8") and run.result()


def test_finished_work_is_not_repeated(config, monkeypatch):
    settings = config()
    run = finished(settings)
    stamp = (run / "result.json").stat().st_mtime_ns
    prune.job(settings)
    assert (run / "result.json").stat().st_mtime_ns == stamp
    base = base_run(settings)
    base_stamp = (base / "result.json").stat().st_mtime_ns
    settings.force = True
    prune.job(settings)
    assert (run / "result.json").stat().st_mtime_ns > stamp
    assert (base / "result.json").stat().st_mtime_ns == base_stamp


def test_without_retraining_only_the_cut_is_judged(config):
    run = finished(config(retrain=Retrain(max_epochs=0)))
    rows = tables.read(run / "results.csv")
    assert set(rows["epoch"]) == {0} and tables.read(run / "summary.csv")["epochs"].eq(0).all()


def test_until_regained_stops_and_fixed_goes_on(tmp_path):
    easy = dict(percent=[1], regain=type(tiny_config(tmp_path).regain)(tolerance=1.0))
    run = finished(tiny_config(tmp_path, **easy))
    summary = tables.read(run / "summary.csv")
    assert (summary["regain_epoch"].item(), summary["regain_step"].item(), summary["epochs"].item()) == (0, 0, 0)
    run = finished(tiny_config(tmp_path, **easy, retrain=Retrain(max_epochs=2, mode=Mode["fixed"])))
    assert tables.read(run / "summary.csv")["epochs"].item() == 2

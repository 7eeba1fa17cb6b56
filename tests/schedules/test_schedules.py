"""Schedules: which trainings they ask for, and what comes out of real ones."""

import dataclasses
import json

import pytest
import torch
from helpers import TINY_PRUNE, tiny_config

from espalier import SequenceClassifier
from espalier.analysis import tables
from espalier.errors import InputError
from espalier.learning import attempt as attempt_module
from espalier.learning.training import Start, place
from espalier.names import SCHEDULES, load
from espalier.runs import run as run_module
from espalier.runs.files import digest, sealed
from espalier.settings import Logger, Mode, PruneConfig, Retrain, from_yaml
from espalier.studies import controls, prune
from espalier.studies.plan import base_start, base_training, level, prune_run
from espalier.studies.train import runner_of

FAST = [*TINY_PRUNE, "cell=gru", "curve=false", "logger=none"]


class Trained:
    def __init__(self, training, limit=0, total=1000):
        self.training, self.total, self.regained = training, total, training.cut.percent <= limit


@pytest.fixture
def asked(tmp_path):
    """A function that lists the trainings that a schedule asks for, of a network that regains up to `limit` percent."""

    def ask(name, percents, limit=0, **settings):
        config, trainings = tiny_config(tmp_path, percent=percents), []

        def run(training):
            trainings.append(training)
            return Trained(training, limit)

        def of(percent, start, **changes):
            return level(config, percent, start, **changes)

        told = list(load(SCHEDULES[name])(of, base_start(config), percents, run, {"name": name, **settings}))
        return [trained.training for trained in told], trainings, base_start(config)

    return ask


def percents_of(trainings):
    return [training.cut.percent for training in trainings]


def test_one_shot_cuts_every_level_from_the_base(asked):
    levels, _, base = asked("one_shot", [20, 50])
    assert percents_of(levels) == [20, 50] and all(training.start == base for training in levels)


def test_iterative_goes_on_from_the_level_before(asked):
    levels, _, base = asked("iterative", [50, 75, 90], of="all")
    assert percents_of(levels) == [50, 75, 90]
    assert [training.start for training in levels] == [base, Start(levels[0]), Start(levels[1])]
    assert all(training.regaining.reference == base for training in levels)  # regained is what the base could
    levels, _, _ = asked("iterative", [50, 50, 50], of="left")
    assert percents_of(levels) == [50, 75, 87.5]
    assert [type(percent) for percent in percents_of(levels)] == [int, int, float]  # 50.0 is the level 50 of one shot


def test_a_fixed_number_goes_at_every_level(asked):
    levels, trainings, _ = asked("fixed_number", [50, 100], weights=300)
    assert percents_of(levels) == [30, 60, 90, 100] and levels[1].start == Start(levels[0])
    assert percents_of(trainings)[0] == trainings[0].epochs == 0  # how many there are, without training
    assert percents_of(asked("fixed_number", [0], weights=300)[0]) == [0]


def test_rewind_ranks_the_trained_and_cuts_the_early(asked):
    levels, _, base = asked("rewind", [50, 80], epoch=1)
    early = Start(dataclasses.replace(base.training, epochs=1))
    assert all(training.start == early and training.epochs == base.training.epochs for training in levels)
    assert not any(training.regaining.stop for training in levels)  # as long as the base, whatever is regained meanwhile
    assert [training.cut.ranked for training in levels] == [base, Start(levels[0])]


@pytest.mark.parametrize("limit", [12, 37, 55.5, 99])
def test_bisect_closes_in_on_what_is_regained(asked, limit):
    levels, _, _ = asked("bisect", [10, 100], limit, precision=1)
    percents = percents_of(levels)
    best = max(percent for percent in percents if percent <= limit)
    assert min(percent for percent in percents if percent > limit) - best <= 1 and len(percents) <= 9
    assert percents_of(asked("bisect", [10, 100], 100, precision=1)[0]) == [100]
    assert percents_of(asked("bisect", [10, 100], 5, precision=1)[0]) == [100, 10]


def finished(config):
    prune.job(config)
    assert prune_run(config).result()
    return prune_run(config)


def fixed(tmp_path, **changes):
    retrain = Retrain(max_epochs=1, mode=Mode.fixed)
    return tiny_config(tmp_path / "outputs", cell="gru", retrain=retrain, logger=Logger(tensorboard=False), **changes)


def test_what_went_stays_away_and_the_first_level_is_shared(tmp_path):
    one_shot, iterative = (fixed(tmp_path, percent=[50, 80], schedule=s) for s in (None, {"name": "iterative", "of": "all"}))
    runs = [finished(config) for config in (one_shot, iterative)]
    first, second = (torch.load(runs[1] / "levels" / f"{percent}.pt", weights_only=True) for percent in (50, 80))
    for name, mask in second["masks"].items():
        assert not (mask & ~first["masks"][name]).any() and not second["state_dict"][name][~mask].any()
    assert torch.equal(
        torch.load(runs[0] / "levels" / "50.pt", weights_only=True)["state_dict"]["head.weight"],
        first["state_dict"]["head.weight"],
    )
    trained = list((tmp_path / "outputs" / "trainings").iterdir())
    assert len(trained) == 1 + 2 + 1  # the base, two levels, and the second level from the first: 50 % was trained once


def test_a_rewound_level_starts_from_the_base_as_it_was(tmp_path):
    run = finished(fixed(tmp_path, percent=[60], schedule={"name": "rewind", "epoch": 0}))
    config = fixed(tmp_path, percent=[60])
    runner, base = runner_of(config), base_start(config)
    level_60 = torch.load(run / "levels" / "60.pt", weights_only=True)
    with runner.bench(base_training(config)) as bench:
        drawn = bench.network().state_dict()
        masks = bench.masks(runner.network(bench, base), level(config, 60, base).cut, 60)
    early = runner.find(dataclasses.replace(base.training, epochs=0)).load()
    assert all(torch.equal(value, drawn[name]) for name, value in early["state_dict"].items())
    assert all(torch.equal(level_60["masks"][name], mask) for name, mask in masks.items())
    rows = tables.read(run / "results.csv")
    assert rows[rows["percent"] == 60]["epoch"].tolist() == [0, 1, 2]  # as long as the base was trained


def test_the_same_again_trains_nothing_and_a_longer_list_only_what_is_new(tmp_path):
    run = finished(fixed(tmp_path, percent=[50]))
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "trainings").rglob("result.json")}
    more = finished(fixed(tmp_path, percent=[50, 60]))
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()) and len(stamps) == 2
    ours, theirs = (tables.read(one / "summary.csv") for one in (run, more))
    assert ours.iloc[0].equals(theirs.iloc[0])


def test_rounds_of_what_is_left_keep_their_order_and_repeats(door, tmp_path):
    more = ["schedule=iterative", "schedule.of=left", "controls=true"]
    code, _, err = door("prune", *FAST, *more, "percent=[20,20,20]", "retrain.max_epochs=1", "retrain=fixed")
    assert code == 0, err
    runs = [run for run in (tmp_path / "outputs" / "prune").glob("*/seed_0") if len(tables.read(run / "summary.csv")) > 1]
    assert tables.read(runs[0] / "summary.csv")["percent"].tolist() == [20, 36, 48.8]
    configs = {run: from_yaml(run / "config.yaml", PruneConfig) for run in runs}
    (config,) = [config for config in configs.values() if not config.fresh]
    small = {tuple(controls.dense(config, percent).model.hidden) for percent in (20, 36, 48.8)}
    # Of the levels there are, and the base with weight decay and with dropout.
    assert len(list((tmp_path / "outputs" / "train").glob("*/seed_0"))) == len(small) + 2 > 3
    longer = [run for run in (tmp_path / "outputs" / "prune").glob("*/seed_0") if run not in runs]
    assert tables.read(longer[0] / "summary.csv")["percent"].tolist() == [0]  # the base trained on, whatever the schedule


@pytest.mark.parametrize("name", ["iterative", "fixed_number", "bisect"])
def test_every_schedule_from_a_file_of_other_sizes(door, tmp_path, monkeypatch, name):
    torch.manual_seed(0)
    torch.save(SequenceClassifier("gru", (7, 4)).state_dict(), tmp_path / "base.pt")
    more = [*(key for key in FAST if "hidden" not in key), f"schedule={name}", "percent=[20,90]"]
    more += ["schedule.weights=100"] if name == "fixed_number" else []
    code, _, err = door("prune", *more, "base=base.pt")
    assert code == 0, err
    stamps = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "trainings").rglob("result.json")}
    code, _, err = door("prune", *more, f"base={tmp_path / 'base.pt'}", "curve=true")  # the same file by another name
    assert code == 0, err
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "outputs" / "trainings").rglob("result.json")}
    assert again == stamps != {}


def test_a_long_chain_of_levels_is_not_walked_again_and_again(tmp_path, monkeypatch):
    looked, read = [], run_module.read_result
    monkeypatch.setattr(run_module, "read_result", lambda directory: looked.append(directory) or read(directory))
    config = fixed(tmp_path, percent=[100], schedule={"name": "fixed_number", "weights": 12}, curve=False)
    config.retrain.max_epochs = 0
    run = finished(config)
    levels = len(tables.read(run / "summary.csv"))
    assert levels == 32 and len(looked) <= 5 * levels  # 198 i2h and 183 h2h weights; a few looks at each
    with pytest.raises(InputError, match=r"schedule\.weights=1 of 381 makes 381 levels, at most 200: raise it"):
        finished(fixed(tmp_path, percent=[100], schedule={"name": "fixed_number", "weights": 1}))


class Killed(BaseException):
    pass


def test_a_checkpoint_goes_on_from_its_own_base_only(tmp_path, monkeypatch):
    """A level is killed after an epoch; then its base is another one, as of another processor. The level starts over."""
    config = fixed(tmp_path, percent=[60])
    config.retrain.max_epochs = 3
    end, seen = attempt_module.Attempt.end_of_epoch, []

    def interrupt(self, epoch, *more):
        seen.append((self.training.purpose[0], epoch))
        if seen[-1] == ("prune", 2):
            raise Killed
        return end(self, epoch, *more)

    with monkeypatch.context() as patch:
        patch.setattr(attempt_module.Attempt, "end_of_epoch", interrupt)
        with pytest.raises(Killed):
            prune.job(config)
    base = place(base_training(config), config.outputs, config.seed)
    content = torch.load(base / "best.pt", weights_only=True)
    content["state_dict"] = {key: value + 0.3 * torch.randn_like(value) for key, value in content["state_dict"].items()}
    torch.save(content, base / "best.pt")
    result = json.loads((base / "result.json").read_text(encoding="utf-8"))
    result["files"]["best.pt"] = digest(base / "best.pt")
    del result["sha256"]
    (base / "result.json").write_text(json.dumps(sealed(result)), encoding="utf-8")
    seen.clear()
    with monkeypatch.context() as patch:
        patch.setattr(attempt_module.Attempt, "end_of_epoch", lambda *a: seen.append(a[1]) or end(*a))
        finished(config)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("name", sorted(SCHEDULES))
def test_every_schedule_from_the_command_line(door, tmp_path, name):
    more = {
        "fixed_number": ["schedule.weights=100"], "bisect": ["schedule.precision=20"],
        "redundant": ["structure=unit", "score=variation"],
    }.get(name, [])  # fmt: skip
    target = "both" if name == "redundant" else "h2h"
    code, _, err = door("prune", *FAST, f"schedule={name}", *more, "percent=[50,80]", f"target={target}")
    assert code == 0, err
    (run,) = (tmp_path / "outputs" / "prune").glob("*/seed_0")
    result = json.loads((run / "result.json").read_text(encoding="utf-8"))
    assert tables.read(run / "summary.csv")["percent"].tolist() == result["percents"]
    assert (run / "report.html").exists()


def test_a_sweep_over_schedules_tells_them_apart(door, tmp_path):
    code, _, err = door("prune", "-m", *FAST, "schedule=one_shot,iterative", "percent=[50,90]")
    assert code == 0, err
    (folder,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert set(tables.read(folder / "summary.csv")["variant"]) == {
        "schedule.name=one_shot", "schedule.name=iterative schedule.of=all"
    }  # fmt: skip


@pytest.mark.parametrize(
    "overrides, told",
    [
        (
            ["schedule=none"],
            "schedule=none is unknown; there are bisect, fixed_number, gradual, iterative, one_shot, redundant, rewind",
        ),
        (["schedule=iterative", "schedule.of=some"], "schedule.of must be all or left, got 'some'"),
        (["schedule=rewind", "schedule.epoch=-1"], "schedule.epoch must be a whole number, not negative, got -1"),
        (["schedule=rewind", "schedule.epoch=99"], "schedule.epoch=99 is after the last epoch of the base, 2"),
        (["schedule=fixed_number", "schedule.weights=0"], "schedule.weights must be"),
        (["schedule=bisect", "schedule.precision=0"], "schedule.precision must be a number from 0.001 to 100"),
        (["+schedule.weights=5"], "schedule=one_shot has no key weights; it has none"),
        (["schedule=rewind", "schedule.epoch=1.5"], "schedule.epoch must be a whole number"),
        (["schedule.name=cubic"], "schedule must be one of one_shot, iterative"),
        (
            ["schedule=iterative", "schedule.of=left", "percent=[50,60,70]", "structure=unit"],
            "percent=94.0 would remove all",
        ),
        (["schedule=bisect", "schedule.of=all"], "of"),
        (["schedule=rewind", "base=x.pt"], "schedule=rewind needs the epochs of the base"),
    ],
)
def test_bad_settings_are_one_line_before_training(door, tmp_path, overrides, told):
    torch.save({}, tmp_path / "x.pt")
    code, _, err = door("prune", *FAST, "percent=[50]", *overrides)
    assert code == 2 and err.count("\n") == 1 and told in err, err
    assert not list((tmp_path / "outputs").glob("trainings/*")) if (tmp_path / "outputs").exists() else True

"""Masks that grow while a network trains, and the control of lottery tickets."""

import itertools

import pytest
import torch
from helpers import TINY_PRUNE, tiny_config, without_seconds

from espalier.analysis import tables
from espalier.learning import growing as growing_module
from espalier.learning.growing import SHAPES
from espalier.settings import Logger, Mode, Model, Retrain, Structure
from espalier.studies import controls, prune
from espalier.studies.plan import base_start, base_training, level, prune_run
from espalier.studies.train import runner_of


def gradual(tmp_path, shape="cubic", **changes):
    retrain = Retrain(max_epochs=4, mode=changes.pop("mode", Mode.fixed))
    schedule = {"name": "gradual", "shape": shape, "ramp": 0.5, "updates": 4}
    settings = dict(cell="gru", percent=[80], retrain=retrain, schedule=schedule, logger=Logger(tensorboard=False))
    return tiny_config(tmp_path / "outputs", **{**settings, **changes})


def finished(config):
    prune.study(config)
    return prune_run(config)


def test_shapes():
    assert [SHAPES["cubic"](part) for part in (0, 0.5, 1)] == [0, 0.875, 1]
    assert [SHAPES["linear"](part) for part in (0, 0.5, 1)] == [0, 0.5, 1]


@pytest.mark.parametrize("shape", ["cubic", "linear"])
def test_masks_grow_stay_and_end_at_the_percent(tmp_path, monkeypatch, shape):
    grown = []

    class Watched(growing_module.Growing):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            before = self.masks
            super().on_train_batch_end(trainer, pl_module, outputs, batch, batch_idx)
            if self.masks is not before:
                grown.append((trainer.global_step, self.masks))

    monkeypatch.setattr("espalier.learning.attempt.Growing", Watched)
    run = finished(gradual(tmp_path, shape))
    steps, masks = zip(*grown)
    shares = [mask.percent for mask in masks]
    assert shares == sorted(shares) and len(shares) > 4
    ramp = steps[-1]
    assert shares[-1] == pytest.approx(80, abs=0.1)
    expected = [80 * SHAPES[shape](step / ramp) for step in steps]
    assert shares == pytest.approx(expected, abs=0.2)
    for earlier, later in itertools.pairwise(masks):
        assert not any((later[name] & ~earlier[name]).any() for name in later)  # what went stays away
    level = torch.load(run / "levels" / "80.pt", weights_only=True)
    assert not any(level["state_dict"][name][~mask].any() for name, mask in level["masks"].items())
    summary = tables.read(run / "summary.csv").iloc[0]
    assert summary["kept"] == round(0.2 * summary["total"]) and summary["best_epoch"] in (0, 2, 3, 4)


def test_nothing_counts_as_regained_before_all_is_cut(tmp_path):
    run = finished(gradual(tmp_path, percent=[10], mode=Mode.until_regained))
    summary = tables.read(run / "summary.csv").iloc[0]
    assert summary["epochs"] >= 2 and (summary["censored"] or summary["regain_epoch"] >= 2)


@pytest.mark.parametrize("epoch", [1, 3])
def test_killed_in_an_epoch_and_continued_it_is_the_same(tmp_path, monkeypatch, epoch):
    whole = finished(gradual(tmp_path / "whole"))
    config = gradual(tmp_path / "killed")
    original = growing_module.Growing.on_train_batch_end

    def killed(self, trainer, *rest):
        original(self, trainer, *rest)
        if trainer.current_epoch == epoch and rest[-1] == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(growing_module.Growing, "on_train_batch_end", killed)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        finished(config)
    monkeypatch.setattr(growing_module.Growing, "on_train_batch_end", original)
    again = finished(config)
    assert without_seconds(again / "results.csv") == without_seconds(whole / "results.csv")
    first, second = (torch.load(run / "levels" / "80.pt", weights_only=True) for run in (whole, again))
    for kind in ("state_dict", "masks"):
        assert all(torch.equal(value, second[kind][name]) for name, value in first[kind].items())


def test_the_control_of_a_lottery_ticket_has_its_masks_and_other_weights(tmp_path):
    config = gradual(tmp_path, schedule={"name": "rewind", "epoch": 0}, controls=True)
    ticket = finished(config)
    controls.run(config)
    assert controls.done(config)
    fresh = prune_run(controls.fresh(config))
    ours, theirs = (torch.load(run / "levels" / "80.pt", weights_only=True) for run in (ticket, fresh))
    assert all(torch.equal(mask, theirs["masks"][name]) for name, mask in ours["masks"].items())
    assert not torch.equal(ours["state_dict"]["head.weight"], theirs["state_dict"]["head.weight"])


def test_a_score_of_gradients_is_the_same_whenever_it_is_asked_for(tmp_path):
    model = Model(hidden=[6, 5], dropout=0.5)
    config = gradual(tmp_path, model=model, structure=Structure.unit, score="taylor", percent=[50])
    with runner_of(config).bench(base_training(config)) as bench:
        network = bench.network().train()
        cut = level(config, 50, base_start(config)).cut
        masks = [bench.masks(network, cut, 50) for _ in range(6)]
    assert all(other == masks[0] for other in masks)
    assert network.training and network.recurrent.dropout == 0.5


def test_rnnoises_recipe_from_the_command_line(door, tmp_path):
    recipe = ["cell=gru", "structure=block", "block=[8,4]", "gates={r: 70, z: 80, n: 50}", "keep_diagonal=true", "percent=100"]
    code, _, err = door(
        "prune", *TINY_PRUNE[:-2], "model.hidden=[16]", "trainer.max_epochs=1", *recipe, "schedule=gradual", "curve=false"
    )
    assert code == 0, err
    (path,) = (tmp_path / "outputs" / "prune").rglob("levels/100.pt")
    mask = torch.load(path, weights_only=True)["masks"]["recurrent.layers.0.weight_hh_l0"]
    assert [int(part.unfold(0, 8, 8).unfold(1, 4, 4).flatten(2).all(2).sum()) for part in mask.chunk(3)] == [2, 2, 4]
    assert all(part.diagonal().all() for part in mask.chunk(3))
    for more, told in (
        (["cell=lstm", "gates={r: 70}"], "gates: cell=lstm has no gate 'r'; it has i, f, g, o"),
        (["structure=unit", "keep_diagonal=true"], "gates and keep_diagonal are of single weights and blocks"),
    ):
        code, _, err = door("prune", *more)
        assert code == 2 and told in err and err.count("\n") == 1

"""When training has stopped getting better: its end, or a lower learning rate; and what the studies published beside ours."""

import pytest
import torch
from helpers import finished, tiny_config

from espalier.analysis import tables, thesis
from espalier.errors import InputError
from espalier.learning import attempt as attempt_module
from espalier.learning.patience import fallen, since
from espalier.learning.training import Patience, Plateau
from espalier.settings import PruneConfig, TrainConfig
from espalier.settings.training import Optimizer, Trainer
from espalier.studies.plan import base_training
from espalier.studies.train import runner_of

VALUES = [0.5, 0.6, 0.55, 0.58, 0.7, 0.7]


def test_against_the_best_and_against_the_previous_epoch():
    assert since(VALUES, Patience(2, 0.0)) == 1 and since(VALUES[:4], Patience(2, 0.0)) == 2
    assert since(VALUES[:4], Patience(2, 0.0, "previous")) == 0 and since(VALUES[:4], Patience(2, 0.05, "previous")) == 2
    assert fallen(VALUES, Plateau(0.1, 1e-4, 0.0), 0.01) == (2, True)
    assert fallen(VALUES, Plateau(0.1, 1e-4, 0.0, "previous"), 0.01) == (2, False)
    assert fallen(VALUES[:3], Plateau(0.1, 1e-4, 0.0), 0.01) == (1, False)


def falling(outputs):
    plateau = {"factor": 0.1, "least": 1e-4, "momentum": 0.5}
    return tiny_config(outputs, TrainConfig, optimizer=Optimizer("sgd", 0.01), trainer=Trainer(30, 5.0, plateau))


def test_the_rate_falls_where_an_epoch_is_no_better_and_then_training_ends(tmp_path, monkeypatch):
    seen = []

    class Watched(attempt_module.Falling):
        def on_train_epoch_start(self, trainer, pl_module):
            super().on_train_epoch_start(trainer, pl_module)
            group = trainer.optimizers[0].param_groups[0]
            seen.append((group["lr"], group["momentum"]))

    monkeypatch.setattr(attempt_module, "Falling", Watched)
    config = falling(tmp_path / "whole")
    training = base_training(config)
    whole = runner_of(config)(training)
    judged = [row["val_accuracy"] for row in whole.rows]
    for place in range(len(judged)):
        times, over = fallen(judged[:place], training.plateau, 0.01)
        assert not over and seen[place] == (pytest.approx(0.01 * 0.1**times), 0.5 if times else 0)
    assert fallen(judged, training.plateau, 0.01) == (2, True) and 3 < len(judged) < 30

    class Killed(Watched):
        def on_train_epoch_start(self, trainer, pl_module):
            super().on_train_epoch_start(trainer, pl_module)
            if trainer.current_epoch == len(judged) - 1:
                raise KeyboardInterrupt

    config = falling(tmp_path / "killed")
    monkeypatch.setattr(attempt_module, "Falling", Killed)
    with pytest.raises(KeyboardInterrupt):
        runner_of(config)(base_training(config))
    monkeypatch.setattr(attempt_module, "Falling", Watched)
    again = runner_of(config)(base_training(config))
    ours, theirs = (torch.load(one.file("last"), weights_only=True)["state_dict"] for one in (whole, again))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_settings_of_a_plateau(tmp_path):
    for plateau, told in (
        ({"factor": 2}, "factor must be"),
        ({"momentum": 0.5}, "adam has none"),
        ({"rate": 1}, "no key rate"),
    ):
        with pytest.raises(InputError, match=told):
            TrainConfig(trainer=Trainer(plateau=plateau))


@pytest.mark.parametrize("experiment", ["thesis_ffn_methods", "thesis_weights_vs_units"])
def test_published_values_only_beside_the_same_data(experiment):
    config = PruneConfig(model={"name": "feedforward"}, data={"name": "mnist", "root": "."}, percent=[25], score="magnitude")
    result = {"percents": [25], "removed": {"25": [79400 - 59550, 79400]}, "data": {"source": "train and t10k"}}
    config.retrain.mode = type(config.retrain.mode)["fixed"]
    assert thesis.beside(experiment, config, result) == {25: "0.9737" if "methods" in experiment else "0.9731"}
    assert thesis.beside(experiment, config, {**result, "data": {"source": "t10k, cut in two"}}) == {}
    assert thesis.beside("ffn_methods", config, result) == {}


def test_the_ladder_of_the_study_has_a_published_value_at_every_round():
    table = thesis.methods()
    rounds = [
        weights
        for rate, retrain, score, scope, weights in table
        if (rate, retrain, score, scope) == (25, "fixed", "obd", "global")
    ]
    assert len(rounds) == 18 and rounds[-1] == 447 and table[50, "while_improving", "magnitude", "layer", 311] == 0.4121


def test_passes_stand_beside_those_of_the_study(door, tmp_path):
    tiny = [
        "model.hidden=[16]",
        "data.length=900",
        "trainer.max_epochs=2",
        "logger=none",
        "schedule.passes=2",
        "data.batch_size=50",
    ]
    code, _, err = door("prune", "-m", "experiment=thesis_redundant_units", *tiny, "seed=0,1")
    assert code == 0, err
    (sweep,) = (tmp_path / "outputs" / "sweeps").iterdir()
    assert "80 units: 0.1884" in (sweep / "report.html").read_text()
    assert set(tables.read(sweep / "summary.csv")["judge"]) == {"test"}


def test_a_score_that_makes_up_for_what_goes_does_so_while_masks_grow(tmp_path):
    run = finished(tiny_config(tmp_path, score="obs", schedule={"name": "gradual"}, percent=[60]))
    assert len(tables.read(run / "summary.csv")) == 1

"""Regain is confirmed by looks in a row; what a level keeps and what its tables say are of that moment."""

import pytest
import torch
from helpers import tiny_config

from espalier.analysis import tables
from espalier.learning import attempt, bench
from espalier.learning.evaluation import Score
from espalier.runs import files
from espalier.settings import Mode, Regain, Retrain
from espalier.studies import prune
from espalier.studies.plan import prune_run

#: What judges, made up: (epoch, step), or (epoch,) at an end -> accuracy, with a lucky look in epoch 1. The base is at 0.9.
NOISY = {
    (0,): 0.5, (1, 2): 0.7, (1, 4): 0.93, (1, 6): 0.8, (1,): 0.85,
    (2, 10): 0.88, (2, 12): 0.895, (2, 14): 0.91, (2,): 0.86, (3,): 0.87,
}  # fmt: skip


@pytest.fixture
def noisy(monkeypatch):
    """Scores of level 50 as made up; returns the weights that were looked at, by moment."""
    seen, score = {}, bench.Bench.score

    def made_up(self, model, split, *moment):
        real = score(self, model, split, *moment)
        if moment == ("base",):
            return Score(self.task, real.loss, 0.9)
        if moment[:2] != ("prune", 50):
            return real
        seen.setdefault(moment[2:], attempt.weights_of(model))
        return Score(self.task, real.loss, NOISY.get(moment[2:], 0.91))

    monkeypatch.setattr(bench.Bench, "score", made_up)
    return seen


def config(folder, mode=Mode.until_regained, patience=2):
    return tiny_config(folder, percent=[50], retrain=Retrain(mode, 3), regain=Regain(patience=patience))


def done(settings):
    prune.job(settings)
    run = prune_run(settings)
    (row,) = tables.read(run / "summary.csv").to_dict("records")
    return run, row


def weights(path):
    return files.load_tensors(path, "level")["state_dict"]


def same(ours, theirs):
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_lucky_look_does_not_count(tmp_path, noisy):
    run, row = done(config(tmp_path))
    assert (row["regain_epoch"], row["regain_step"], row["censored"]) == (2, 12, 0)  # the first of the two
    assert row["epochs"] == 2 and (2, 14) in noisy and (3,) not in noisy
    assert same(weights(run / "levels" / "50.pt"), noisy[2, 14])  # not those of the epoch's end


def test_what_the_level_keeps_is_what_best_counts(tmp_path, noisy, monkeypatch):
    monkeypatch.setitem(NOISY, (2,), 0.91)  # the row at the stop is of the moment that confirmed
    _, row = done(config(tmp_path))
    assert row["best_val_accuracy"] == 0.91 and row["best_epoch"] == 2


def test_one_look_is_enough_where_the_study_says_so(tmp_path, noisy):
    run, row = done(config(tmp_path, patience=1))
    assert (row["regain_epoch"], row["regain_step"], row["best_val_accuracy"]) == (1, 4, 0.85)
    assert same(weights(run / "levels" / "50.pt"), noisy[1,])  # at the end of the epoch, as the study had it


def test_best_counts_the_confirmed_moment_where_training_goes_on(tmp_path, noisy):
    run, row = done(config(tmp_path, Mode.fixed))
    assert (row["regain_epoch"], row["regain_step"], row["epochs"]) == (2, 12, 3)
    assert row["best_val_accuracy"] == 0.91 and row["best_epoch"] == 2  # no end of an epoch was above 0.87
    (kept,) = (run.directory.parents[2] / "trainings").glob("lstm-reber-prune_50-*/seed_*/best.pt")
    assert same(weights(kept), noisy[2, 14])
    assert same(weights(run / "levels" / "50.pt"), noisy[3,])


def test_killed_at_the_moment_of_confirmation(tmp_path, noisy, monkeypatch):
    whole, _ = done(config(tmp_path / "whole"))

    save, calls = attempt.Attempt.save, []

    def once(self, rows):
        if self.training.cut and not calls:
            calls.append(1)
            raise KeyboardInterrupt
        save(self, rows)

    monkeypatch.setattr(attempt.Attempt, "save", once)
    with pytest.raises(KeyboardInterrupt):
        prune.job(config(tmp_path / "killed"))
    again, row = done(config(tmp_path / "killed"))
    assert (row["regain_step"], row["epochs"]) == (12, 2)
    assert same(weights(again / "levels" / "50.pt"), weights(whole / "levels" / "50.pt"))

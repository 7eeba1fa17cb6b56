import math

import numpy as np
import pandas as pd
import pytest

from espalier import tasks
from espalier.analysis import drawing, joining, methods, sentences, tables, thesis
from espalier.analysis.pruned import Pruned
from espalier.tasks import ACCURACY


def summary(drops, cell="lstm", target="both", seed=0, epochs=1, judge="validation", score="magnitude"):
    """Rows of summary.csv. drops: percent -> (loss of accuracy right after the cut, regain epoch or None)."""
    split = "val" if judge == "validation" else "test"
    rows = []
    for percent, (drop, regain) in drops.items():
        row = {f"{what}_{part}_accuracy": math.nan for what in ("base", "cut", "best") for part in ("val", "test")}
        row |= {f"base_{split}_accuracy": 1.0, f"cut_{split}_accuracy": 1.0 - drop, f"best_{split}_accuracy": 1.0}
        rows.append({
            "cell": cell, "target": target, "score": score, "scope": "global", "percent": percent, "seed": seed,
            "judge": judge, **row, "regain_epoch": math.nan if regain is None else regain, "regain_step": math.nan,
            "censored": int(regain is None), "epochs": 0 if regain == 0 else epochs,
        })  # fmt: skip
    return tables.as_series(rows)


DROPS = {10: (0.0, 0), 20: (0.005, 0), 30: (0.02, 1), 40: (0.01, 0), 90: (0.5, 2), 100: (0.5, None)}


@pytest.mark.parametrize("judge", ["validation", "test"])
def test_safe_percent_needs_every_level_up_to_it(judge):
    rows = summary(DROPS, judge=judge)
    assert tables.safe_percents(rows, 0.01)["safe"].tolist() == [20]
    assert tables.safe_percents(rows, 0.05)["safe"].tolist() == [40]
    assert tables.safe_percents(rows.sample(frac=1, random_state=0), 0.01)["safe"].tolist() == [20]
    assert tables.safe_percents(summary({10: (0.3, 1)}), 0.01)["safe"].tolist() == [0]


def test_a_drop_of_exactly_the_tolerance_is_safe():
    assert tables.safe_percents(summary({10: (1.0 - 0.99, 0)}), 0.01)["safe"].item() == 10


@pytest.mark.parametrize("cell, target", list(thesis.SAFE))
def test_the_published_tolerance_gives_the_studys_safe_percents(cell, target):
    own = thesis.published().loc[cell, target]
    assert list(own.index) == list(range(10, 101, 10))
    rows = summary({p: (row["base"] - row["cut"], 1) for p, row in own.iterrows()}, cell, target, judge="test")
    assert tables.safe_percents(rows, 0.05)["safe"].item() == thesis.SAFE[cell, target]


def test_the_studys_numbers():
    table = thesis.published()
    assert table.loc[("gru", "h2h", 100), ["cut", "epoch_1", "epoch_10", "regain"]].tolist() == [0.5733, 0.9739, 1.0, 2]
    assert table.loc[("lstm", "both", 70), "cut"] == 0.8029 and table.loc[("lstm", "both", 50), "regain"] == 0


def test_overview_and_sentences_by_hand():
    rows = pd.concat([summary(DROPS), summary({10: (0.2, 1), 20: (0.3, 1), 90: (0.5, 3)}, target="h2h")])
    both, h2h = tables.overview(rows, 0.01)[::-1]
    assert both["safe"] == 20 and both["regain"] == "30 %: 1 epoch, 90 %: 2 epochs, 100 %: no"
    assert h2h["safe"] == 0 and h2h["regain"] == "10-20 %: 1 epoch, 90 %: 3 epochs"
    (sentence,) = sentences.sentences(rows, 0.01)
    assert sentence == (
        "LSTM: nothing of h2h is free, 90 % costs 3 epochs; "
        "20 % of both kinds is free, 90 % costs 2 epochs, 100 % is not regained in 1 epoch."
    )


def test_several_seeds_give_the_median_and_its_range():
    rows = pd.concat(
        [summary({10: (drop, 0), 20: (0.5, None if seed else 1)}, seed=seed) for seed, drop in enumerate((0, 0, 0.5))]
    )
    (row,) = tables.overview(rows, 0.01)
    assert (row["seeds"], row["safe"], row["low"], row["high"]) == (3, 10, 0, 10)
    assert row["regain"] == "20 %: no"


def test_scores_of_a_sweep_are_told_apart():
    rows = pd.concat([summary({10: (0, 0)}), summary({10: (0.5, 1)}, score="random")])
    assert [sentence.split(":")[0] for sentence in sentences.sentences(rows, 0.01)] == ["LSTM, magnitude", "LSTM, random"]


def curve(values, seed=0):
    """Rows of curve.csv of the same series. values: percent -> accuracy."""
    row = {"cell": "lstm", "target": "both", "score": "magnitude", "scope": "global", "judge": "validation"}
    rows = [{**row, "seed": seed, "percent": percent, "accuracy": value} for percent, value in values.items()]
    return tables.as_series(rows)


def test_safe_percent_is_looked_at_between_the_levels():
    rows = summary({10: (0.0, 0), 20: (0.005, 0), 30: (0.02, 1)}).assign(from_base=1)
    whole = {percent: 1.0 - (0.005 if percent > 12 else 0) for percent in range(27)} | {27: 0.985, 28: 0.99, 29: 0.98, 30: 0.98}
    assert tables.safe_percents(rows, 0.01, curve=curve(whole))["safe"].tolist() == [26]
    assert tables.safe_percents(rows, 0.02, curve=curve(whole))["safe"].tolist() == [30]
    early = curve(whole | {15: 0.9})
    assert tables.safe_percents(rows, 0.01, curve=early)["safe"].tolist() == [14]  # what the levels jump over
    (row,) = tables.overview(rows, 0.01, curve=curve(whole))
    assert row["safe"] == 26 and row["lost"] == pytest.approx(0.005)
    between = summary({10.5: (0.0, 0), 99.5: (0.3, 1)}).assign(from_base=1)
    assert tables.safe_percents(between, 0.01, curve=curve(whole))["safe"].tolist() == [26]


def test_the_curve_says_nothing_of_levels_that_are_cut_from_others():
    """Nor where runs of before do not say from what their levels were cut."""
    whole = curve({percent: 1.0 if percent < 12 else 0.5 for percent in range(101)})
    rows = summary({10.5: (0.0, 0), 60.5: (0.005, 0), 80: (0.3, 1)})
    for known in (rows.assign(from_base=[1, 0, 0]), rows):
        assert tables.safe_percents(known, 0.01, curve=whole)["safe"].tolist() == [60.5]


def test_what_is_smaller_than_the_error_of_the_split_is_not_called_free():
    rows = pd.concat([summary({10: (0.004, 0), 20: (0.008, 0), 30: (0.5, 1)}, seed=seed) for seed in range(3)])
    rows.loc[(rows["seed"] == 2) & (rows["percent"] == 20), "cut_val_accuracy"] = 0.5
    told = sentences.sentences(rows, 0.01)
    assert told == ["LSTM: 20 % of both kinds (10 to 20 %, 3 seeds) is free, 30 % costs 1 epoch."]
    noisy = rows.assign(judge_error=0.009)
    assert tables.overview(noisy, 0.01)[0]["lost"] == pytest.approx(0.008)  # as the percent is, of the seed in the middle
    assert sentences.sentences(noisy, 0.01) == [
        "LSTM: 20 % of both kinds (10 to 20 %, 3 seeds) is not distinguishable from the base, 30 % costs 1 epoch."
    ]
    even = noisy[noisy["seed"] < 2]
    assert sentences.sentences(even, 0.01) == [
        "LSTM: 20 % of both kinds (all 2 seeds) is not distinguishable from the base, 30 % costs 1 epoch."
    ]
    assert sentences.sentences(even.assign(judge_error=0.001), 0.01)[0].startswith(
        "LSTM: 20 % of both kinds (all 2 seeds) is free"
    )
    assert "0.009." in sentences.errors(noisy, 0.01) and sentences.errors(rows, 0.01) is None


def test_a_base_that_ties_the_best_rule_is_told_first():
    rules = {"constant": 0.5, "bigram": 0.948, "length": 0.7}
    good = summary({10: (0, 0)}).assign(base_test_accuracy=0.99)
    bad = summary({10: (0, 0)}, cell="rnn_relu").assign(base_test_accuracy=0.767)
    told = sentences.sentences(pd.concat([good, bad]), 0.01, baselines=rules)
    assert told == [
        "RNN-ReLU: its base, at 0.7670 on test, has learned nothing that a rule does not reach: bigram, without learning, "
        "is at 0.9480.",
        "RNN-ReLU: 10 % of both kinds is free.",
        "LSTM: 10 % of both kinds is free.",
    ]
    scores = sentences.sentences(pd.concat([bad, bad.assign(score="random")]), 0.01, baselines=rules)
    assert scores[0].startswith("RNN-ReLU: its base") and [line.split(":")[0] for line in scores[1:]] == [
        "RNN-ReLU, magnitude", "RNN-ReLU, random",
    ]  # fmt: skip
    none = bad.assign(base_test_accuracy=0.505)  # no better than one label for all: there is nothing to be told of it
    assert len(sentences.sentences(none, 0.01, baselines=rules)) == 1
    tied = good.assign(base_test_accuracy=0.953, judge_error=0.008)
    assert "learned nothing" in sentences.sentences(tied, 0.01, baselines=rules)[0]
    assert "learned nothing" not in sentences.sentences(tied.assign(judge_error=0.004), 0.01, baselines=rules)[0]


def test_what_nothing_can_beat_is_no_rule_to_be_beaten():
    """Trigrams solve Reber's grammar: a network that solves it too has learned all that there is."""

    def rules(baselines, bounds=(), metric=ACCURACY):
        return list(Pruned(None, None, metric, baselines, None, bounds).rules)

    assert rules({"constant": 0.5, "bigram": 0.95, "trigram": 0.999}) == ["constant", "bigram"]
    bits = tasks.load({"name": "next_token"}).metric
    assert rules({"unigram": 2.5, "the grammar itself": 0.8}, ("the grammar itself",), bits) == ["unigram"]


def test_a_level_of_what_is_zero_already_is_idle():
    row = {"kept": 40, "total": 100, "base_zeros": 60}
    assert tables.idle(row) and not tables.idle({**row, "kept": 30})
    assert not tables.idle({**row, "base_zeros": math.nan}) and not tables.idle({**row, "base_zeros": 0, "kept": 100})


def test_targets_in_words():
    rows = summary({10: (0, 0)}, target="both-block")
    assert sentences.sentences(rows, 0.01) == ["LSTM: 10 % of both kinds in tiles is free."]


def test_na_stays_a_word(tmp_path):
    (tmp_path / "a.csv").write_text("cell,target,percent,val_accuracy\nNA,null,10,\n")
    frame = tables.read(tmp_path / "a.csv")
    assert frame["cell"].item() == "NA" and frame["target"].item() == "null" and math.isnan(frame["val_accuracy"].item())


def test_settings_of_all_combinations_take_a_row_each():
    jobs = [{"cell": cell, "seed": seed, "optimizer.lr": "0.1"} for cell in ("gru", "lstm") for seed in ("0", "1")]
    whole = joining.settings(dict(enumerate(jobs)))
    assert whole.columns == ["setting", "values, a job for each combination"]
    assert whole.rows == [["cell", "gru, lstm"], ["seed", "0, 1"]]
    some = joining.settings(dict(enumerate(jobs[:3])))
    assert some.columns == ["cell", "seed"] and some.rows == [["gru", "0"], ["gru", "1"], ["lstm", "0"]]
    assert joining.settings({0: jobs[0]}) is None


def test_a_safe_percent_of_units_is_the_smallest_at_which_as_many_go():
    rows = summary({30: (0.0, 0)}, target="unit").assign(from_base=1, kept=300, total=448)
    points = curve({percent: 1.0 if percent < 44 else 0.5 for percent in range(101)}).assign(target="unit")
    steps = [round(0.08 * percent) for percent in points["percent"]]  # eight units
    safe = tables.safe_percents(rows, 0.01, curve=points.assign(loss=steps))["safe"].tolist()
    assert safe == [32] and steps[32] == steps[43] == 3 and steps[31] == 2
    none = points.assign(accuracy=[1.0 if percent < 7 else 0.5 for percent in points["percent"]], loss=steps)
    assert tables.safe_percents(rows, 0.01, curve=none)["safe"].tolist() == [0]
    alone = summary({1: (0.0, 0)}, target="unit").assign(kept=448, total=448)
    assert tables.safe_percents(alone, 0.01)["safe"].tolist() == [0]
    assert tables.safe_percents(alone.assign(kept=300), 0.01)["safe"].tolist() == [1]


def test_methods_that_are_level_are_all_told():
    assert methods.listed(["a"]) == "a" and methods.listed(["a, b", "c", "d"]) == "a, b; c and d"
    keys = [("gru", "unit", "magnitude", "global", name) for name in ("bisect", "gradual", "iterative", "one_shot")]
    placed, values = np.array([[3.5, 1.5, 1.5, 3.5]]), np.array([[0.71, 0.8, 0.8, 0.71]])
    told = methods._sentence(keys, [key[-1] for key in keys], 90, placed, values, [1, 2, 4, 1], [1, 2, 0, 3], ACCURACY)
    assert "gradual and iterative are level (test accuracy 0.8000, mean rank 1.5 of 4, 2 epochs to 4 epochs of" in told
    assert "of those that spent the fewest, 1 epoch, bisect and one_shot (0.7100)" in told


def test_interval_is_students():
    assert drawing.interval([1.0, 2.0, 3.0]) == pytest.approx(4.302653 / 3**0.5, rel=1e-6)
    assert math.isnan(drawing.interval([1.0]))

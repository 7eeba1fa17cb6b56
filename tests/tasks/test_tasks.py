"""What tasks measure, by hand; that every direction goes through tables, regain and figures."""

import math

import pandas as pd
import pytest
import torch
from torch import nn

from espalier import SequenceClassifier, tasks
from espalier.analysis import tables
from espalier.errors import InputError
from espalier.learning.evaluation import evaluate, standard_error
from espalier.pruning.regain import Regain
from espalier.tasks import ACCURACY, Metric


def judged(name, outputs, targets):
    task = tasks.load({"name": name})
    total, count = task.score(outputs, targets)
    return float(task.loss(outputs, targets)), float(task.finish(total, count))


def test_classify_once_and_at_every_step():
    even, sure = torch.zeros(2), torch.tensor([0.0, math.log(3)])
    loss, accuracy = judged("classify", torch.stack([even, sure]), torch.tensor([0, 1]))
    assert loss == pytest.approx((math.log(2) + math.log(4 / 3)) / 2) and accuracy == 1
    stepwise = torch.stack([torch.stack([even, sure, sure])])
    loss, accuracy = judged("classify", stepwise, torch.tensor([[1, 0, -100]]))
    assert loss == pytest.approx((math.log(2) + math.log(4)) / 2) and accuracy == 0


def test_bits_of_even_guesses_are_the_logarithm_of_their_number():
    loss, bits = judged("next_token", torch.zeros(2, 3, 8), torch.tensor([[0, 5, -100], [1, -100, -100]]))
    assert bits == pytest.approx(3) and loss == pytest.approx(math.log(8))


def test_regress_is_the_root_of_the_mean_square():
    loss, rmse = judged("regress", torch.tensor([[1.0], [2.0], [9.0]]), torch.tensor([[4.0], [6.0], [math.nan]]))
    assert loss == pytest.approx(12.5) and rmse == pytest.approx(math.sqrt(12.5))
    with pytest.raises(InputError, match="task=regress: the outputs are"):
        judged("regress", torch.zeros(3, 2), torch.zeros(3, 1))


def test_an_evaluation_adds_up_over_batches_of_any_size():
    torch.manual_seed(0)
    values, targets = torch.randn(7, 1), torch.randn(7, 1)
    for name in ("regress",):
        task = tasks.load({"name": name})
        parts = [(values[part], targets[part]) for part in (slice(0, 2), slice(2, 7))]
        score = evaluate(torch.nn.Identity(), task, parts, torch.device("cpu"))
        assert score.value == pytest.approx(float((values - targets).square().mean().sqrt()), rel=1e-6)
        assert score.loss == pytest.approx(float((values - targets).square().mean()), rel=1e-6)
        assert score.columns("val") == {"val_loss": score.loss, "val_rmse": score.value}


def test_less_is_better_where_the_task_says_so():
    bits = tasks.load({"name": "next_token"}).metric
    assert bits.worse(2.0, 2.5) == 0.5 and ACCURACY.worse(0.9, 0.7) == pytest.approx(0.2)
    assert bits.allowed(2.0) == pytest.approx(0.02) and ACCURACY.allowed(0.5) == 0.01
    assert bits.told() == "1 %" and ACCURACY.told(0.05) == "0.05"
    regain = Regain(2.0, bits.allowed(2.0), higher=False, patience=1)
    assert not regain.update(2.03, 1, 5) and regain.update(2.019, 2, 9) and regain.epoch == 2
    again = Regain(0)
    again.load_state_dict(regain.state_dict())
    assert not again.higher and again.epoch == 2


def test_safe_percent_of_what_should_be_small():
    metric = Metric("bits", False, 0.1, relative=True)
    rows = [
        {"cell": "gru", "target": "both", "score": "magnitude", "scope": "global", "variant": "", "seed": 0, "percent": percent,
         "judge": "validation", "base_val_bits": 2.0, "cut_val_bits": cut, "base_test_bits": 9.0, "cut_test_bits": 9.0}
        for percent, cut in ((10, 1.9), (20, 2.19), (30, 2.3), (40, 2.0))
    ]  # fmt: skip
    assert tables.safe_percents(pd.DataFrame(rows), None, metric)["safe"].tolist() == [20]
    assert tables.safe_percents(pd.DataFrame(rows), 0.2, metric)["safe"].tolist() == [40]


def test_a_study_of_bits_tells_bits(door, tmp_path):
    arguments = ["data=embedded_reber", "data.train_size=200", "data.test_size=60", "cell=gru", "model.hidden=[8]",
                 "trainer.max_epochs=3", "retrain.max_epochs=2", "percent=[50,95]", "logger=none"]  # fmt: skip
    code, out, err = door("prune", *arguments)
    assert code == 0 and "within 1 % of the base" in out and "bits per token on test" in out, err
    (run,) = (tmp_path / "outputs" / "prune").glob("*/seed_0")
    summary = tables.read(run / "summary.csv")
    assert (summary["cut_val_bits"] >= summary["base_val_bits"]).all()  # what is cut costs bits
    assert (run / "figures" / "bits.svg").exists() and not (run / "figures" / "accuracy.svg").exists()
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "less is better" in page and "plus 1 %" in page and "accuracy" not in page.partition("<h2>Settings")[0]


def test_a_base_from_a_file_of_other_units_than_the_data_usually_get_keeps_its_own(door, tmp_path):
    sizes = dict(codes=8, outputs=8, readout="every_step")
    torch.save(SequenceClassifier("gru", (7,), **sizes).state_dict(), tmp_path / "base.pt")
    tiny = ["data=embedded_reber", "data.train_size=80", "data.test_size=40", "cell=gru", "logger=none", "percent=[50]"]
    tiny += ["base=base.pt", "retrain.max_epochs=1", "curve=false"]
    code, _, err = door("prune", *tiny, "model.dropout=0.3")
    assert code == 0, err
    (level,) = (tmp_path / "outputs" / "prune").rglob("levels/50.pt")
    content = torch.load(level, weights_only=True)["sizes"]
    assert content["hidden"] == [7] and content["dropout"] == 0.3
    code, _, err = door("prune", *tiny, "model.hidden=[9]")
    assert code == 2 and "has hidden=[7]" in err, err


def test_standard_error_by_hand():
    """Of an accuracy the binomial one, of a root mean square that of the mean times its slope; of a mean over steps that of a
    ratio, sequences standing for themselves.
    """
    device = torch.device("cpu")

    def error(task, outputs, targets, size=7):
        batches = list(zip(outputs.split(size), targets.split(size)))
        return standard_error(nn.Identity(), tasks.load(task), batches, device)

    torch.manual_seed(0)
    right = torch.arange(1000) < 923
    outputs = torch.stack([(~right).float(), right.float()], 1)
    assert error({"name": "classify"}, outputs, torch.ones(1000).long()) == pytest.approx(math.sqrt(0.923 * 0.077 / 999))
    right = torch.rand(10000) < 0.923  # of which some are looked at
    many = torch.stack([(~right).float(), right.float()], 1)
    told = error({"name": "classify"}, many, torch.ones(10000).long())
    assert told == pytest.approx(math.sqrt(0.923 * 0.077 / 1e4), rel=0.15)
    off = torch.randn(400, 1, dtype=torch.float64)
    squares = off.square()
    by_hand = squares.std() / math.sqrt(400) / (2 * squares.mean().sqrt())
    assert error({"name": "regress"}, off, torch.zeros(400, 1)) == pytest.approx(float(by_hand), rel=1e-4)
    steps = torch.full((50, 6), -100)
    steps[:, 0], steps[25:] = 1, 1  # sequences of one step and of six
    outputs = torch.zeros(50, 6, 2)
    outputs[::2, :, 1] = 1.0  # every other sequence is right throughout
    told = error({"name": "classify"}, outputs, steps, size=50)
    resampled = []
    for _ in range(4000):
        chosen = torch.randint(50, (50,))
        judged = steps[chosen] != -100
        hit = (outputs[chosen].argmax(-1) == 1) & judged
        resampled.append(float(hit.sum() / judged.sum()))
    assert told == pytest.approx(float(torch.tensor(resampled).std()), rel=0.1)  # the bootstrap's
    assert error({"name": "classify"}, outputs[:1, :1], torch.ones(1, 1).long()) is None  # of one nothing is known
    assert error({"name": "regress"}, torch.zeros(9, 1), torch.zeros(9, 1)) == 0.0

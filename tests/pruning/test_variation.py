"""The rule of redundant units, and the passes that follow it."""

import copy
import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import espalier
from espalier import SequenceClassifier
from espalier.analysis import tables
from espalier.errors import InputError
from espalier.pruning import make_masks
from espalier.pruning.context import Context
from espalier.pruning.redrawn import rescale
from espalier.pruning.structures import every_unit
from espalier.pruning.unit_scores.correlation import correlation
from espalier.pruning.unit_scores.variation import _score, variation
from espalier.settings import PruneConfig, Structure, from_yaml


def kept_by_the_study(points):
    """k-means of which both centres are set: the mean and the origin; ties stay."""
    middle = points.mean(0)
    return np.linalg.norm(points - middle, axis=1) <= np.linalg.norm(points, axis=1) + 1e-12


@settings(max_examples=60, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), count=st.integers(2, 9))
def test_the_rule_is_nearest_of_two_points(seed, count):
    shares = np.random.default_rng(seed).dirichlet(np.full(count, 0.7), 12)
    low, high, mean = (torch.from_numpy(part) for part in (shares.min(0), shares.max(0), shares.mean(0)))
    scores = _score(low, high, mean * 12, 12)
    points = np.stack([shares.mean(0) - shares.min(0), shares.max(0) - shares.mean(0)], 1)
    assert ((scores.numpy() >= 0.5 - 1e-9) == kept_by_the_study(points)).all()
    if count == 2:
        assert (scores >= 0.5 - 1e-9).all()  # of two units none is redundant


@pytest.mark.parametrize("batch_first", [True, False])
def test_shares_of_a_layer_by_hand(batch_first):
    torch.manual_seed(0)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.readers = nn.GRU(2, 5, batch_first=batch_first), {"rnn": []}

        def forward(self, values):
            return self.rnn(values)[0]

    model, values = Net(), torch.randn(7, 6, 2)
    inputs = values if batch_first else values.transpose(0, 1)
    (units,) = every_unit(model)
    batches = list(inputs.split(3, 0 if batch_first else 1))
    found = variation([units], Context(model, batches, torch.Generator()))[units]
    states = model(inputs).detach().double().numpy()
    sigma = states.std(1 if batch_first else 0)
    shares = sigma / sigma.sum(1, keepdims=True)
    points = np.stack([shares.mean(0) - shares.min(0), shares.max(0) - shares.mean(0)], 1)
    middle = points.mean(0)
    np.testing.assert_allclose(found.numpy(), points @ middle / (middle @ middle), rtol=1e-4)
    masks = espalier.prune(model, structure="unit", score="variation", rule="redundant", data=batches)
    assert int(masks["rnn.weight_hh_l0"].any(0).sum()) == kept_by_the_study(points).sum()


def test_step_by_step_there_are_no_whole_sequences():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.readers = nn.GRUCell(2, 3), {"cell": []}

        def forward(self, values):
            return self.cell(values)

    with pytest.raises(InputError, match="gives out no whole sequences"):
        espalier.prune(Net(), structure="unit", score="variation", data=[torch.randn(4, 2)])


def test_passes_go_on_until_no_unit_is_redundant(door, tmp_path):
    tiny = [
        "experiment=redundant_units", "model.hidden=[16]", "data.length=900", "trainer.max_epochs=4", "retrain.max_epochs=2",
        "curve=false", "costs=false", "logger=none",
    ]  # fmt: skip
    code, out, err = door("prune", *tiny)
    assert code == 0, err
    (path,) = (tmp_path / "outputs" / "prune").rglob("summary.csv")
    summary = tables.read(path)
    percents = summary["percent"].tolist()
    assert percents == sorted(set(percents)) and percents[0] > 0 and percents[-1] <= 100 * 14 / 16
    assert next((tmp_path / "outputs").rglob("variation.svg")).exists()
    assert "least squares" in out and set(summary["judge"]) == {"validation"} and "base_test_rmse" in summary
    code, _, err = door("prune", *tiny, "score=activation")
    assert code == 2 and "schedule=redundant drops what score=variation calls redundant" in err


def test_passes_from_scratch_train_networks_of_the_units_left_with_their_controls(door, tmp_path):
    tiny = [
        "experiment=redundant_units", "model.hidden=[16]", "data.length=900", "trainer.max_epochs=3", "retrain.max_epochs=1",
        "curve=false", "costs=false", "logger=none", "schedule.weights=scratch", "schedule.passes=2", "controls=true",
    ]  # fmt: skip
    code, _, err = door("prune", *tiny)
    assert code == 0, err
    results = {path.parent: json.loads(path.read_text()) for path in (tmp_path / "outputs" / "prune").rglob("result.json")}
    configs = {run: from_yaml(run / "config.yaml", PruneConfig) for run in results}
    (run,) = [run for run, one in configs.items() if one.score == "variation" and not one.fresh and one.percent != [0]]
    summary, widths = tables.read(run / "summary.csv"), results[run]["widths"]
    assert (summary["epochs"] == 3).all() and [16 * (1 - p / 100) for p in summary["percent"]] == [
        w for (w,) in widths.values()
    ]
    (weights,) = [run for run, one in configs.items() if one.structure == Structure.weight]  # as many weights, one by one
    theirs = tables.read(weights / "summary.csv")
    removed = [counts for counts in results[run]["removed"].values()]
    assert (theirs["total"] - theirs["kept"]).tolist() == [gone for gone, _ in removed]
    assert set(theirs["total"]) == {total for _, total in removed} == {4 * (16 + 256) + 20 * 16 * 20}
    page = (run / "report.html").read_text()
    for words in ("gradual, single weights", "fresh start, same masks", "Against other regularisers", "small dense"):
        assert words in page
    for figure in ("sizes", "forecast"):
        assert (run / "figures" / f"{figure}.svg").exists()


def test_weights_from_scratch_are_drawn_as_for_the_units_left():
    torch.manual_seed(0)
    wide = SequenceClassifier("lstm", (400,), features=1, outputs=3, readout="all_steps", steps=5, init="uniform")
    masks = make_masks(wide, structure="unit", percent=99, score="random")
    masks.weights(wide)
    rescale(wide, masks)
    narrow = 1 / 4**0.5
    for name in ("weight_ih_l0", "weight_hh_l0", "bias_ih_l0"):
        left = wide.get_parameter(f"recurrent.layers.0.{name}")
        assert narrow * 0.6 < left.abs().max() <= narrow and int((left != 0).sum()) in (16, 64)
    assert (1 / 20**0.5) * 0.8 < wide.head.weight.abs().max() <= 1 / 20**0.5


class Two(nn.Module):
    """Two layers and a head; of the lower layer some units are constant."""

    def __init__(self, readout):
        super().__init__()
        self.low, self.high, self.head = nn.RNN(2, 6, batch_first=True), nn.GRU(6, 5, batch_first=True), nn.Linear(5, 3)
        self.readers, self.readout = {"low": ["high"], "high": ["head"]}, readout
        with torch.no_grad():
            self.low.weight_ih_l0[:2] = self.low.weight_hh_l0[:2] = self.low.weight_hh_l0[:, :2] = 0

    def forward(self, values):
        return self.head(self.high(self.low(values)[0])[0])


def test_units_of_constant_output_are_cut_without_any_change():
    torch.manual_seed(0)
    model, values = Two("last").double(), torch.randn(20, 7, 2, dtype=torch.float64)
    before = model(values)
    masks = espalier.prune(model, structure="unit", percent=34, score="variation", data=[values], modules=["low"])
    assert not masks["low.weight_ih_l0"][:2].any() and masks["low.weight_ih_l0"][2:].all()
    other = torch.randn(9, 5, 2, dtype=torch.float64)
    assert (model(values) - before).abs().max() < 1e-12
    torch.manual_seed(0)
    assert (model(other) - Two("last").double()(other)).abs().max() < 1e-12
    naive = Two("last").double()
    naive.load_state_dict(model.state_dict())
    assert model.low.bias_ih_l0[:2].eq(0).all()  # what went is zero, biases too


def test_what_goes_is_replaced_by_its_mean():
    torch.manual_seed(0)
    model, values = nn.Sequential(), torch.randn(50, 7, 3)
    model = SequenceClassifier("lstm", (12,), features=3, outputs=2, readout="all_steps", steps=7)
    lengths = torch.full((50,), 7)
    before = model(values, lengths).detach()
    masks = make_masks(model, structure="unit", percent=50, score="variation", data=[(values, lengths)])
    changes = []
    for cut in (masks.cut, masks.weights):
        twin = copy.deepcopy(model)
        cut(twin)
        changes.append((twin(values, lengths) - before).square().mean())
    assert changes[0] < 0.7 * changes[1]


def test_of_units_that_are_alike_one_stays():
    torch.manual_seed(0)
    model = nn.RNN(3, 6, batch_first=True)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter[4] = parameter[1]  # a twin, but for what it tells itself
        model.weight_hh_l0[:, 1] = model.weight_hh_l0[:, 4] = model.weight_hh_l0[:, 5] = 0
        for parameter in model.parameters():
            parameter[5] = 0
        model.bias_ih_l0[5] = 1  # constant
    (units,) = every_unit(model)
    scores = correlation([units], Context(model, [torch.randn(30, 8, 3)], torch.Generator()))[units]
    order = torch.argsort(scores, stable=True).tolist()
    assert order[0] == 5 and order[1] in (1, 4) and scores[order[1]] < 1e-9
    assert scores[5 - order[1]] > 0.01 or order[-1] == 5 - order[1]
    masks = espalier.prune(model, structure="unit", percent=34, score="correlation", data=[torch.randn(30, 8, 3)])
    gone = torch.nonzero(~masks["weight_hh_l0"].any(0)).flatten().tolist()
    assert 5 in gone and len({1, 4} & set(gone)) == 1


def test_a_forecast_reads_all_steps_and_shrinks(door, tmp_path):
    tiny = ["data=sine", "data.length=600", "model.hidden=[8]", "trainer.max_epochs=1", "retrain.max_epochs=0", "logger=none"]
    code, _, err = door(
        "prune", *tiny, "structure=unit", "score=outgoing", "percent=50", "export=torch", "cell=gru", "curve=false"
    )
    assert code == 0, err
    (shrunk,) = (tmp_path / "outputs" / "prune").rglob("export/50.pt")
    head = torch.load(shrunk, weights_only=True)
    head = head.get("state_dict", head)["head.weight"]
    assert head.shape == (20, 4 * 20)

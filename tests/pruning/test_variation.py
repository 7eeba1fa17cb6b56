"""The rule of redundant units, and the passes that follow it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import espalier
from espalier.analysis import tables
from espalier.errors import InputError
from espalier.pruning.context import Context
from espalier.pruning.structures import every_unit
from espalier.pruning.unit_scores.variation import _score, variation


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
    assert next((tmp_path / "outputs").rglob("variation.svg")).stat().st_size > 5000
    assert "least squares" in out and set(summary["judge"]) == {"validation"} and "base_test_rmse" in summary
    code, _, err = door("prune", *tiny, "score=activation")
    assert code == 2 and "schedule=redundant drops what score=variation calls redundant" in err


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

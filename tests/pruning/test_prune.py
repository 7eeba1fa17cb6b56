import copy

import numpy as np
import pytest
import torch
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.pruning import SCOPES, SCORES, Masks, make_masks, prune, recurrent_weights, select
from espalier.pruning.rules import exact, percentile, threshold

EXAMPLE = torch.tensor([[-0.685, 0.530, -0.464], [-0.534, 0.828, 0.045], [-0.123, 0.629, -0.014]])


def test_the_studys_worked_example():
    """Section 5.2: 10 percent of a 3 x 3 matrix; the text gives 0.0387 for a threshold of 0.0388."""
    scores = EXAMPLE.abs().flatten()
    assert threshold(scores, 10) == pytest.approx(0.0388, abs=1e-6)
    assert percentile(scores, 10).view(3, 3).int().tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]
    assert exact(scores, 10).view(3, 3).int().tolist() == [[1, 1, 1], [1, 1, 1], [1, 1, 0]]


def test_ties_tell_the_exact_rule_from_the_percentile():
    scores = torch.tensor([2.0, 1.0, 1.0, 1.0, 1.0])
    assert exact(scores, 40).tolist() == [True, False, False, True, True]
    assert percentile(scores, 40).tolist() == [True] * 5
    assert exact(scores, 100).sum() == 0 and percentile(scores, 100).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("percent", [0, 3, 33.3, 50, 99, 100])
@pytest.mark.parametrize("n", [1, 7, 100])
def test_exact_counts(percent, n):
    assert int((~exact(torch.rand(n), percent)).sum()) == round(percent / 100 * n)


#: Scores that leave the weights that stay as they are, and what those that look at data need.
KEEPING = [name for name, score in SCORES.items() if not hasattr(score, "compensated")]
NEEDED = {"obd": dict(data=[torch.randn(7, 5, 3, generator=torch.Generator().manual_seed(0))], loss="squared_error")}


class Mine(nn.Module):
    """Anyone's network: several kinds of recurrent layers inside."""

    def __init__(self):
        super().__init__()
        self.front = nn.Linear(3, 4)
        self.lstm = nn.LSTM(4, 5, num_layers=2, bidirectional=True, batch_first=True)
        self.gru = nn.GRU(10, 3, bias=False)
        self.cell = nn.RNNCell(3, 2)

    def forward(self, values):
        states = self.gru(self.lstm(self.front(values))[0])[0]
        return self.cell(states[:, -1])


def test_selection_by_hand():
    names = [weight.name for weight in recurrent_weights(Mine())]
    assert len(names) == 8 + 2 + 2 and names[-1] == "cell.weight_hh" and "lstm.weight_ih_l1_reverse" in names
    assert all(weight.kind == "h2h" for weight in select(Mine(), "h2h"))
    assert [weight.name for weight in select(Mine(), "i2h", "gru")] == ["gru.weight_ih_l0"]
    assert {weight.gates for weight in select(Mine(), "both", ["lstm"])} == {4}
    assert [weight.name for weight in recurrent_weights(nn.GRU(2, 2))] == ["weight_ih_l0", "weight_hh_l0"]


def test_layer_scope_pools_both_directions_and_kinds():
    layers = {weight.layer for weight in recurrent_weights(nn.LSTM(3, 2, num_layers=2, bidirectional=True))}
    assert layers == {"l0", "l1"}


@pytest.mark.parametrize("score", KEEPING)
@pytest.mark.parametrize("scope", list(SCOPES))
@pytest.mark.parametrize("target", ["i2h", "h2h", "both"])
def test_counts_in_every_group_and_untouched_rest(score, scope, target):
    torch.manual_seed(0)
    model = Mine()
    before = copy.deepcopy(model.state_dict())
    masks = prune(model, target, 37, score, scope, **NEEDED.get(score, {}))
    groups = {}
    for weight in select(model, target):
        for gate, block in enumerate(masks[weight.name].chunk(weight.gates)):
            key = {"global": 0, "layer": weight.layer, "tensor": weight.name, "gate": (weight.name, gate)}[scope]
            groups.setdefault(key, []).append(block.flatten())
    for blocks in groups.values():
        mask = torch.cat(blocks)
        assert int((~mask).sum()) == round(0.37 * len(mask))
    for name, value in model.state_dict().items():
        expected = before[name] * masks[name] if name in list(masks) else before[name]
        assert torch.equal(value, expected)


def test_magnitude_keeps_the_large_ones():
    model = nn.RNN(2, 2)
    with torch.no_grad():
        model.weight_ih_l0.copy_(torch.tensor([[0.1, -0.9], [0.5, 0.2]]))
        model.weight_hh_l0.copy_(torch.tensor([[-0.3, 0.8], [0.05, -0.4]]))
    masks = prune(model, "both", 50)
    assert masks["weight_ih_l0"].tolist() == [[False, True], [True, False]]
    assert masks["weight_hh_l0"].tolist() == [[False, True], [False, True]]
    assert model.weight_hh_l0.tolist() == [[0, pytest.approx(0.8)], [0, pytest.approx(-0.4)]]


@pytest.mark.parametrize("score", list(SCORES))
def test_percent_is_absolute_and_pruning_further_is_nested(score):
    torch.manual_seed(0)
    model = Mine()
    needed = NEEDED.get(score, NEEDED["obd"])
    first = prune(model, "both", 50, score, "global", generator=torch.Generator().manual_seed(1), **needed)
    second = prune(model, "both", 80, score, "global", generator=torch.Generator().manual_seed(2), **needed)
    assert second.total - second.kept == round(0.8 * second.total)
    assert all(not (second[name] & ~first[name]).any() for name in first)


def test_random_follows_its_generator():
    def masks(seed):
        return make_masks(nn.LSTM(3, 4), "both", 50, "random", generator=torch.Generator().manual_seed(seed))

    assert masks(1) == masks(1) and masks(1) != masks(2)


def test_make_masks_leaves_the_model_alone():
    model = nn.GRU(3, 4)
    before = copy.deepcopy(model.state_dict())
    masks = make_masks(model, "h2h", 100)
    assert masks.kept == 0 and all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_published_rule_equals_numpy_over_all_layers():
    torch.manual_seed(0)
    model = espalier.SequenceClassifier("gru", (6, 5))
    weights = {w.name: w.parameter.detach().abs().numpy() for w in select(model, "h2h")}
    limit = np.percentile(np.concatenate([value.ravel() for value in weights.values()]), 70)
    masks = make_masks(model, "h2h", 70, rule="percentile")
    assert all((masks[name].numpy() == (value >= limit)).all() for name, value in weights.items())


@pytest.mark.parametrize(
    "arguments, told",
    [
        (dict(target="hidden"), "i2h, h2h, both"),
        (dict(percent=101), "0 to 100, got 101"),
        (dict(percent="many"), "number"),
        (dict(percent=float("nan")), "number"),
        (dict(score="taylor"), "score=taylor ranks hidden units"),
        (dict(scope="row"), "global, layer, tensor, gate"),
        (dict(rule="soft"), "exact, percentile"),
        (dict(modules="lstm.l0"), "weight_ih_l0"),
    ],
)
def test_bad_arguments_are_told(arguments, told):
    with pytest.raises(InputError, match=told):
        prune(Mine(), **{"percent": 50, **arguments})


def test_a_model_without_recurrent_layers_is_refused():
    with pytest.raises(InputError, match=r"holds no nn\.RNN"):
        prune(nn.Linear(2, 2), percent=50)


def test_weights_that_are_not_finite_are_refused():
    model = nn.RNN(2, 2)
    with torch.no_grad():
        model.weight_hh_l0[0, 0] = torch.nan
    with pytest.raises(InputError, match="weight_hh_l0 holds values that are not finite"):
        prune(model, percent=50)


def test_tied_weights_are_one():
    model = nn.ModuleList([nn.RNN(2, 3), nn.RNN(2, 3)])
    model[1].weight_hh_l0 = model[0].weight_hh_l0
    masks = prune(model, "h2h", 50)
    assert list(masks) == ["0.weight_hh_l0"] and torch.equal(model[1].weight_hh_l0, model[0].weight_hh_l0)


def test_masks_save_load_copy_and_compare(tmp_path):
    masks = prune(nn.LSTM(3, 4), "both", 60)
    torch.save(masks.state_dict(), tmp_path / "masks.pt")
    loaded = Masks(torch.load(tmp_path / "masks.pt", weights_only=True))
    assert loaded == masks == copy.deepcopy(masks)
    assert masks.percent == pytest.approx(60, abs=0.5) and "kept" in repr(masks)
    assert masks.within("model")["model.weight_ih_l0"] is not None


def test_masks_of_another_model_are_refused():
    masks = make_masks(nn.LSTM(3, 4), "both", 50)
    with pytest.raises(InputError, match="the model has no weight_ih_l0"):
        masks.weights(nn.Linear(3, 4))
    with pytest.raises(InputError, match="its mask"):
        masks.weights(nn.LSTM(3, 5))


def test_a_pruned_model_stays_plain_torch(tmp_path):
    torch.manual_seed(0)
    model = nn.LSTM(3, 4)
    names = list(model.state_dict())
    prune(model, "both", 50)
    model(torch.randn(5, 2, 3))[0].sum().backward()
    twin = copy.deepcopy(model)
    assert list(model.state_dict()) == names == list(twin.state_dict())
    fresh = nn.LSTM(3, 4)
    torch.save(model.state_dict(), tmp_path / "model.pt")
    fresh.load_state_dict(torch.load(tmp_path / "model.pt", weights_only=True))
    inputs = torch.randn(5, 2, 3)
    assert torch.equal(fresh(inputs)[0], twin(inputs)[0])

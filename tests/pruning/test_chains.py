"""Hidden units of linear layers: pruned, found dead, removed; the smaller network is the same function."""

import copy

import pytest
import torch
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.nn.feedforward import FeedForward
from espalier.pruning import plan

FUNCTIONS = [nn.ReLU(), nn.Tanh(), nn.Sigmoid(), nn.GELU(), nn.Softplus()]


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("score", ["magnitude", "incoming", "outgoing", "activation", "taylor", "random"])
def test_pruned_units_are_removed_and_the_function_stays(score, bias):
    model, inputs = FeedForward(7, 3, [12, 10, 8], bias=bias).double(), torch.randn(20, 7, dtype=torch.float64)
    model(inputs).square().mean().backward()
    masks = espalier.prune(model, structure="unit", percent=50, score=score, data=[inputs])
    small = espalier.shrink(model, say=None)
    assert [layer.out_features for layer in small.layers if isinstance(layer, nn.Linear)] == [6, 5, 4, 3]
    torch.testing.assert_close(small(inputs), model(inputs), rtol=1e-10, atol=1e-10)
    left = sum(parameter.numel() for parameter in small.parameters())
    assert left == masks.kept + (3 if bias else 0)  # the last layer's biases do not compete
    assert [line for line in plan(model).lines if "6 of 12" in line]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda one: type(one).__name__)
def test_constants_go_into_the_next_bias(function):
    model = nn.Sequential(nn.Linear(4, 6), function, nn.Linear(6, 5, bias=False), function, nn.Linear(5, 2)).double()
    inputs = torch.randn(9, 4, dtype=torch.float64)
    with torch.no_grad():
        model[0].weight[:3] = 0
        model[0].bias[:3] = 0.5
        model[2].weight[1, 3:] = 0
    small = espalier.shrink(model, say=None)
    assert (small[0].out_features, small[2].out_features) == (3, 4) and small[2].bias is not None
    torch.testing.assert_close(small(inputs), model(inputs), rtol=1e-10, atol=1e-10)
    assert "3 of 6 units stay, 3 constants go into biases" in str(plan(model))


def test_what_training_would_drop_is_no_constant():
    model = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.5), nn.Linear(6, 2))
    with torch.no_grad():
        model[0].weight[:3] = 0
        model[0].bias[:3] = torch.tensor([1.0, -1.0, 0.0])
    assert espalier.shrink(model, say=None)[0].out_features == 4  # the first is other than zero


def test_what_nothing_reads_is_dead_back_to_the_first_layer():
    model = FeedForward(4, 2, [5, 4]).double()
    with torch.no_grad():
        model.layers[4].weight[:, :2] = 0
        model.layers[2].weight[2:, 0] = 0
    small = espalier.shrink(model, say=None)
    assert (small.layers[0].out_features, small.layers[2].out_features) == (4, 2)


class Mixed(nn.Module):
    """A recurrent layer, read by a chain."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(3, 6, batch_first=True)
        self.head = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 2))

    def forward(self, values):
        return self.head(self.rnn(values)[0])


def test_recurrent_and_linear_units_of_one_model():
    model, values = Mixed().double(), torch.randn(4, 5, 3, dtype=torch.float64)
    readers = {"rnn": ["head.0"], "head.0": ["head.2"]}
    espalier.prune(model, structure="unit", percent=50, readers=readers)
    small = espalier.shrink(model, readers=readers, say=None)
    assert small.rnn.hidden_size == 3 and small.head[0].weight.shape == (4, 3)
    torch.testing.assert_close(small(values), model(values), rtol=1e-10, atol=1e-10)
    only = espalier.shrink(model, readers={"head.0": ["head.2"], "rnn": ["head.0"]}, say=None)
    assert only.head[0].out_features == 4
    before = copy.deepcopy(model)
    espalier.prune(model, structure="unit", percent=75, readers=readers, modules="head.0")
    assert all(torch.equal(one, other) for one, other in zip(model.rnn.parameters(), before.rnn.parameters()))


def test_the_studys_network_shrinks_to_the_studys_sizes():
    """Kept units and weights left per percentile of column norms, the last layer kept."""
    published = {1: 2_346_300, 5: 2_190_700, 10: 2_003_400, 15: 1_824_100, 25: 1_489_500, 50: 793_000, 80: 221_200, 95: 43_300}
    dense = FeedForward(784, 10, [1000, 1000, 500, 200], bias=False)
    assert sum(parameter.numel() for parameter in dense.parameters()) == 2_386_000
    inputs = torch.rand(3, 784)
    for percent, left in published.items():
        model = copy.deepcopy(dense)
        espalier.prune(model, structure="unit", percent=percent, score="incoming")
        small = espalier.shrink(model, say=None)
        widths = [layer.out_features for layer in small.layers if isinstance(layer, nn.Linear)]
        assert widths == [round((1 - percent / 100) * width) for width in (1000, 1000, 500, 200)] + [10]
        assert sum(parameter.numel() for parameter in small.parameters()) == left
        torch.testing.assert_close(small(inputs), model(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "readers, told",
    [
        ({"head.0": ["head.2", "rnn"]}, "has one reader, the next nn.Linear"),
        ({"head.2": ["head.0"]}, "only element-wise functions may stand"),
        ({"head.0": ["rnn"]}, "must stand in one nn.Sequential"),
        ({"head.0": ["head.1"]}, "only element-wise functions may stand"),
    ],
)
def test_what_is_no_chain_is_told(readers, told):
    with pytest.raises(InputError, match=told):
        espalier.shrink(Mixed(), readers={"rnn": ["head.0"], **readers}, say=None)


def test_other_layers_between_are_told_and_all_dead_is_refused():
    model = nn.Sequential(nn.Linear(4, 4), nn.LayerNorm(4), nn.Linear(4, 2))
    with pytest.raises(InputError, match="element-wise functions may stand, not LayerNorm"):
        espalier.shrink(model, readers={"0": ["2"]}, say=None)
    chain = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    nn.init.zeros_(chain[2].weight)
    with pytest.raises(InputError, match="all 4 units of 0 are dead"):
        espalier.shrink(chain, say=None)


class Skip(nn.Sequential):
    def forward(self, values):
        hidden = self[1](self[0](values))
        return self[2](hidden), hidden.sum(1)


def test_a_sequential_that_does_something_else_is_no_chain():
    model = Skip(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    with torch.no_grad():
        model[2].weight[:, 0] = 0
    with pytest.raises(InputError, match="holds no nn"):
        espalier.shrink(model, say=None)
    with pytest.raises(InputError, match="must stand in one nn"):
        espalier.shrink(model, readers={"0": ["2"]}, say=None)

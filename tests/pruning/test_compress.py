"""Goals instead of percents, and what each part tolerates."""

import copy

import pytest
import torch
from torch import nn

import espalier
from espalier.errors import InputError


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 16, batch_first=True), nn.Linear(16, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


def example(batch, time):
    return (torch.randn(batch, time, 4),)


@pytest.fixture
def net():
    torch.manual_seed(0)
    return Tagger()


def weights_left(model):
    """A made-up quality: how much of the head is left."""
    return float((model.head.weight != 0).sum()) / 48


def test_shares_are_met_with_as_few_units_gone_as_they_ask_for(net):
    before, lines = copy.deepcopy(net.state_dict()), []
    small, tries = espalier.compress(net, example, parameters=0.5, multiply_adds=0.6, precision=2, say=lines.append)
    total = sum(p.numel() for p in net.parameters())
    assert sum(p.numel() for p in small.parameters()) / total == tries[-1]["parameters"] <= 0.5
    assert (
        tries[-1]["multiply_adds"] <= 0.6
        and tries[-1]["meets"]
        and tries[-1]["kept"] == {"rnn, layer 0": small.rnn.hidden_size}
    )
    one_more = small.rnn.hidden_size + 1
    assert 3 * one_more * (4 + one_more + 2) + 3 * one_more + 3 > 0.5 * total  # a unit more would be too many
    assert len(lines) == len(tries) == 1 and all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    x = torch.randn(3, 9, 4)
    assert small(x).shape == net(x).shape


def test_as_much_goes_as_the_loss_of_quality_allows(net):
    small, tries = espalier.compress(
        net, example, within=0.3, evaluate=lambda model: model.rnn.hidden_size / 16, precision=3, say=None
    )
    assert small.rnn.hidden_size == 12 and [row["meets"] for row in tries].count(True) >= 1  # 11 would lose more than 0.3
    losses = {row["percent"]: 1 - row["quality"] for row in tries}
    assert all((loss <= 0.3) == row["meets"] for loss, row in zip(losses.values(), tries))
    small, _ = espalier.compress(
        net, example, within=0.3, evaluate=lambda model: -model.rnn.hidden_size / 16, higher=False, precision=3, say=None
    )
    assert small.rnn.hidden_size == 12


def test_it_trains_after_every_cut_and_in_rounds(net):
    seen = []

    def train(network, masks):
        seen.append(round(100 * float(network.rnn.weight_hh_l0.eq(0).all(0).double().mean())))
        with masks.attached(network, torch.optim.SGD(network.parameters(), 0.1)) as _:
            network(torch.randn(4, 6, 4)).sum().backward()

    small, _ = espalier.compress(net, example, parameters=0.4, train=train, rounds=3, precision=5, say=None)
    removed = round(100 * (1 - small.rnn.hidden_size / 16))
    assert seen == sorted(seen) and len(seen) == 3 and seen[-1] == removed and seen[0] > 0.5 * removed  # a cubic ramp


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({}, "say a goal"),
        ({"size": 0.5}, "a goal is one of"),
        ({"parameters": 2}, "above 0 and below 1"),
        ({"within": 0.1}, "within= needs evaluate="),
        ({"parameters": 0.0001}, "is not reached by removing"),
        ({"parameters": 0.5, "within": 0.1, "evaluate": lambda model: model.rnn.hidden_size}, "costs more than 0.1: quality"),
        (
            {"within": 0.0, "evaluate": lambda model: model.rnn.hidden_size, "precision": 10},
            "no percent of units keeps 16 within 0",
        ),
    ],
)
def test_what_cannot_be_met_is_told_with_the_numbers(net, arguments, told):
    with pytest.raises(InputError) as error:
        espalier.compress(net, example, say=None, **arguments)
    assert told in str(error.value) and "\n" not in str(error.value)


@pytest.mark.rendered
def test_every_layer_kind_and_gate_alone(net, tmp_path):
    before, lines = copy.deepcopy(net.state_dict()), []

    def zeros(model):
        return sum(int((p == 0).sum()) for p in model.parameters())

    rows = espalier.sensitivity(net, zeros, percents=(0, 50, 100), figure=tmp_path / "parts.png", say=lines.append)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    quality = {(row["layer"], row["kind"], row["gate"], row["percent"]): row["quality"] for row in rows}
    assert quality["rnn.l0", "i2h", "", 50] == 96 and quality["rnn.l0", "h2h", "r", 50] == 128
    assert quality["rnn.l0", "h2h", "", 100] == 768 and quality["head", "linear", "", 50] == 24
    assert len(rows) == 3 * (2 * 4 + 1) == 3 * len(lines) and all(quality[key] == 0 for key in quality if key[-1] == 0)
    assert (tmp_path / "parts.svg").stat().st_size > 5000
    with pytest.raises(InputError, match="holds no recurrent or linear layer"):
        espalier.sensitivity(nn.ReLU(), zeros)

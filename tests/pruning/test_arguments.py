"""Arguments: numbers, readers and masks as one may write them."""

import warnings

import numpy as np
import pytest
import torch
from networks import LastNet
from torch import nn

import espalier
from espalier.errors import InputError


@pytest.mark.parametrize(
    "percent",
    [np.int64(50), np.float32(50), np.array(50), torch.tensor(50), torch.tensor(50.0)],
    ids=lambda p: type(p).__name__,
)
def test_numbers_are_numbers(percent):
    assert espalier.prune(LastNet(), percent=percent).kept == 120
    assert espalier.Pruning(percent=percent).arguments["percent"] == 50


@pytest.mark.parametrize("percent", [True, np.bool_(True), np.array([50]), torch.tensor([50.0]), "50", None, float("nan")])
def test_other_things_are_not(percent):
    with pytest.raises(InputError, match="percent must be a number from 0 to 100"):
        espalier.prune(LastNet(), percent=percent)


def test_a_percent_that_looks_like_a_share_is_said():
    with pytest.warns(UserWarning, match=r"percent=0\.8 removes 0\.8 % of the weights; for 80 % say 80"):
        masks = espalier.prune(LastNet(), percent=0.8)
    assert masks.kept == 238
    with pytest.warns(UserWarning, match="for 80 % say 80"):
        espalier.Pruning(percent=0.8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        espalier.prune(LastNet(), percent=1)
        espalier.prune(LastNet(), percent=0)


@pytest.mark.parametrize("readers", [{"rnn": [["head", 1]]}, {"rnn": ("head",)}, {"rnn": [("head",)]}, {"rnn": [("head", 1)]}])
def test_readers_in_every_notation(readers):
    net = LastNet()
    espalier.prune(net, percent=50, structure="unit", readers=readers)
    assert espalier.shrink(net, readers, say=None).rnn.hidden_size == 3


@pytest.mark.parametrize(
    "readers, told",
    [
        ({"rnn": None}, r"readers\['rnn'\] must be a list of names, got None; \[\] says that nobody reads it"),
        ({"rnn": [3]}, "3 is neither the name of a module nor"),
        ({"rnn": [()]}, r"\(\) is neither"),
        ({"rnn": [("head", 0)]}, r"\('head', 0\) is neither"),
        ({"rnn": [("head", "twice")]}, "is neither"),
        ([["rnn", "head"]], "readers must be a dict"),
    ],
)
def test_readers_that_are_none(readers, told):
    for act in (
        lambda: espalier.shrink(LastNet(), readers, say=None),
        lambda: espalier.prune(LastNet(), percent=50, structure="unit", readers=readers),
    ):
        with pytest.raises(InputError, match=told):
            act()


def test_masks_of_nothing_are_refused():
    with pytest.raises(InputError, match="masks of nothing"):
        espalier.Masks({})


def test_a_score_of_the_other_kind_says_what_it_needs():
    with pytest.raises(InputError, match="score=taylor ranks hidden units: add structure='unit'"):
        espalier.prune(nn.LSTM(3, 4), score="taylor")
    with pytest.raises(InputError, match="score=obd ranks single weights: add structure='weight'"):
        espalier.prune(nn.LSTM(3, 4), score="obd", structure="unit", readers={"": []})


def test_regain_tells_itself():
    regain = espalier.Regain(0.9, 0.02)
    assert repr(regain) == "Regain(base=0.9, tolerance=0.02, censored)"
    regain.update(0.95, 1, 12)
    assert regain.censored  # one look is luck
    regain.update(0.95, 1, 24)
    assert repr(regain) == "Regain(base=0.9, tolerance=0.02, epoch=1, step=12)"


class Whole(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.conv = nn.Embedding(10, 6), nn.Conv1d(6, 5, 3)
        self.rnn, self.head = nn.GRU(5, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, tokens):
        return self.head(self.rnn(self.conv(self.embed(tokens).transpose(1, 2)).transpose(1, 2))[0])


def test_all_weights_and_those_named():
    torch.manual_seed(0)
    model = Whole()
    masks = espalier.make_masks(model, target="all", percent=50, scope="tensor")
    assert {name: (mask.shape, int(mask.sum())) for name, mask in masks.items()} == {
        "embed.weight": ((10, 6), 30), "conv.weight": ((5, 6, 3), 45), "rnn.weight_ih_l0": ((24, 5), 60),
        "rnn.weight_hh_l0": ((24, 8), 96), "head.weight": ((3, 8), 12),
    }  # fmt: skip
    masks.cut(model)
    model(torch.randint(0, 10, (2, 9)))
    assert set(espalier.make_masks(model, modules=["conv", "embed"], percent=10)) == {"conv.weight", "embed.weight"}
    assert set(espalier.make_masks(model, modules=["conv", "rnn"], target="i2h")) == {"conv.weight", "rnn.weight_ih_l0"}
    tiles = espalier.make_masks(model, target="all", structure="block", block=(2, 4), percent=50)["conv.weight"]
    assert tiles.shape == (5, 6, 3) and all(part.all() or not part.any() for part in tiles.flatten(1)[:2].split(4, 1))
    model.head.weight = nn.Parameter(torch.randn(3, 8))
    data, loss = [torch.randint(0, 10, (4, 9))], "squared_error"
    assert espalier.make_masks(model, target="all", score="obd", data=data, loss=loss, percent=50).percent == pytest.approx(
        50, abs=1
    )
    with pytest.raises(InputError, match="score=obs knows linear and recurrent layers, 'embed' is Embedding"):
        espalier.make_masks(model, target="all", score="obs", data=data)


@pytest.mark.parametrize("structure", ["weight", "block"])
def test_gates_apart_and_a_diagonal_that_stays(structure):
    torch.manual_seed(0)
    model, gates = nn.GRU(16, 24), {"r": 70, "z": 80, "n": 50}
    more = {"block": (8, 4)} if structure == "block" else {}
    masks = espalier.make_masks(model, percent=100, gates=gates, keep_diagonal=True, structure=structure, **more)
    for name, columns in (("weight_ih_l0", 16), ("weight_hh_l0", 24)):
        for letter, part in zip("rzn", masks[name].chunk(3)):
            size = 24 * columns // (32 if more else 1)
            kept = size - round(gates[letter] / 100 * size)
            square = name == "weight_hh_l0"
            assert not square or part.diagonal().all()
            if structure == "weight":
                assert int(part.sum()) == kept
            else:
                whole = part.unfold(0, 8, 8).unfold(1, 4, 4).flatten(2)
                assert int(whole.all(2).sum()) == kept  # the rest of the diagonal stands alone in its tiles
                assert square or int(whole.any(2).sum()) == kept
    half = espalier.make_masks(model, percent=50, gates={"r": 70})
    assert [int(part.sum()) for part in half["weight_ih_l0"].chunk(3)] == [384 - round(0.35 * 384), 192, 192]
    for wrong, told in (({"q": 5}, "there is no gate 'q'; there are n, r, z"), ({"r": 101}, "must be a percent from 0 to 100")):
        with pytest.raises(InputError, match=told):
            espalier.make_masks(model, gates=wrong)

"""Arguments: numbers, readers and masks as one may write them."""

import warnings

import numpy as np
import pytest
import torch
from networks import LastNet

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


def test_regain_tells_itself():
    regain = espalier.Regain(0.9, 0.02)
    assert repr(regain) == "Regain(base=0.9, tolerance=0.02, censored)"
    regain.update(0.95, 1, 12)
    assert repr(regain) == "Regain(base=0.9, tolerance=0.02, epoch=1, step=12)"

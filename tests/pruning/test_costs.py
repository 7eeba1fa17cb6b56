import pytest
import torch
from torch import nn
from zoo import ZOO

import espalier
from espalier.errors import InputError
from espalier.nn import CELLS, SequenceClassifier
from espalier.pruning.costs import costs, quartiles, worth
from espalier.pruning.csr import CsrLayer, to_csr


@pytest.mark.parametrize("kind, more", [(nn.RNN, {}), (nn.RNN, {"nonlinearity": "relu"}), (nn.GRU, {}), (nn.LSTM, {})])
@pytest.mark.parametrize("layout", [{}, {"num_layers": 2, "bidirectional": True}, {"bias": False, "batch_first": True}])
def test_csr_computes_what_torch_does(kind, more, layout):
    torch.manual_seed(0)
    model = kind(5, 6, **more, **layout)
    espalier.prune(model, percent=70)
    x = torch.randn(7, 3, 5)
    (out, last), (sparse_out, sparse_last) = model(x), to_csr(model)(x)
    torch.testing.assert_close(sparse_out, out, rtol=0, atol=1e-6)
    for ours, theirs in zip(sparse_last if kind is nn.LSTM else [sparse_last], last if kind is nn.LSTM else [last]):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_csr_within_a_model_and_its_limits():
    torch.manual_seed(0)
    model = SequenceClassifier("lstm", (6, 5)).eval()
    espalier.prune(model, percent=90)
    tokens, lengths = torch.randint(60, 90, (4, 7)), torch.tensor([7, 3, 1, 5])
    torch.testing.assert_close(to_csr(model)(tokens, lengths), model(tokens, lengths), rtol=0, atol=1e-6)
    with pytest.raises(InputError, match="proj_size"):
        to_csr(nn.LSTM(4, 5, proj_size=2))
    with pytest.raises(InputError, match="start from zero"):
        CsrLayer(nn.GRU(4, 5))(torch.randn(2, 1, 4), torch.zeros(1, 1, 5))


def test_costs_by_hand():
    model = nn.Sequential(nn.LSTM(4, 6))
    (row,) = costs({"net": model}, lambda b, t: torch.randn(t, b, 4), steps=10, repeats=3)
    weights = 4 * 6 * 4 + 4 * 6 * 6
    assert row["parameters"] == row["nonzero"] == weights + 2 * 24 and row["multiply_adds"] == 10 * weights
    assert row["bytes"] > 4 * row["parameters"] and row["ms_1"] > 0 and row["ms_32"] > 0 and model.training
    assert row["ms_1_low"] <= row["ms_1"] <= row["ms_1_high"] and row["repeats"] == 3


def test_quartiles_by_hand():
    assert quartiles([5.0, 1.0, 2.0, 3.0, 4.0]) == (3.0, 2.0, 4.0) and quartiles([7.0]) == (7.0, 7.0, 7.0)


@pytest.mark.parametrize("cell", list(CELLS))
def test_what_a_level_is_worth(cell):
    torch.manual_seed(0)
    dense, masked = SequenceClassifier(cell, (8, 8)), SequenceClassifier(cell, (8, 8))
    espalier.prune(masked, structure="unit", percent=50)
    small = espalier.shrink(masked, say=None)
    levels = worth(dense, {50: (masked, small), 60: (masked, small)}, repeats=2)
    assert levels[50][0] == levels[60][0] and levels[50][3]["ms_1"] != levels[60][3]["ms_1"]  # dense is measured once
    by_name = {row["name"]: row for row in levels[50]}
    assert list(by_name) == ["dense", "masked", "csr", "shrunk"]
    assert by_name["masked"]["multiply_adds"] == by_name["dense"]["multiply_adds"] > by_name["csr"]["multiply_adds"]
    # What is not zero, and nothing else: the head, which is dense in both, has lost the 4 columns of its 2 classes.
    assert by_name["shrunk"]["multiply_adds"] == by_name["csr"]["multiply_adds"] - 2 * 4
    assert by_name["shrunk"]["bytes"] < by_name["dense"]["bytes"] and by_name["masked"]["nonzero"] < by_name["dense"]["nonzero"]


def test_what_is_there_is_counted():
    """By hand: convolutions, the steps that a layer sees, cells, attention, products of parameters, tied weights once."""
    torch.manual_seed(0)
    for name, told in (
        ("Crnn", 3 * 9 * 8 * 40 + 2 * 4 * 8 * (12 + 8) * 20 + 20 * 16 * 8 + 2 * 4 * 8 * (8 + 8) * 20 + 20 * 16 * 5),
        ("DeepSpeech", 7 * 6 * 3 * 10 + 10 * (2 * 3 * 8 * (7 + 8) + 2 * 3 * 8 * (8 + 8) + 8 * 5)),
        ("CellLoop", 10 * (4 * 8 * (4 + 8) + 4 * 8 * (8 + 8) + 8 * 2)),
        ("Scaled", 10 * (3 * 8 * (4 + 8) + 8 * 3)),
        ("OwnAttention", 10 * 3 * 8 * (4 + 8) + 10 * 8 * 18 + 2 * 10 * 10 * 6 + 10 * 6 * 3),
        ("StatesGiven", 10 * (4 * 8 * (4 + 8) + 4 * 8 * (8 + 8) + 8 * 3)),
        ("CrfEmissions", 10 * (2 * 4 * 8 * (6 + 8) + 16 * 5)),
        ("TiedWordModel", 10 * (3 * 8 * (8 + 8) + 8 * 20)),
    ):
        kind, example = ZOO[name]
        model = kind()
        (row,) = costs({"net": model}, example, steps=10, batches=(), repeats=1)
        assert row["multiply_adds"] == told, name
        assert row["parameters"] == sum(p.numel() for p in {id(p): p for p in model.parameters()}.values())

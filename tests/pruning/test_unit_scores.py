"""Scores of hidden units, and what goes by them."""

import copy

import pytest
import torch
from networks import KINDS, Net, silence
from torch import nn

from espalier.errors import InputError
from espalier.pruning import UNIT_SCORES, make_masks


def toy():
    """One ReLU layer of three units, integer weights, one input, one output."""
    model = Net("rnn_relu", inputs=1, hidden=3)
    model.head = nn.Linear(3, 1)
    with torch.no_grad():
        model.rnn.weight_ih_l0.copy_(torch.tensor([[3.0], [1.0], [2.0]]))
        model.rnn.weight_hh_l0.copy_(torch.tensor([[0.0, 0.0, 0.0], [2.0, 1.0, 0.0], [0.0, 0.0, 0.0]]))
        model.head.weight.copy_(torch.tensor([[1.0, 4.0, 2.0]]))
        for bias in (model.rnn.bias_ih_l0, model.rnn.bias_hh_l0, model.head.bias):
            bias.zero_()
    return model


def scores(model, name, data=None):
    from espalier.pruning.context import Context
    from espalier.pruning.units import all_units, check_readers

    units = all_units(model, check_readers(model, {"rnn": ["head"]}))
    (found,) = UNIT_SCORES[name](units, Context(model, data, torch.Generator().manual_seed(0))).values()
    return found


def test_norms_by_hand():
    model = toy()
    assert scores(model, "incoming").tolist() == pytest.approx([9**0.5, (1 + 4 + 1) ** 0.5, 4**0.5])
    assert scores(model, "outgoing").tolist() == pytest.approx([(4 + 1) ** 0.5, (1 + 16) ** 0.5, 4**0.5])
    assert scores(model, "magnitude").tolist() == pytest.approx([(9 + 5) ** 0.5, (6 + 17 - 1) ** 0.5, 8**0.5])


def test_activation_by_hand():
    x = torch.tensor([[[1.0]], [[0.0]]])  # states 3, 1, 2 then 0, 2*3+1, 0
    assert scores(toy(), "activation", [x]).tolist() == pytest.approx([1.5, 3.0, 1.0])


@pytest.mark.parametrize("cell", list(KINDS))
def test_activation_sees_every_layer_and_direction(cell):
    from torch.nn.utils.rnn import pack_padded_sequence

    from espalier.pruning.context import Context
    from espalier.pruning.units import all_units, check_readers

    torch.manual_seed(0)
    model = Net(cell, hidden=4, num_layers=3, bidirectional=True).double()
    data = [torch.randn(6, 3, 5, dtype=torch.float64), torch.randn(2, 3, 5, dtype=torch.float64)]
    units = all_units(model, check_readers(model, {"rnn": ["head"]}))
    found = UNIT_SCORES["activation"](units, Context(model, data, None))
    states = torch.cat([model(x)[1].flatten(0, 1) for x in data])
    for one in units:
        if one.layer == 2:
            own = states[:, one.direction * 4 : one.direction * 4 + 4]
            torch.testing.assert_close(found[one], own.std(0, correction=0), rtol=0, atol=1e-10)
        assert (found[one] > 0).any()
    model.forward = lambda x: model.rnn(x)
    packed = pack_padded_sequence(data[0], torch.tensor([6, 4, 1]))
    assert len(UNIT_SCORES["activation"](units, Context(model, [packed], None))) == 6
    with pytest.raises(InputError, match="held no batch"):
        UNIT_SCORES["activation"](units, Context(model, [], None))


def test_taylor_is_the_slope_of_the_loss():
    """Scaling the outgoing weights of a unit by 1 - e changes the loss by e times the score, to first order."""
    torch.manual_seed(0)
    model = Net("gru", hidden=4).double()
    x = torch.randn(6, 3, 5, dtype=torch.float64)

    model(x)[0].square().mean().backward()
    found, step = scores(model, "taylor"), 1e-6
    for unit in range(4):
        values = []
        for factor in (1 + step, 1 - step):
            twin = copy.deepcopy(model)
            with torch.no_grad():
                twin.rnn.weight_hh_l0[:, unit] *= factor
                twin.head.weight[:, unit] *= factor
            values.append(float(twin(x)[0].detach().square().mean()))
        assert float(found[unit]) == pytest.approx(abs(values[0] - values[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("score", list(UNIT_SCORES))
def test_the_lowest_units_go_and_dead_ones_first(score):
    torch.manual_seed(0)
    model = Net("lstm", hidden=8)
    data = [torch.randn(6, 3, 5)]
    model(data[0])[0].square().mean().backward()
    silence(model.rnn, {(0, 0): [5]})
    found = scores(model, score, data)
    masks = make_masks(model, structure="unit", percent=50, score=score, readers={"rnn": ["head"]}, data=data)
    kept = masks["rnn.bias_ih_l0"][:8]
    assert int(kept.sum()) == 4 and not kept[5]
    others = torch.tensor([unit for unit in range(8) if unit != 5])
    assert found[others][kept[others]].min() >= found[others][~kept[others]].max()


def test_scopes_of_units():
    torch.manual_seed(0)
    model = Net("rnn_tanh", hidden=8, num_layers=2, bidirectional=True)
    with torch.no_grad():
        for name in ("weight_ih_l0", "weight_hh_l0"):
            getattr(model.rnn, name).mul_(0.01)  # its units are the smallest
        model.rnn.weight_ih_l1[:, :8] *= 0.01
        model.rnn.weight_ih_l1_reverse[:, :8] *= 0.01

    def left(scope):
        masks = make_masks(model, structure="unit", percent=25, scope=scope, readers={"rnn": ["head"]})
        return [int(masks[f"rnn.bias_ih_l{s}"].sum()) for s in ("0", "0_reverse", "1", "1_reverse")]

    assert left(None) == left("tensor") == [6, 6, 6, 6]
    assert left("layer")[:2] == [4, 8] and sum(left("layer")[2:]) == 12
    with pytest.raises(InputError, match="use scope=tensor"):
        left("global")

"""Units and shrinking: the smaller network is the same function."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import KINDS, Net, silence
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.nn import CELLS, SequenceClassifier
from espalier.pruning import plan


def states_of(last):
    return last if isinstance(last, tuple) else (last,)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_shrunk_is_masked(data):
    """Random architectures, unit sets and inputs; double precision to 1e-10, single to 1e-6."""
    cell = data.draw(st.sampled_from(list(KINDS)))
    hidden, layers = data.draw(st.integers(2, 6)), data.draw(st.integers(1, 4))
    both, bias, first = (data.draw(st.booleans()) for _ in range(3))
    more = {"num_layers": layers, "bidirectional": both, "bias": bias, "batch_first": first}
    if cell == "lstm" and data.draw(st.booleans()):
        more["proj_size"] = data.draw(st.integers(1, hidden - 1))
    dtype = data.draw(st.sampled_from([torch.float64, torch.float32]))
    torch.manual_seed(data.draw(st.integers(0, 9)))
    model = Net(cell, hidden=hidden, **more).to(dtype).eval()
    gone, kept = {}, {}
    for layer in range(layers):
        for direction in range(1 + both):
            units = data.draw(st.sets(st.integers(0, hidden - 1), max_size=hidden - 1))
            gone[layer, direction] = sorted(units)
            kept[layer, direction] = [unit for unit in range(hidden) if unit not in units]
    silence(model.rnn, gone)
    before = copy.deepcopy(model.state_dict())
    small = espalier.shrink(model, None if "proj_size" in more else {"rnn": ["head"]}, say=None)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert type(small) is Net and type(small.rnn) is type(model.rnn)
    expected = max(len(units) for units in kept.values())
    assert small.rnn.hidden_size == max(expected, more.get("proj_size", 0) + 1)
    x = torch.randn(3, 4, 5, dtype=dtype)
    (out, states, last), (small_out, small_states, small_last) = model(x), small(x)
    near = dict(rtol=0, atol=1e-10 if dtype == torch.float64 else 1e-6)
    torch.testing.assert_close(small_out, out, **near)
    for k, (old, new) in enumerate(zip(states_of(last), states_of(small_last))):
        for (layer, direction), units in kept.items():
            place = layer * (1 + both) + direction
            if "proj_size" in more and k == 0:
                torch.testing.assert_close(new[place], old[place], **near)
            else:
                torch.testing.assert_close(new[place][:, : len(units)], old[place][:, units], **near)
    if "proj_size" not in more:
        top = [direction * hidden + unit for direction in range(1 + both) for unit in kept[layers - 1, direction]]
        width = small.rnn.hidden_size
        places = [d * width + k for d in range(1 + both) for k in range(len(kept[layers - 1, d]))]
        torch.testing.assert_close(small_states[..., places], states[..., top], **near)


@pytest.mark.parametrize("structure", ["unit", "weight", "block"])
@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_masks_count_what_they_say(structure, data):
    cell = data.draw(st.sampled_from(list(KINDS)))
    hidden, layers = data.draw(st.integers(2, 7)), data.draw(st.integers(1, 3))
    both, percent = data.draw(st.booleans()), data.draw(st.integers(0, 100))
    model = Net(cell, hidden=hidden, num_layers=layers, bidirectional=both)
    count = round(percent / 100 * hidden)
    arguments = {"structure": structure, "percent": percent, "readers": {"rnn": ["head"]}}
    if structure == "unit" and count == hidden:
        with pytest.raises(InputError, match=f"would remove all {hidden} units"):
            espalier.prune(model, **arguments)
        return
    before = copy.deepcopy(model)
    if structure == "block":
        arguments["block"] = (data.draw(st.integers(1, 4)), data.draw(st.integers(1, 4)))
    masks = espalier.prune(model, **arguments)
    for name, parameter in model.named_parameters():
        mask = masks[name] if name in list(masks) else torch.ones_like(parameter, dtype=torch.bool)
        assert torch.equal(parameter, dict(before.named_parameters())[name] * mask)
    if structure == "weight":
        assert masks.total - masks.kept == round(percent / 100 * masks.total)
    if structure == "unit":
        small = espalier.shrink(model, {"rnn": ["head"]}, say=None)
        assert small.rnn.hidden_size == hidden - count
        x = torch.randn(4, 2, 5)
        torch.testing.assert_close(small(x)[0], model(x)[0], rtol=0, atol=1e-6)
    if structure == "block":
        rows, columns = arguments["block"]
        for name in masks:
            for gate in masks[name].split(hidden):
                for tile in (part for band in gate.split(rows) for part in band.split(columns, 1)):
                    assert tile.all() or not tile.any()


@pytest.mark.parametrize("cell", list(CELLS))
def test_our_own_model_knows_its_readers(cell):
    torch.manual_seed(0)
    model = SequenceClassifier(cell, (8, 6, 7)).eval()
    tokens, lengths = torch.randint(60, 90, (5, 9)), torch.tensor([9, 2, 5, 1, 7])
    masks = espalier.prune(model, structure="unit", percent=50)
    said = []
    small = espalier.shrink(model, say=said.append)
    assert small.sizes["hidden"] == [4, 3, 3]
    assert said[0] == "recurrent.layers.0: layer 0".replace(": layer", ", layer") + ": 4 of 8 units stay"
    torch.testing.assert_close(small(tokens, lengths), model(tokens, lengths), rtol=0, atol=1e-6)
    rebuilt = SequenceClassifier(cell, **{**small.sizes, "init": "uniform"})
    rebuilt.load_state_dict(small.state_dict())
    assert 0 < masks.percent < 100


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru", "lstm"])
def test_a_bare_module_gets_narrower(cell):
    kind, own = KINDS[cell]
    torch.manual_seed(0)
    model = kind(4, 6, num_layers=2, **own)
    espalier.prune(model, structure="unit", percent=50)
    small = espalier.shrink(model, say=None)
    x = torch.randn(5, 2, 4)
    kept = model(x)[0].abs().sum((0, 1)) > 0
    assert small.hidden_size == 3 and int(kept.sum()) == 3
    torch.testing.assert_close(small(x)[0], model(x)[0][..., kept], rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell, gates", [(nn.RNNCell, 1), (nn.GRUCell, 3), (nn.LSTMCell, 4)])
def test_cells(cell, gates):
    class Loop(nn.Module):
        def __init__(self):
            super().__init__()
            self.cell, self.head = cell(3, 8), nn.Linear(8, 2)

        def forward(self, x):
            state = None
            for step in x:
                state = self.cell(step, state)
            return self.head(state[0] if isinstance(state, tuple) else state)

    torch.manual_seed(0)
    model, x = Loop(), torch.randn(6, 2, 3)
    espalier.prune(model, structure="unit", percent=25, readers={"cell": ["head"]})
    small = espalier.shrink(model, {"cell": ["head"]}, say=None)
    assert small.cell.weight_hh.shape == (gates * 6, 6)
    torch.testing.assert_close(small(x), model(x), rtol=0, atol=1e-6)


def test_encoder_and_decoder_shrink_together():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.encoder, self.decoder = nn.GRU(3, 8, bidirectional=True), nn.LSTM(16, 6)
            self.head = nn.Linear(6, 2)

        def forward(self, x):
            return self.head(self.decoder(self.encoder(x)[0])[0])

    torch.manual_seed(0)
    model, x = Pair(), torch.randn(6, 2, 3)
    readers = {"encoder": ["decoder"], "decoder": ["head"]}
    espalier.prune(model, structure="unit", percent=50, readers=readers)
    small = espalier.shrink(model, readers, say=None)
    assert (small.encoder.hidden_size, small.decoder.input_size, small.decoder.hidden_size) == (4, 8, 3)
    torch.testing.assert_close(small(x), model(x), rtol=0, atol=1e-6)
    only = espalier.shrink(model, {"encoder": ["decoder"]}, say=None)  # the decoder is not named and stays as wide
    assert (only.encoder.hidden_size, only.decoder.hidden_size) == (4, 6)
    torch.testing.assert_close(only(x), model(x), rtol=0, atol=1e-6)


def test_a_flattened_head_reads_every_step():
    class Flat(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn, self.head = nn.LSTM(1, 10, batch_first=True), nn.Linear(70, 4)

        def forward(self, x):
            return self.head(self.rnn(x)[0].flatten(1))

    torch.manual_seed(0)
    model, x = Flat(), torch.randn(3, 7, 1)
    with pytest.raises(InputError, match="takes 70 inputs, 'rnn' gives 10"):
        espalier.prune(model, structure="unit", percent=40, readers={"rnn": ["head"]})
    readers = {"rnn": [("head", 7)]}
    espalier.prune(model, structure="unit", percent=40, readers=readers)
    small = espalier.shrink(model, readers, say=None)
    assert small.head.in_features == 42
    torch.testing.assert_close(small(x), model(x), rtol=0, atol=1e-6)


@pytest.mark.parametrize("cell", ["rnn_tanh", "rnn_relu"])
@pytest.mark.parametrize("bias", [True, False])
def test_constants_are_folded(cell, bias):
    """A unit with biases but no incoming weights says the same at every step; what reads it can say it instead."""
    torch.manual_seed(0)
    model = Net(cell, hidden=6, num_layers=2)
    model.head = nn.Linear(6, 3, bias=bias)
    with torch.no_grad():
        for layer, unit in ((0, 2), (1, 4)):
            getattr(model.rnn, f"weight_ih_l{layer}")[unit] = 0
            getattr(model.rnn, f"weight_hh_l{layer}")[unit] = 0
            getattr(model.rnn, f"bias_ih_l{layer}")[unit] = 0.7
            getattr(model.rnn, f"bias_hh_l{layer}")[unit] = 0.2
    x = torch.randn(5, 2, 5)
    untouched = espalier.shrink(model, {"rnn": ["head"]}, say=None)
    assert untouched.rnn.hidden_size == 6  # its h2h columns are read: at the first step the constant is not there yet
    with torch.no_grad():
        model.rnn.weight_hh_l0[:, 2] = 0
        model.rnn.weight_hh_l1[:, 4] = 0
    said = []
    small = espalier.shrink(model, {"rnn": ["head"]}, say=said.append)
    assert small.rnn.hidden_size == 5 and "1 constants go into biases" in said[0]
    torch.testing.assert_close(small(x)[0], model(x)[0], rtol=0, atol=1e-6)
    assert small.head.bias is not None


def test_what_only_dead_units_read_is_dead():
    """Liveness goes backwards through layers: a chain that ends in nothing goes as a whole."""
    torch.manual_seed(0)
    model = SequenceClassifier("lstm", (4, 4)).eval()
    with torch.no_grad():
        model.head.weight[:, 1] = 0  # nobody reads unit 1 of layer 1 ...
        model.recurrent.layers[1].weight_hh_l0[:, 1] = 0
        model.recurrent.layers[1].weight_ih_l0.view(4, 4, 4)[:, [0, 2, 3], 3] = 0  # ... which alone reads unit 3 of layer 0 ...
        model.recurrent.layers[0].weight_hh_l0.view(4, 4, 4)[:, :3, 3] = 0  # ... which feeds none but itself
    small = espalier.shrink(model, say=None)
    assert small.sizes["hidden"] == [3, 3]
    tokens, lengths = torch.randint(60, 90, (3, 6)), torch.tensor([6, 2, 5])
    torch.testing.assert_close(small(tokens, lengths), model(tokens, lengths), rtol=0, atol=1e-6)


def test_nothing_dead_nothing_removed():
    model = Net("gru")
    small = espalier.shrink(model, {"rnn": ["head"]}, say=None)
    assert all(torch.equal(a, b) for a, b in zip(small.state_dict().values(), model.state_dict().values()))
    assert small is not model and small.rnn is not model.rnn


def test_frozen_stays_frozen_and_mode_stays():
    model = Net("lstm").eval()
    model.rnn.weight_ih_l0.requires_grad_(False)
    espalier.prune(model, structure="unit", percent=50, readers={"rnn": ["head"]})
    small = espalier.shrink(model, {"rnn": ["head"]}, say=None)
    assert not small.rnn.weight_ih_l0.requires_grad and small.rnn.weight_hh_l0.requires_grad and not small.rnn.training


def test_all_dead_is_refused():
    for cell in KINDS:
        model = Net(cell, num_layers=2)
        silence(model.rnn, {(1, 0): range(6)})
        with pytest.raises(InputError, match="all 6 units of rnn, layer 1 are dead"):
            espalier.shrink(model, {"rnn": ["head"]}, say=None)


def test_a_plan_says_what_and_does_nothing():
    model = Net("lstm", num_layers=2, bidirectional=True)
    silence(model.rnn, {(0, 0): [1, 2], (0, 1): [0], (1, 0): [3], (1, 1): [3, 4, 5]})
    told = plan(model, {"rnn": ["head"]})
    assert str(told).splitlines() == [
        "rnn, layer 0: 4 of 6 units stay, filled up to 5 as the module has one hidden size",
        "rnn, layer 0, reverse: 5 of 6 units stay",
        "rnn, layer 1: 5 of 6 units stay",
        "rnn, layer 1, reverse: 3 of 6 units stay, filled up to 5 as the module has one hidden size",
    ]
    assert told.hidden == {"rnn": 5} and model.rnn.hidden_size == 6


# Readers

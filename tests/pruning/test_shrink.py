"""Units and shrinking: the smaller network is the same function."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.nn import CELLS, SequenceClassifier
from espalier.pruning import UNIT_SCORES, make_masks, plan

KINDS = {"rnn_tanh": (nn.RNN, {}), "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}), "gru": (nn.GRU, {}), "lstm": (nn.LSTM, {})}


class Net(nn.Module):
    """Somebody's model: recurrent, a head on all states."""

    def __init__(self, cell, inputs=5, hidden=6, **more):
        super().__init__()
        kind, own = KINDS[cell]
        self.rnn = kind(inputs, hidden, **own, **more)
        self.head = nn.Linear((more.get("proj_size") or hidden) * (2 if more.get("bidirectional") else 1), 3)

    def forward(self, x):
        states, last = self.rnn(x)
        return self.head(states), states, last


def silence(module, gone):
    """Units removed by hand: rows in every gate, biases, columns that read them. gone: (layer, direction) -> units."""
    hidden = module.hidden_size
    with torch.no_grad():
        for (layer, direction), units in gone.items():
            suffix = f"_l{layer}{'_reverse' if direction else ''}"
            gates = getattr(module, f"weight_ih{suffix}").shape[0] // hidden
            for unit in units:
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    parameter = getattr(module, f"{kind}{suffix}", None)
                    if parameter is not None:
                        parameter.view(gates, hidden, -1)[:, unit] = 0
                if module.__dict__.get("proj_size"):
                    getattr(module, f"weight_hr{suffix}")[:, unit] = 0
                    continue
                getattr(module, f"weight_hh{suffix}")[:, unit] = 0
                if layer + 1 < module.num_layers:
                    for other in ("", "_reverse") if module.bidirectional else ("",):
                        getattr(module, f"weight_ih_l{layer + 1}{other}")[:, direction * hidden + unit] = 0


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


WHO = "who reads 'rnn'? say readers={'rnn': [...]}; modules of a fitting width: 'head'"


@pytest.mark.parametrize(
    "readers, told",
    [
        (None, WHO),
        ({}, WHO),
        ({"rnn": ["tail"]}, "readers['rnn']: the model has no module 'tail'; modules of a fitting width: 'head'"),
        ({"rnn": ["norm"]}, "readers['rnn']: 'norm' is LayerNorm; only nn.Linear and recurrent modules can read units"),
        ({"rnn": ["other"]}, "readers['rnn']: 'other' takes 9 inputs, 'rnn' gives 6; modules of a fitting width: 'head'"),
        ({"rnn": ["head"], "lstm": ["head"]}, "the model has no recurrent module 'lstm'; it has 'rnn'"),
        ({"rnn": "head"}, "readers['rnn'] must be a list of names, got 'head'"),
    ],
)
def test_missing_and_impossible_readers(readers, told):
    model = Net("gru")
    model.norm, model.other = nn.LayerNorm(6), nn.Linear(9, 2)
    for call in (
        lambda: espalier.prune(model, structure="unit", readers=readers),
        lambda: espalier.shrink(model, readers, say=None),
    ):
        with pytest.raises(InputError) as error:
            call()
        assert told in str(error.value) and "\n" not in str(error.value)


def test_one_reader_reads_one_module():
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b, self.head = nn.GRU(3, 4), nn.GRU(3, 4), nn.Linear(4, 2)

    with pytest.raises(InputError, match="'head' reads both 'a' and 'b'"):
        espalier.shrink(Two(), {"a": ["head"], "b": ["head"]}, say=None)


def test_shared_parameters_are_refused():
    model = SequenceClassifier("gru", (6, 6), codes=128, outputs=128)
    model.head.weight = model.embedding.weight
    with pytest.raises(InputError, match=r"embedding\.weight and head\.weight are one shared parameter"):
        espalier.prune(model, structure="unit", percent=50)
    with pytest.raises(InputError, match="shared parameter"):
        espalier.shrink(model)


def test_the_meta_device_is_refused():
    with torch.device("meta"):
        model = SequenceClassifier("gru", (6, 6), init="uniform")
    for structure in ("unit", "weight", "block"):
        with pytest.raises(InputError, match="on the meta device"):
            espalier.prune(model, structure=structure)
    with pytest.raises(InputError, match="on the meta device"):
        espalier.shrink(model)


def test_what_is_no_recurrent_model_is_refused():
    with pytest.raises(InputError, match="holds no"):
        espalier.shrink(nn.Linear(3, 2))
    with pytest.raises(InputError, match="holds no"):
        espalier.prune(nn.Linear(3, 2), structure="unit")
    with pytest.raises(InputError, match="matches no recurrent module"):
        espalier.prune(Net("gru"), structure="unit", modules=["tail"], readers={"rnn": ["head"]})
    with pytest.raises(InputError, match="vertices"):
        import networkx as nx

        espalier.shrink(espalier.GraphClassifier(nx.path_graph(4), "gru"))


@pytest.mark.parametrize(
    "arguments, told",
    [
        (dict(structure="units"), "structure must be one of weight, unit, block"),
        (dict(structure="unit", score="norm"), "score of units must be one of"),
        (dict(structure="unit", scope="gate"), "scope of units must be one of"),
        (dict(structure="unit", target="h2h"), "takes target=both"),
        (dict(structure="unit", percent=100), "would remove all 6 units"),
        (dict(structure="unit", score="activation"), "needs data"),
        (dict(structure="unit", score="taylor"), "needs gradients"),
        (dict(structure="block", block=(0, 2)), "two positive whole numbers"),
        (dict(structure="block", block=3), "two positive whole numbers"),
        (dict(structure="block", score="taylor"), "score must be one of"),
    ],
)
def test_bad_arguments(arguments, told):
    with pytest.raises(InputError, match=told):
        espalier.prune(Net("lstm"), **{"readers": {"rnn": ["head"]}, **arguments})


# Scores of units


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

"""What shrink cannot see, or sees only in training: nothing is folded, dropped or left out without a word."""

import pytest
import torch
from torch import nn

import espalier
from espalier.pruning.csr import to_csr
from espalier.pruning.running import maker


class Net(nn.Module):
    """Takes two arguments, so that nobody can guess them; `between` stands between the layers."""

    def __init__(self, layer, between=None, hidden=8):
        super().__init__()
        torch.manual_seed(0)
        self.rnn, self.between, self.head = layer(5, hidden, batch_first=True), between or nn.Identity(), nn.Linear(hidden, 3)

    def forward(self, x, scale):
        return self.head(self.between(self.rnn(x)[0])) * scale


class One(Net):
    def forward(self, x):
        return super().forward(x, 1.0)


class Auxiliary(One):
    """A part of the units is read in training only."""

    def forward(self, x):
        states = self.rnn(x)[0]
        return self.head(states) + (states[..., :3] if self.training else 0)


class Norm(One):
    def forward(self, x):
        states = self.rnn(x)[0]
        return self.head(self.between(states.transpose(1, 2)).transpose(1, 2))


def constants(model):
    """The first two units of an RNN put out a constant other than zero."""
    with torch.no_grad():
        for name, parameter in model.rnn.named_parameters():
            if name.startswith("weight"):
                parameter[:2] = 0
        model.rnn.weight_hh_l0[:, :2] = 0
    return model


def apart(model, small, *inputs):
    with torch.no_grad():
        return float((model(*inputs) - small(*inputs)).abs().max())


@pytest.mark.parametrize("between", [nn.Identity(), nn.Tanh(), nn.ReLU()])
def test_constants_go_into_readers_only_where_it_is_seen_to_be_the_same(between):
    x, readers = torch.randn(2, 7, 5), {"rnn": ["head"]}
    model = constants(Net(nn.RNN, between))
    small = espalier.shrink(model, readers, say=None)
    assert small.rnn.hidden_size == 8 and apart(model, small, x, 1.0) < 1e-6
    model = constants(One(nn.RNN, between))
    small = espalier.shrink(model, readers, say=None)
    assert small.rnn.hidden_size == (6 if isinstance(between, nn.Identity) else 8) and apart(model, small, x) < 1e-6


def test_hooks_and_attributes_stay_with_readers_that_are_told():
    x = torch.randn(2, 7, 5)
    model = Net(nn.GRU)
    model.rnn.register_forward_hook(lambda module, inputs, output: (2 * output[0], output[1]))
    model.rnn.tag = "mine"
    espalier.prune(model, structure="unit", readers={"rnn": ["head"]})
    small = espalier.shrink(model, {"rnn": ["head"]}, say=None)
    assert small.rnn.tag == "mine" and small.rnn.hidden_size == 4 and apart(model, small, x, 1.0) < 1e-6
    chain = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    chain[0].register_forward_hook(lambda module, inputs, output: 2 * output)
    espalier.prune(chain, structure="unit")
    assert apart(chain, espalier.shrink(chain, say=None), x) < 1e-6


def test_what_a_hook_makes_of_a_chain_is_compared():
    chain = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Linear(8, 3))
    chain[0].register_forward_hook(lambda module, inputs, output: output + 1)
    espalier.prune(chain, structure="unit")
    with torch.no_grad():
        chain[2].weight.add_(1)  # reads what the hook makes of dead units
        for unit in torch.nonzero(chain[0].weight.abs().sum(1) == 0).flatten():
            chain[0].bias[unit] = 0
    with pytest.raises(espalier.InputError, match="would be another function"):
        espalier.shrink(chain, say=None)


def test_what_reads_units_in_training_only_is_warned_about():
    x, lines = torch.randn(4, 7, 5), []
    model = Auxiliary(nn.GRU)
    espalier.prune(model, structure="unit", modules=["rnn"], readers={"rnn": ["head"]})
    model.head3 = nn.Linear(3, 3)
    with pytest.warns(UserWarning, match="in training the smaller network is another function"):
        small = espalier.shrink(model, say=lines.append, example=x)
    assert apart(model.eval(), small.eval(), x) < 1e-6
    assert "not reached by the example, left as it is: head3" in lines


def test_constants_behind_a_norm_stay_where_training_makes_others_of_them(recwarn):
    x = torch.randn(4, 7, 5)
    model = Norm(nn.GRU, nn.BatchNorm1d(8))
    with torch.no_grad():
        model.between.running_mean.normal_()
        for parameter in model.rnn.parameters():
            parameter.view(3, 8, -1)[:, :3] = 0
    small = espalier.shrink(model, say=None, example=x)
    assert apart(model.train(), small.train(), x) < 1e-5 and not [one for one in recwarn if "in training" in str(one.message)]
    with torch.no_grad():
        model.head.weight[:, :3] = 0  # nothing reads them: they go
    small = espalier.shrink(model.eval(), say=None, example=x)
    assert small.rnn.hidden_size == 5 and apart(model.train(), small.train(), x) < 1e-5


def test_a_guess_of_inputs_changes_nothing_of_the_model():
    model = Norm(nn.GRU, nn.BatchNorm1d(8)).train()
    before, drawn = model.between.running_mean.clone(), torch.get_rng_state()
    espalier.prune(model, structure="unit", readers={"rnn": ["head"]})
    maker(model)
    assert torch.equal(before, model.between.running_mean) and torch.equal(drawn, torch.get_rng_state()) and model.training
    assert int(model.between.num_batches_tracked) == 0


class Own(One):
    def __init__(self):
        super().__init__(nn.GRU, nn.PReLU(8))
        self.register_buffer("place", torch.rand(50, 5), persistent=False)
        self.register_buffer("wide", torch.rand(8), persistent=False)
        self.parts = nn.ParameterList([torch.rand(8)])

    def forward(self, x):
        states = self.rnn(x + self.place[: x.shape[1]])[0] * self.parts[0] * self.wide
        return self.head(self.between(states.transpose(1, 2)).transpose(1, 2))


def test_the_lines_rebuild_buffers_that_are_not_saved_and_parameters_that_stand_alone(tmp_path):
    x = torch.randn(2, 7, 5)
    model = Own()
    espalier.prune(model, structure="unit", example=x)
    small = espalier.shrink(model, say=None, example=x)
    espalier.export(small, tmp_path / "small.pt", say=None)
    fresh = Own()
    fresh.place = model.place  # as the class makes it
    text = (tmp_path / "small.py").read_text().replace("small.pt", str(tmp_path / "small.pt"))
    exec(text, {"model": fresh})
    assert fresh.wide.shape == (4,) and apart(small, fresh, x) == 0


class InPlace(One):
    def forward(self, x):
        states = self.rnn(x)[0]
        states *= 2
        return self.head(states)


class Started(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(5, 8, batch_first=True, proj_size=2), nn.Linear(2, 3)
        self.h, self.c = nn.Parameter(torch.randn(1, 1, 2)), nn.Parameter(torch.randn(1, 1, 8))

    def forward(self, x):
        return self.head(self.rnn(x, tuple(one.repeat(1, len(x), 1) for one in (self.h, self.c)))[0])


def test_what_works_in_place_is_followed():
    x = torch.randn(4, 7, 5)
    model = InPlace(nn.GRU)
    espalier.prune(model, structure="unit", example=x)
    small = espalier.shrink(model, say=None, example=x)
    assert small.rnn.hidden_size == 4 and apart(model, small, x) < 1e-6


def normed(layer, how):
    model = One(nn.GRU)
    setattr(model, layer, how(getattr(model, layer)))
    return model


def weight_normed(rnn):
    return nn.utils.parametrizations.weight_norm(rnn, "weight_hh_l0")


@pytest.mark.filterwarnings("ignore:.*is deprecated")
@pytest.mark.parametrize(
    "layer, how, told",
    [
        ("head", nn.utils.spectral_norm, "head.weight cannot be pruned as it is: spectral_norm computes it"),
        ("head", nn.utils.weight_norm, "head.weight cannot be pruned as it is: weight_norm computes it"),
        ("head", nn.utils.parametrizations.weight_norm, "weight_norm computes it.*remove_parametrizations"),
        ("rnn", weight_normed, "rnn.weight_hh_l0 cannot be pruned as it is: weight_norm computes it"),
    ],
)
def test_weights_that_something_computes_are_one_line(layer, how, told):
    for call in (espalier.readers, lambda model, x: espalier.prune(model, structure="unit", example=x)):
        with pytest.raises(espalier.InputError, match=told):
            call(normed(layer, how), torch.randn(4, 7, 5))


def test_a_start_of_two_widths_is_one_line():
    with pytest.raises(espalier.InputError, match="rnn has proj_size and is given a start, which has two widths"):
        espalier.prune(Started(), structure="unit", example=torch.randn(4, 7, 5))


def test_what_spectral_norm_reads_stays():
    x = torch.randn(4, 7, 5).double()
    model = normed("head", nn.utils.parametrizations.spectral_norm).double().eval()
    espalier.prune(model, structure="unit", example=x)
    small = espalier.shrink(model, say=None, example=x)
    assert small.rnn.hidden_size == 8 and apart(model, small, x) < 1e-10


@pytest.mark.parametrize("batch_first", [False, True])
def test_csr_layers_take_a_sequence_alone(batch_first):
    layer = nn.LSTM(5, 8, 2, batch_first=batch_first, bidirectional=True)
    espalier.prune(layer, percent=80)
    twin, x = to_csr(layer), torch.randn(7, 5)
    (ours, (h, c)), (theirs, (h_, c_)) = twin(x), layer(x)
    for one, other in ((ours, theirs), (h, h_), (c, c_)):
        torch.testing.assert_close(one, other)
    with pytest.raises(espalier.InputError, match="no packed sequences"):
        twin(nn.utils.rnn.pack_sequence([x]))

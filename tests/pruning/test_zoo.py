"""Readers found by running: every network of the zoo is shrunk to the same function with nothing but an example, or refused."""

import copy
import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from networks import outputs_of
from torch import nn
from zoo import ZOO, values

import espalier
from espalier.errors import InputError
from espalier.pruning import plan
from espalier.pruning.running import tensors
from espalier.pruning.units import recurrent_modules

REFUSED = {
    "NormBetween": "mixed with each other by a LayerNorm over the units ('norm')",
    "Noisy": "gives something else every time it is run",
}


def made(name):
    """A network of the zoo in evaluation, its batch norms as after training."""
    torch.manual_seed(0)
    kind, example = ZOO[name]
    model = kind().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return model, example


def test_most_of_the_zoo_shrinks_and_the_docs_say_which():
    assert len(ZOO) >= 25 and len(ZOO) - len(REFUSED) >= 20
    page = (Path(__file__).parents[2] / "docs" / "your-own-lstm.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (language|signals|between|refused, and why) \| (.*) \|$", page, flags=re.M)
    named = {kind: set(re.findall(r"(\w+)(?: \([^)]*\))?(?:, |$)", names)) for kind, names in rows}
    assert named.pop("refused, and why") == set(REFUSED) and set().union(*named.values()) == set(ZOO) - set(REFUSED)
    assert f"`tests/zoo` has {len(ZOO)} networks" in page


@pytest.mark.parametrize("name", sorted(ZOO))
def test_with_nothing_but_an_example(name):
    model, example = made(name)
    if name in REFUSED:
        with pytest.raises(InputError) as error:
            espalier.prune(model, structure="unit", percent=50, example=example)
        assert REFUSED[name] in str(error.value) and "\n" not in str(error.value)
        return
    before = copy.deepcopy(model)
    masks = espalier.prune(model, structure="unit", percent=50, example=example)
    assert 0 < masks.kept < masks.total
    pruned, lines = copy.deepcopy(model.state_dict()), []
    small = espalier.shrink(model, example=example, say=lines.append)
    assert type(small) is type(model) and lines[-1].startswith("equal to ")
    assert all(torch.equal(value, model.state_dict()[key]) for key, value in pruned.items())  # it stays as it is
    for place, module in recurrent_modules(small).items():
        old = model.get_submodule(place)
        assert module.hidden_size == old.hidden_size - round(0.5 * old.hidden_size), place
        assert all(len(units) == module.hidden_size for key, units in small.kept.items() if key[0] == place)
    assert sum(p.numel() for p in small.parameters()) < sum(p.numel() for p in before.parameters())
    if name in ("StatesGiven", "Policy"):  # which take narrower states
        return
    for batch, time in ((4, 7), (1, 12)):
        inputs = example(batch, time)
        for ours, theirs in zip(outputs_of(small, inputs), outputs_of(model, inputs), strict=True):
            if ours.shape == theirs.shape:  # states get narrower
                assert (ours - theirs).abs().max() < 1e-10
            else:
                assert name == "WordModel" and ours.shape[-1] == 4


def test_narrower_states_go_in_and_come_out():
    model, example = made("StatesGiven")
    espalier.prune(model, structure="unit", percent=50, example=example)
    small = espalier.shrink(model, example=example, say=None)
    x, h, c = example(3, 6)
    kept = [small.kept["rnn", layer, 0] for layer in range(2)]
    inner = [torch.stack([one[layer][:, kept[layer]] for layer in range(2)]) for one in (h, c)]
    found, states = small(x, *inner)
    expected, theirs = model(x, h, c)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)
    for ours, old in zip(states, theirs):
        for layer in range(2):
            torch.testing.assert_close(ours[layer], old[layer][:, kept[layer]], rtol=0, atol=1e-6)


def piece(data, width):
    """(module, new width): something that may stand behind recurrent units."""
    kind = data.draw(st.sampled_from(["linear", "relu", "tanh", "sigmoid", "norm", "gru", "lstm", "conv", "none"]))
    if kind == "linear":
        return nn.Linear(width, 6), 6
    if kind in ("gru", "lstm"):
        both = data.draw(st.booleans())
        module = {"gru": nn.GRU, "lstm": nn.LSTM}[kind](width, 5, batch_first=True, bidirectional=both)
        return module, 5 * (1 + both)
    if kind == "conv":
        return nn.Conv1d(width, 5, 3, padding=data.draw(st.integers(0, 1))), 5
    if kind == "norm":
        module = nn.BatchNorm1d(width)
        module.running_mean.normal_()
        return module, width
    return {"relu": nn.ReLU(), "tanh": nn.Tanh(), "sigmoid": nn.Sigmoid(), "none": nn.Identity()}[kind], width


class Random(nn.Module):
    """Pieces behind a recurrent layer, with residuals where widths agree."""

    def __init__(self, data):
        super().__init__()
        self.first = nn.GRU(3, 6, batch_first=True)
        pieces, width, self.skips = [], 6, []
        for _ in range(data.draw(st.integers(1, 4))):
            module, wide = piece(data, width)
            self.skips.append(wide == width and data.draw(st.booleans()))
            pieces.append(module)
            width = wide
        self.pieces, self.head = nn.ModuleList(pieces), nn.Linear(width, 2)

    def forward(self, x):
        x = self.first(x)[0]
        for skip, module in zip(self.skips, self.pieces):
            before = x
            if isinstance(module, (nn.Conv1d, nn.BatchNorm1d)):
                x = module(x.transpose(1, 2)).transpose(1, 2)
            else:
                x = module(x)
                x = x[0] if isinstance(x, tuple) else x
            if skip and before.shape == x.shape:
                x = before + x
        return self.head(x)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(data=st.data())
def test_random_networks_of_such_pieces(data):
    torch.manual_seed(data.draw(st.integers(0, 9)))
    model, example = Random(data).eval(), values(3)
    try:
        espalier.prune(model, structure="unit", percent=50, example=example)
        small = espalier.shrink(model, example=example, say=None)
    except InputError as error:
        assert "\n" not in str(error)
        return
    inputs = example(3, 9)
    for ours, theirs in zip(outputs_of(small, inputs), outputs_of(model, inputs), strict=True):
        assert (ours - theirs).abs().max() < 1e-10


def test_hooks_attributes_and_trained_starts_survive():
    model, example = made("LearnedStart")
    seen = []
    model.rnn.register_forward_hook(lambda *_: seen.append(1))
    model.rnn.note, model.head.note = "mine", "too"
    model.start.requires_grad_(False)
    espalier.prune(model, structure="unit", percent=50, example=example)
    small = espalier.shrink(model, example=example, say=None)
    count = len(seen)
    small(*example(2, 3))
    assert len(seen) == count + 1 and (small.rnn.note, small.head.note) == ("mine", "too")
    assert small.start.shape == (2, 1, 4) and not small.start.requires_grad and small.rnn.weight_hh_l0.requires_grad
    optimizer = torch.optim.SGD(small.parameters(), 0.1)
    small(*example(2, 3)).sum().backward()
    optimizer.step()


def test_a_state_that_is_kept_as_an_attribute_is_refused_where_it_is_there():
    model, example = made("KeywordSpotter")
    espalier.prune(model, structure="unit", percent=50, example=example)
    model(*example(2, 3))
    with pytest.raises(InputError, match="keeps a state in state, as wide as its units: reset it"):
        espalier.shrink(model, example=example, say=None)
    model.state = None
    assert espalier.shrink(model, example=example, say=None).state is None


def test_tied_weights_stay_tied():
    model, example = made("TiedWordModel")
    espalier.prune(model, structure="unit", percent=50, example=example)
    small = espalier.shrink(model, example=example, say=None)
    assert small.decoder.weight is small.embed.weight and small.embed.embedding_dim == small.rnn.input_size == 4


def test_the_table_of_readers_and_the_plan():
    model, example = made("DotAttention")
    told = str(espalier.readers(model, example))
    assert "mix.weight, dim 1, 0 to 15 (8 of them)" not in told and "mix.weight, dim 1" in told and "decoder, layer 0" in told
    espalier.prune(model, structure="unit", percent=25, example=example)
    assert plan(model, example=example).hidden == {"encoder": 6, "decoder": 6}
    with pytest.raises(InputError, match=r"runs no nn\.RNN"):
        espalier.readers(nn.Linear(3, 2), torch.randn(2, 3))
    assert len(tensors(example(2, 3))) == 2


def test_scores_of_data_see_what_was_found():
    model, example = made("Residual")
    data = [example(4, 6) for _ in range(3)]
    for score in ("activation", "variation", "correlation", "outgoing", "random"):
        one = copy.deepcopy(model)
        espalier.prune(one, structure="unit", percent=50, example=example, score=score, data=data)
        assert espalier.shrink(one, example=example, say=None).layers[0].hidden_size == 4


def test_attention_takes_a_narrower_query_again_and_again_and_goes_with_the_file(tmp_path):
    model, example = made("SelfAttention")
    small = model
    for units in (5, 3):
        espalier.prune(small, structure="unit", percent=34, example=example)
        large, small = small, espalier.shrink(small, example=example, say=None)
        assert (small.rnn.hidden_size, small.attend.query_dim, small.attend.kdim) == (units, units, units)
        inputs = example(3, 9)
        torch.testing.assert_close(small(*inputs), large(*inputs), rtol=0, atol=1e-6)
    assert type(small.attend) is espalier.NarrowQuery
    espalier.export(small, tmp_path / "net.pt", example=example)
    code = (tmp_path / "net.py").read_text().replace('"net.pt"', repr(str(tmp_path / "net.pt")))
    loaded = {"model": ZOO["SelfAttention"][0]()}
    exec(code, loaded)  # what a user would do with the file
    inputs = example(2, 5)
    assert torch.equal(loaded["model"].eval()(*inputs), small(*inputs))
    espalier.export(small, tmp_path / "net.onnx", example=example)

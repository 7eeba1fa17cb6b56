"""What the C export refuses, in one line and with nothing written, and what looks odd but is not."""

import copy

import pytest
import torch
from c_networks import Reader, numbers
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.pruning.c import network
from espalier.pruning.c.check import Compiled, compiler, temporary
from espalier.pruning.c.network import Network

needs_compiler = pytest.mark.skipif(compiler() is None, reason="no C compiler")


def test_refusals_are_one_line_and_nothing_is_written(tmp_path, monkeypatch):
    model, path = Reader("gru", 3, 5), tmp_path / "net.c"
    for how, words in (
        ({"layout": "sparse"}, "layout must be one of dense, tiles_8x4"),
        ({"stream": True}, "names and stream are of ONNX"),
        ({"quantize": "int4"}, "quantize must be int8"),
    ):
        with pytest.raises(InputError, match=words):
            espalier.export(model, path, numbers(3), say=None, **how)
    with pytest.raises(InputError, match=r"layout is of C: write to a path that ends with \.c"):
        espalier.export(model, tmp_path / "net.pt", numbers(3), say=None, layout="csr")
    broken = copy.deepcopy(model)
    broken.rnn.weight_hh_l0.data[0, 0] = torch.nan
    with pytest.raises(InputError, match=r"rnn\.weight_hh_l0 holds values that are not finite"):
        espalier.export(broken, path, numbers(3), say=None)
    monkeypatch.setattr(network, "compared", lambda *_: 0.5)
    if compiler():
        with pytest.raises(InputError, match=r"differs from torch by 5\.0e-01; nothing was written"):
            espalier.export(model, path, numbers(3), say=None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("model", "example", "words"),
    [
        (Reader("gru", 3, 5), lambda batch, time: 1 / 0, "the example's function fails at batch 1, time 7: ZeroDivisionError"),
        (Reader("gru", 3, 5), torch.randn(4, 6, 7), "Reader does not take the example: RuntimeError"),
        (Reader("gru", 3, 5), "a sequence", "Reader takes no tensor that could be a sequence"),
        (torch.compile(nn.GRU(3, 5)), torch.randn(4, 1, 3), "the model was compiled"),
        (nn.Linear(3, 2), None, r"what does Linear take\? say example="),
    ],
    ids=["function", "width", "text", "compiled", "none"],
)
def test_bad_examples_are_one_line(model, example, words, tmp_path):
    with pytest.raises(InputError, match=words) as error:
        espalier.export(model, tmp_path / "net.c", example, say=None)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


class Odd(nn.Module):
    """What a first look takes for a plain network."""

    def __init__(self, how):
        super().__init__()
        self.cell, self.rnn, self.embed = nn.LSTMCell(3, 8), nn.GRU(3, 8, batch_first=True), nn.Embedding(9, 3)
        self.skip, self.how = nn.Embedding(9, 8), how
        self.capped = nn.Embedding(9, 3, max_norm=1.0)

    def forward(self, x, more=None):
        if self.how == "clamped memory":
            h = c = torch.zeros(len(x), 8)
            states = []
            for t in range(x.shape[1]):
                h, c = self.cell(x[:, t], (h, c))
                c = c.clamp(-3, 3)
                states.append(h)
            return torch.stack(states, 1)
        if self.how == "first":
            return self.rnn(x)[0][:, 0]
        if self.how == "skip":
            return self.rnn(self.embed(x))[0] + self.skip(x)
        if self.how == "columns":
            return self.rnn(self.embed(x[..., 0]) + self.embed(x[..., 1]))[0]
        if self.how == "max_norm":
            return self.rnn(self.capped(x))[0]
        if self.how == "embedding alone":
            return self.embed(x)
        return self.rnn(x)[0] + more


CODES = lambda batch, time: torch.randint(9, (batch, time))  # noqa: E731


@pytest.mark.parametrize(
    ("how", "example", "words"),
    [
        ("clamped memory", numbers(3), "a cell whose memory is changed between steps"),
        ("bias", lambda batch, time: (torch.randn(batch, time, 3), torch.randn(8)), "numbers beside its sequence"),
        ("max_norm", CODES, "an embedding with max_norm"),
        ("columns", lambda batch, time: torch.randint(9, (batch, time, 2)), "more than the C export understands"),
    ],
)
def test_what_looks_plain_and_is_not_is_refused(how, example, words, tmp_path):
    with pytest.raises(InputError, match=words) as error:
        espalier.export(Odd(how), tmp_path / "net.c", example, say=None)
    assert "\n" not in str(error.value) and not list(tmp_path.iterdir())


@needs_compiler
@pytest.mark.parametrize(("how", "example"), [("first", numbers(3)), ("skip", CODES), ("embedding alone", CODES)])
def test_first_steps_and_embeddings_anywhere(how, example, tmp_path):
    (row,) = espalier.export(Odd(how), tmp_path / "net.c", example, say=None)
    assert row["difference"] < 1e-5


def test_a_header_of_cs_own_is_not_hidden(tmp_path):
    with pytest.raises(InputError, match=r"its header would hide C's own string\.h"):
        espalier.export(Reader("gru", 3, 5), tmp_path / "string.c", numbers(3), say=None)


@needs_compiler
def test_a_gate_that_is_shut_stays_shut_for_any_number_of_steps(tmp_path):
    """A forget gate of one keeps what is in memory; silu of what is far below zero is zero."""
    model = nn.LSTM(1, 1)
    with torch.no_grad():
        for weight in model.parameters():
            weight.zero_()
        model.bias_ih_l0[1] = 30.0
        model.weight_ih_l0[2] = 1.0
    line = torch.cat([torch.ones(2, 1), torch.zeros(20_000, 1)])
    writer = Network(model, lambda batch, time: torch.randn(time, batch, 1)).writer("net.c")
    with temporary() as folder:
        ((found, _),) = Compiled(writer, folder).run([line.numpy()])
    expected = model(line[:, None])[0].detach().flatten().numpy()
    assert abs(found.flatten() - expected).max() < 1e-5
    silu = nn.Sequential(nn.Linear(1, 1), nn.SiLU())
    with torch.no_grad():
        silu[0].weight.fill_(1.0)
        silu[0].bias.zero_()
    writer = Network(silu, lambda batch, time: torch.randn(batch, 1)).writer("net.c")
    with temporary() as folder:
        ((found, _),) = Compiled(writer, folder).run([torch.tensor([[-1e6], [-20.0]]).numpy()])
    assert abs(found).max() < 1e-7

"""Export: what onnxruntime and a rebuilt network say is what the network said."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import espalier
from espalier.errors import InputError
from espalier.nn import CELLS, SequenceClassifier
from espalier.pruning import export as module

onnxruntime = pytest.importorskip("onnxruntime")


class Net(nn.Module):
    def __init__(self, kind=nn.LSTM, **more):
        super().__init__()
        self.rnn = kind(5, 6, **more)
        self.head = nn.Linear((more.get("proj_size") or 6) * (2 if more.get("bidirectional") else 1), 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0])


def run(path, *inputs):
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return session.run(None, {i.name: value.numpy() for i, value in zip(session.get_inputs(), inputs)})


@pytest.mark.parametrize("cell", list(CELLS))
def test_our_own_model(cell, tmp_path):
    torch.manual_seed(0)
    model = SequenceClassifier(cell, (8, 6))
    espalier.prune(model, structure="unit", percent=50)
    small = espalier.shrink(model, say=None)
    said = []
    told = espalier.export(small, tmp_path / "small", say=said.append)
    assert [row["path"][-5:] for row in told] == [".onnx", "ll.pt"] and told[0]["difference"] < 1e-5 and told[0]["shapes"] == 4
    assert "equal to torch" in said[0] and "bytes" in said[1]
    tokens, lengths = torch.randint(60, 90, (7, 31)), torch.tensor([31, 2, 5, 9, 1, 30, 8])
    (logits,) = run(tmp_path / "small.onnx", tokens, lengths)
    torch.testing.assert_close(torch.from_numpy(logits), model.eval()(tokens, lengths), rtol=0, atol=1e-5)
    code = (tmp_path / "small.py").read_text(encoding="utf-8").replace("small.pt", str(tmp_path / "small.pt"))
    names = {}
    exec(code, names)
    assert torch.equal(names["model"].eval()(tokens, lengths), small.eval()(tokens, lengths))


@settings(max_examples=12, deadline=None, derandomize=True)
@given(data=st.data())
def test_anybodys_model(data, tmp_path_factory):
    """Random architectures: ONNX with any batch and time, and the lines that rebuild the network."""
    folder = tmp_path_factory.mktemp("export")
    kind = data.draw(st.sampled_from([nn.RNN, nn.GRU, nn.LSTM]))
    layout = {
        "num_layers": data.draw(st.integers(1, 3)), "bidirectional": data.draw(st.booleans()), "bias": data.draw(st.booleans()),
        "batch_first": data.draw(st.booleans()),
    }  # fmt: skip
    if kind is nn.RNN:
        layout["nonlinearity"] = data.draw(st.sampled_from(["tanh", "relu"]))
    torch.manual_seed(data.draw(st.integers(0, 5)))
    model, readers = Net(kind, **layout), {"rnn": ["head"]}
    espalier.prune(model, structure="unit", percent=data.draw(st.sampled_from([0, 33, 67])), readers=readers)
    small = espalier.shrink(model, readers, say=None)
    espalier.export(small, folder / "net", say=None)
    x = torch.randn(data.draw(st.integers(1, 7)), data.draw(st.integers(1, 7)), 5)
    (out,) = run(folder / "net.onnx", x)
    torch.testing.assert_close(torch.from_numpy(out), model.eval()(x), rtol=0, atol=1e-5)
    names = {"model": Net(kind, **layout)}
    exec((folder / "net.py").read_text(encoding="utf-8").replace("net.pt", str(folder / "net.pt")), names)
    assert torch.equal(names["model"].eval()(x), small.eval()(x))


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_a_bare_module_gives_its_states_too(kind, tmp_path):
    torch.manual_seed(0)
    model = kind(4, 5, num_layers=2).double().eval()
    espalier.export(model, tmp_path / "bare", say=None)
    x = torch.randn(3, 2, 4)
    found = run(tmp_path / "bare.onnx", x)
    for ours, theirs in zip(module._flat(model(x.double())), found, strict=True):
        torch.testing.assert_close(torch.from_numpy(theirs).double(), ours, rtol=0, atol=1e-5)
    names = {}
    exec((tmp_path / "bare.py").read_text(encoding="utf-8").replace("bare.pt", str(tmp_path / "bare.pt")), names)
    assert torch.equal(names["model"](x.double())[0], model(x.double())[0])


def test_examples(tmp_path):
    class Two(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(4, 5, batch_first=True)

        def forward(self, x, scale):
            return self.rnn(x)[0] * scale[:, None, None]

    model = Two()
    with pytest.raises(InputError, match=r"what does Two take\? say example="):
        espalier.export(model, tmp_path / "two.onnx")
    assert not list(tmp_path.iterdir())
    example = (torch.randn(2, 3, 4), torch.ones(2))
    assert espalier.export(model, tmp_path / "two.onnx", example, say=None)[0]["shapes"] == 1
    made = espalier.export(model, tmp_path / "two.onnx", lambda b, t: (torch.randn(b, t, 4), torch.ones(b)), say=None)
    assert made[0]["shapes"] == 4
    tokens = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2))
    assert espalier.export(tokens, tmp_path / "tokens.onnx", say=None)[0]["shapes"] == 4


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="rnn has proj_size=2, which torch cannot write to ONNX"):
        espalier.export(Net(proj_size=2), tmp_path / "net.onnx")
    assert espalier.export(Net(proj_size=2), tmp_path / "net.pt", say=None)[0]["bytes"] > 0
    with pytest.raises(InputError, match=r"suffix must be \.onnx or \.pt"):
        espalier.export(Net(), tmp_path / "net.tflite")
    with torch.device("meta"):
        model = Net()
    with pytest.raises(InputError, match="meta device"):
        espalier.export(model, tmp_path / "meta.onnx")
    monkeypatch.setattr(module.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'espalier\[onnx\]'"):
        espalier.export(Net(), tmp_path / "net.onnx")


def test_an_unequal_network_is_not_written(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "TOLERANCE", -1.0)
    with pytest.raises(InputError, match="differs from torch"):
        espalier.export(Net(), tmp_path / "net.onnx")
    assert not list(tmp_path.iterdir())

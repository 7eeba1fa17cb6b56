"""Export: what onnxruntime and a rebuilt network say is what the network said."""

import logging

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from zoo import ZOO

import espalier
from espalier.errors import InputError
from espalier.nn import CELLS, SequenceClassifier
from espalier.pruning import onnx as module
from espalier.pruning.running import flat, tensors

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
    assert [row["path"][-5:] for row in told] == [".onnx", "ll.pt"] and told[0]["difference"] < 1e-5 and told[0]["shapes"] == 6
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
    for ours, theirs in zip(flat(model(x.double())), found, strict=True):
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
    told = espalier.export(model, tmp_path / "two.onnx", example, say=None)[0]
    assert told["shapes"] == 5 and told["free"] == ["batch", "time"]  # found by varying it
    made = espalier.export(model, tmp_path / "two.onnx", lambda b, t: (torch.randn(b, t, 4), torch.ones(b)), say=None)
    assert made[0]["shapes"] == 6
    tokens = nn.Sequential(nn.Embedding(7, 4), nn.Linear(4, 2))
    assert espalier.export(tokens, tmp_path / "tokens.onnx", say=None)[0]["shapes"] == 6


def test_what_cannot_be_exported(tmp_path, monkeypatch):
    with pytest.raises(InputError, match="rnn has proj_size=2, which torch cannot write to ONNX"):
        espalier.export(Net(proj_size=2), tmp_path / "net.onnx")
    assert espalier.export(Net(proj_size=2), tmp_path / "net.pt", say=None)[0]["bytes"] > 0
    with pytest.raises(InputError, match=r"suffix must be \.onnx, \.pt or \.c"):
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


def shrunk(name):
    """A pruned and shrunk network of the zoo, and an example that it takes."""
    torch.manual_seed(0)
    kind, example = ZOO[name]
    model = kind().eval()
    espalier.prune(model, structure="unit", percent=50, example=example)
    small = espalier.shrink(model, example=example, say=None)
    if name == "Policy":
        return small, lambda batch, time: (torch.randn(batch, 5), (torch.randn(batch, 4), torch.randn(batch, 4)))
    return small, example


NAMES = {
    "Policy": (["x", "states_0", "states_1"], ["actions", "value", "states_0_out", "states_1_out"], ["batch"]),
    "WordModel": (["tokens"], ["output_0", "output_1_0", "output_1_1"], ["batch", "time"]),
    "Crnn": (["image"], ["output"], ["batch", "time"]),
    "DeepSpeech": (["x"], ["output"], ["batch", "time"]),
    "CrfEmissions": (["tokens", "lengths"], ["output_0", "output_1"], ["batch", "time"]),
    "CellLoop": (["x"], ["output"], []),  # the loop over steps is unrolled
    "LearnedStart": (["x"], ["output"], ["time"]),
    "KeywordSpotter": (["x"], ["output"], ["batch", "time"]),
    "DotAttention": (["source", "target"], ["output"], ["batch", "time"]),
}  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_nests_names_and_free_axes(name, tmp_path):
    small, example = shrunk(name)
    lines = []
    (row,) = espalier.export(small, tmp_path / "net.onnx", example, say=lines.append)
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    told = [one.name for one in session.get_inputs()], [one.name for one in session.get_outputs()], row["free"]
    assert told == NAMES[name]
    fixed = "cannot vary: the file holds a loop over steps" in " ".join(lines)
    assert fixed == (name in ("CellLoop", "LearnedStart")) == ("note" in row)
    if row["free"] == ["batch", "time"]:
        inputs = example(4, 11)
        for ours, theirs in zip(run(tmp_path / "net.onnx", *tensors(inputs)), flat(small(*inputs)), strict=True):
            torch.testing.assert_close(torch.from_numpy(ours), theirs, rtol=0, atol=1e-5)
            small.state = None  # of the keyword spotter


@pytest.mark.parametrize(
    "name", ["TiedWordModel", "CrossAttention", "CellLoop", "LearnedStart", "DeepSpeech", "Scaled", "ConvReads", "ViewByNumber"]
)
def test_the_lines_rebuild_what_was_found(name, tmp_path):
    small, example = shrunk(name)
    espalier.export(small, tmp_path / "net.pt", say=None)
    names = {"model": ZOO[name][0]().eval()}
    exec((tmp_path / "net.py").read_text(encoding="utf-8").replace("net.pt", str(tmp_path / "net.pt")), names)
    inputs = example(3, 8)
    for ours, theirs in zip(flat(names["model"].eval()(*inputs)), flat(small(*inputs)), strict=True):
        assert torch.equal(ours, theirs)
    if name == "TiedWordModel":
        assert names["model"].decoder.weight is names["model"].embed.weight


def test_other_names(tmp_path):
    small, example = shrunk("LastStep")
    espalier.export(small, tmp_path / "net.onnx", example, say=None, names={"inputs": ["audio"], "outputs": ["label"]})
    session = onnxruntime.InferenceSession(tmp_path / "net.onnx", providers=["CPUExecutionProvider"])
    assert (session.get_inputs()[0].name, session.get_outputs()[0].name) == ("audio", "label")
    with pytest.raises(InputError, match="there are 1 outputs, output, to be named each by another name"):
        espalier.export(small, tmp_path / "net.onnx", example, say=None, names={"outputs": ["a", "b"]})


@pytest.mark.parametrize("kind", [nn.RNN, nn.GRU, nn.LSTM])
def test_one_step_at_a_time(kind, tmp_path):
    torch.manual_seed(0)
    model = Net(kind, batch_first=True, num_layers=2).eval()
    (row,) = espalier.export(model, tmp_path / "step.onnx", lambda b, t: (torch.randn(b, t, 5),), say=None, stream=True)
    assert "equal to the whole sequence over 50 steps" in row["note"]
    session = onnxruntime.InferenceSession(tmp_path / "step.onnx", providers=["CPUExecutionProvider"])
    names = [one.name for one in session.get_inputs()]
    x, states = torch.randn(2, 9, 5), [torch.zeros(2, 2, 6) for _ in names[1:]]
    for k, expected in enumerate(model(x).unbind(1)):
        feed = dict(zip(names, [x[:, k : k + 1].numpy(), *(state.numpy() for state in states)]))
        output, *states = [torch.from_numpy(one) for one in session.run(None, feed)]
        torch.testing.assert_close(output[:, 0], expected, rtol=0, atol=1e-5)


def test_what_is_no_stream_says_so(tmp_path):
    for name, told in (
        ("Crnn", "'low' reads backwards too"), ("SumOverTime", "is not what it is on a whole sequence"),
        ("CellLoop", "has no nn.RNN"),
    ):  # fmt: skip
        kind, example = ZOO[name]
        with pytest.raises(InputError, match=told):
            espalier.export(kind().eval(), tmp_path / "step.onnx", example, say=None, stream=True)
    assert not list(tmp_path.iterdir())


def test_int8_tells_its_error_and_what_it_left(tmp_path):
    torch.manual_seed(0)

    class Wide(nn.Module):
        def __init__(self, kind):
            super().__init__()
            self.rnn, self.head = kind(16, 64, batch_first=True), nn.Linear(64, 8)

        def forward(self, x):
            return self.head(self.rnn(x)[0])

    for kind, left in ((nn.LSTM, []), (nn.GRU, ["GRU"])):
        model, said = Wide(kind).eval(), []
        example = lambda batch, time: (torch.randn(batch, time, 16),)  # noqa: E731
        (whole,) = espalier.export(model, tmp_path / "float.onnx", example, say=None)
        (row,) = espalier.export(model, tmp_path / "int8.onnx", example, say=said.append, quantize="int8")
        assert row["left"] == left and 0 < row["error"] < 0.05  # on any processor, see `reduce_range`
        assert row["bytes"] < (0.4 if kind is nn.LSTM else 1.1) * whole["bytes"]
        assert "int8: off by" in said[1] and ("in single precision stays GRU" in said[1]) == bool(left)
        x = torch.randn(3, 7, 16)
        (ours,), scale = run(tmp_path / "int8.onnx", x), float(model(x).abs().max())
        assert float((torch.from_numpy(ours) - model(x)).abs().max()) < 0.1 * scale
    with pytest.raises(InputError, match="quantize must be int8"):
        espalier.export(model, tmp_path / "x.onnx", example, quantize="int4")


def test_what_the_tracer_cannot_do_is_one_line(tmp_path, capsys):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = nn.GRU(4, 5, batch_first=True)

        def forward(self, x):
            return torch.linalg.svdvals(self.rnn(x)[0])

    with pytest.raises(InputError) as error:
        espalier.export(Odd().eval(), tmp_path / "odd.onnx", torch.randn(2, 3, 4))
    assert "Odd cannot be written to ONNX" in str(error.value) and "\n" not in str(error.value)
    assert capsys.readouterr().out == "" and not list(tmp_path.iterdir())


def test_int8_leaves_the_root_logger_alone(tmp_path, monkeypatch):
    """A handler that a library puts there would show everybody's lines on the terminal."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    espalier.export(Net().eval(), tmp_path / "net.onnx", torch.randn(2, 3, 5), say=None, quantize="int8")
    assert root.handlers == []

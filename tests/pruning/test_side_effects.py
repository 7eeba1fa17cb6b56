"""What is the user's stays as it is: files, modes, states, random numbers, windows; and what means nothing is refused."""

import matplotlib
import pytest
import torch
from torch import nn

import espalier
from espalier.pruning.costs import costs, multiply_adds
from espalier.pruning.onnx_session import run, session_of


class Net(nn.Module):
    def __init__(self, layers=1):
        super().__init__()
        torch.manual_seed(0)
        self.norm, self.rnn = nn.BatchNorm1d(5), nn.GRU(5, 8, layers, batch_first=True)
        self.head, self.state = nn.Linear(8, 3), None

    def forward(self, x):
        states, self.state = self.rnn(self.norm(x.transpose(1, 2)).transpose(1, 2))
        return self.head(states)


X = torch.randn(4, 7, 5, generator=torch.Generator().manual_seed(0))
DATA = {"data": [X]}


@pytest.mark.parametrize(
    "call",
    [
        lambda model, path: costs({"one": model}, X, repeats=2),
        lambda model, path: costs({"one": model}, repeats=2),
        lambda model, path: multiply_adds(model, (X,)),
        lambda model, path: espalier.compress(model, X, parameters=0.6, latency=0.99, repeats=2, say=None),
        lambda model, path: espalier.shrink(model, {"rnn": ["head"]}, say=None),
        lambda model, path: espalier.shrink(model, say=None, example=X),
        lambda model, path: espalier.export(model, path / "net.pt", say=None),
        lambda model, path: espalier.export(model, path / "net.onnx", say=None),
        lambda model, path: espalier.export(model, path / "net.c", X, say=None),
        lambda model, path: espalier.pruning.make_masks(model, structure="unit", score="variation", example=X, **DATA),
        lambda model, path: espalier.pruning.make_masks(model, structure="unit", score="correlation", example=X, **DATA),
        lambda model, path: espalier.pruning.make_masks(model, score="obs", **DATA),
    ],
    ids=["costs", "guess", "adds", "compress", "told", "shrink", "pt", "onnx", "c", "variation", "correlation", "obs"],
)
def test_models_and_random_numbers_are_as_before(tmp_path, call):
    model = Net().train()
    espalier.prune(model, structure="unit", percent=25, example=X)
    model.norm.eval()  # frozen, in a model that trains
    statistics, kept, drawn = model.norm.running_mean, model.norm.running_mean.clone(), torch.get_rng_state()
    try:
        call(model, tmp_path)
    except espalier.InputError as error:
        assert "latency" in str(error)  # of a busy machine
    assert model.norm.running_mean is statistics and torch.equal(statistics, kept)
    assert model.state is None and model.training and not model.norm.training
    assert torch.equal(drawn, torch.get_rng_state())


def test_frozen_parts_stay_frozen_in_what_compress_makes():
    model = Net().train()
    model.norm.eval()
    small, _ = espalier.compress(model, X, parameters=0.6, say=None)
    assert small.training and not small.norm.training


def test_examples_by_name_and_packed_ones_have_costs_too():
    class Packed(Net):
        def forward(self, packed):
            return self.head(self.rnn(packed)[0].data)

    packed = nn.utils.rnn.pack_padded_sequence(X, torch.tensor([7, 5, 3, 1]), batch_first=True)

    def drawn(batch, time):
        return {"x": torch.randn(batch, time, 5)}

    for model, example in ((Net(), {"x": X}), (Net(), drawn), (Packed(), packed)):
        small, (row,) = espalier.compress(model, example, parameters=0.6, say=None)
        assert row["meets"] and costs({"a": small}, example, repeats=2)[0]["multiply_adds"] > 0


def test_a_share_between_the_percents_that_are_tried_first_is_found(recwarn):
    class Narrow(Net):
        def __init__(self):
            super().__init__()
            self.narrow, self.head = nn.GRU(8, 2, batch_first=True), nn.Linear(2, 3)  # 75 % would take all of these

        def forward(self, x):
            return self.head(self.narrow(self.rnn(x)[0])[0])

    _, (row,) = espalier.compress(Narrow(), X, parameters=0.33, say=None)
    assert 50 < row["percent"] < 75 and row["parameters"] <= 0.33 and row["meets"] and not recwarn.list


def test_files_of_others_are_not_written_over(tmp_path):
    model = nn.GRU(5, 8, batch_first=True)
    (tmp_path / "net.py").write_text("# a week of work\n")
    with pytest.raises(espalier.InputError, match=r"net\.py would be written beside it"):
        espalier.export(model, tmp_path / "net.pt", say=None)
    (tmp_path / "net.h").write_text("// mine\n")
    with pytest.raises(espalier.InputError, match=r"net\.h would be written beside it"):
        espalier.export(model, tmp_path / "net.c", X, say=None)
    assert (tmp_path / "net.py").read_text() == "# a week of work\n" and not (tmp_path / "net.pt").exists()
    for name in ("ours.pt", "ours.c"):
        espalier.export(model, tmp_path / name, X, say=None)
        espalier.export(model, tmp_path / name, X, say=None)  # ours may be written again


def test_the_backend_of_figures_stays_the_users(tmp_path):
    before = matplotlib.get_backend()
    matplotlib.use("svg")
    try:
        espalier.sensitivity(nn.GRU(5, 4), lambda model: 0.0, percents=(0, 50), figure=tmp_path / "one.png", say=None)
        assert matplotlib.get_backend() == "svg"
    finally:
        matplotlib.use(before)


def test_what_python_decides_is_told_of_a_file_that_cannot(tmp_path):
    class Decides(Net):
        def forward(self, x):
            y = super().forward(x)
            return -y if x.abs().max() > 50 else y

    (row,) = espalier.export(Decides().eval(), tmp_path / "one.onnx", lambda batch, time: torch.randn(batch, time, 5), say=None)
    line = Decides.forward.__code__.co_firstlineno + 2
    assert row["note"].startswith(f"test_side_effects.py, line {line}: what Python decides or computes there")
    (plain,) = espalier.export(Net().eval(), tmp_path / "two.onnx", X, say=None)
    assert "note" not in plain
    session = session_of((tmp_path / "one.onnx").read_bytes())
    assert not torch.allclose(run(session, ["x"], [100 * X])[0], Decides().eval()(100 * X))  # which is why


def test_sensitivity_takes_any_percents_once():
    rows = espalier.sensitivity(nn.GRU(5, 4), lambda model: 0.0, percents=iter((0, 50)), say=None)
    assert len(rows) == 2 * 8


@pytest.mark.parametrize(
    "arguments, told",
    [
        ({"rule": "redundant"}, "rule=redundant goes by what score=variation says of hidden units"),
        ({"rule": "redundant", "structure": "unit", "score": "magnitude"}, "rule=redundant goes by"),
        ({"structure": "unit", "gates": {"r": 50}}, "gates and keep_diagonal are of single weights"),
        ({"structure": "unit", "keep_diagonal": True}, "gates and keep_diagonal are of single weights"),
        ({"structure": "unit", "scope": "global", "example": X}, "would remove all 8 units of rnn, layer 0; lower it, or use"),
        ({"structure": "unit", "scope": "global", "readers": {"rnn": ["head"]}}, "would remove all 8 units of rnn, layer 0"),
    ],
)
def test_what_means_nothing_is_refused(arguments, told):
    model = Net(layers=2)
    with torch.no_grad():
        for name, parameter in model.rnn.named_parameters():
            parameter.mul_(0.01 if name.endswith("l0") or name == "weight_ih_l1" else 1)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(espalier.InputError, match=told):
        espalier.prune(model, percent=50, **arguments)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    "call, told",
    [
        (lambda model: espalier.prune(model, score=["magnitude"]), "score must be a name or a function"),
        (lambda model: espalier.prune(model, scope=["tensor"]), "scope must be a name"),
        (lambda model: espalier.prune(model, rule=["exact"]), "rule must be one of"),
        (lambda model: espalier.prune(model, modules=3), "modules must be names of modules, got 3"),
        (lambda model: espalier.prune(model, gates="r"), "gates must be percents by the letters of gates"),
        (lambda model: espalier.prune(model, score="random", generator=3), "generator must be a torch.Generator"),
        (lambda model: espalier.prune(model, structure="unit", score="activation", data=5), "data must be an iterable"),
        (lambda model: espalier.prune(model, structure="unit", readers=["head"], example=X), "readers must be lists of names"),
        (
            lambda model: espalier.prune(model, structure="unit", readers={"rnn": "head"}, example=X),
            r"readers\['rnn'\] must be a",
        ),
        (lambda model: espalier.prune(model, structure="unit", example=X[:0]), "the example holds no values"),
        (lambda model: espalier.readers(None, X), "a model is a torch.nn.Module, got NoneType"),
        (lambda model: espalier.compress(None, X, parameters=0.5), "a model is a torch.nn.Module, got NoneType"),
        (lambda model: espalier.compress(model, X, parameters="half"), "parameters is the share that may be left"),
        (lambda model: espalier.compress(model, X, latency=0.5, repeats=0), "repeats must be a whole number above 0"),
        (lambda model: espalier.compress(model, X[..., :4], parameters=0.5), "Net does not take the example: "),
        (lambda model: espalier.compress(model, X, within=0.1, evaluate=lambda network: None), "evaluate must give a number"),
        (lambda model: espalier.sensitivity(model, len, percents=50), "percents as a list"),
        (lambda model: espalier.export(model, "never.onnx", X, names=["a"]), "names must be"),
        (lambda model: espalier.export(model, "never.onnx", X[..., :4]), "Net does not take the example: "),
    ],
)
def test_bad_arguments_are_one_line(call, told):
    with pytest.raises(espalier.InputError, match=told) as error:
        call(Net())
    assert "\n" not in str(error.value)

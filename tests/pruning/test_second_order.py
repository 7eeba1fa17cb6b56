"""Optimal brain damage and the layer-wise optimal brain surgeon, against what they promise."""

import pytest
import torch
from torch import nn
from torch.func import functional_call, hessian
from torch.nn import functional as F

import espalier
from espalier.errors import InputError
from espalier.nn.feedforward import FeedForward
from espalier.pruning.context import Context
from espalier.pruning.curvature import diagonal
from espalier.pruning.inputs import second_moments
from espalier.pruning.scores.class_distributed import class_distributed
from espalier.pruning.scores.obs import DAMPING


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def context(model, data, **more):
    return Context(model, data, torch.Generator().manual_seed(0), **more)


LOSSES = {
    "cross_entropy": (F.cross_entropy, torch.tensor([0, 1, 2] * 4)),
    "squared_error": (lambda outputs, targets: (outputs - targets).square().sum(1).mean(), torch.randn(12, 3).double()),
}


@pytest.mark.parametrize("name", LOSSES)
def test_the_diagonal_is_that_of_the_hessian_of_a_relu_network(name):
    loss, targets = LOSSES[name]
    model, inputs = FeedForward(5, 3, [4, 4]).double(), torch.randn(12, 5, dtype=torch.float64)
    weights = [one for one in dict(model.named_parameters()) if one.endswith("weight")]
    found = diagonal(weights, context(model, [inputs[:7], inputs[7:]], loss=name))
    for one in weights:

        def value(weight, one=one):
            return loss(functional_call(model, {one: weight}, (inputs,)), targets)

        weight = model.get_parameter(one).detach()
        full = hessian(value)(weight).reshape(weight.numel(), -1).diagonal().view_as(weight)
        scale = 1 if name == "cross_entropy" else 1 / 3  # a mean over numbers, of which an example has three
        assert (found[one] - full * scale).abs().max() < 1e-8
        assert found[one].min() >= 0 and model.get_parameter(one).requires_grad


class Steps(nn.Module):
    """A GRU and a head on its last state."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(3, 4, batch_first=True), nn.Linear(4, 2)

    def forward(self, values):
        return self.head(self.rnn(values)[0][:, -1])


def test_recurrent_weights_get_an_estimate_without_bias():
    model, inputs = Steps().double(), torch.randn(6, 5, 3, dtype=torch.float64)
    name = "rnn.weight_hh_l0"
    weight, exact = model.get_parameter(name).detach(), 0
    for row in inputs:  # J' C J of every example

        def logits(value, row=row):
            cell = {"weight_ih": model.rnn.weight_ih_l0, "bias_ih": model.rnn.bias_ih_l0, "bias_hh": model.rnn.bias_hh_l0}
            state = torch.zeros(1, 4, dtype=torch.float64)
            for step in row:
                state = torch.gru_cell(step[None], state, cell["weight_ih"], value, cell["bias_ih"], cell["bias_hh"])
            return model.head(state)[0]

        slopes, shares = torch.func.jacrev(logits)(weight), logits(weight).softmax(0)
        curvature = shares.diag() - shares[:, None] * shares
        exact = exact + torch.einsum("c...,cd,d...->...", slopes, curvature, slopes).detach() / len(inputs)
    batches = 3000
    found = diagonal([name, "head.weight"], context(model, [inputs] * batches, loss="cross_entropy"))
    assert (found[name] - exact).abs().max() < 5 * (2 / batches) ** 0.5 * exact.max()
    assert found[name].min() >= 0


def test_what_is_not_judged_does_not_count():
    model, inputs = FeedForward(5, 3, [4]), torch.randn(8, 5)
    targets = torch.tensor([0, 1, 2, 0, -100, -100, -100, -100])
    part = diagonal(["layers.0.weight"], context(model, [inputs[:4]], loss="cross_entropy"))
    whole = diagonal(["layers.0.weight"], context(model, [inputs], loss="cross_entropy", targets=[targets]))
    torch.testing.assert_close(part, whole)


def test_the_matrix_of_a_layer():
    model, inputs = FeedForward(6, 3, [5]).double(), torch.randn(40, 6, dtype=torch.float64)
    moments = second_moments(["layers.0.weight", "layers.2.weight"], context(model, [inputs[:25], inputs[25:]]), "obs")
    torch.testing.assert_close(moments["layers.0.weight"], inputs.t() @ inputs / 40)
    hidden = model.layers[:2](inputs).detach()
    torch.testing.assert_close(moments["layers.2.weight"], hidden.t() @ hidden / 40)
    damped = moments["layers.0.weight"] + DAMPING * torch.eye(6)
    inverse, recursion = torch.linalg.inv(damped), torch.eye(6, dtype=torch.float64) / DAMPING
    for row in inputs:  # the study's: one example after the other
        product = recursion @ row
        recursion = recursion - torch.outer(product, product) / (40 + row @ product)
    torch.testing.assert_close(inverse, recursion, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("percent", [10, 70])
def test_the_surgeon_predicts_the_rise_of_a_quadratic_loss_and_reaches_its_minimum(percent):
    inputs = torch.randn(60, 8, dtype=torch.float64) @ torch.randn(8, 8, dtype=torch.float64)
    layer = nn.Linear(8, 3, bias=False).double()
    before, wanted = layer.weight.detach().clone(), layer(inputs).detach()
    damped = inputs.t() @ inputs / 60 + DAMPING * torch.eye(8)
    masks = espalier.prune(layer, target="linear", percent=percent, score="obs", data=[inputs])
    mask = masks["weight"]
    change = layer.weight.detach() - before
    rise = 0.5 * torch.einsum("ri,ij,rj->", change, damped, change)
    predicted = 0.0
    inverse = torch.linalg.inv(damped)
    for row, kept in zip(before, mask):
        gone = ~kept
        predicted += 0.5 * row[gone] @ torch.linalg.solve(inverse[gone][:, gone], row[gone])
    torch.testing.assert_close(rise, torch.as_tensor(predicted))
    for row, kept, values in zip(wanted.t(), mask, layer.weight.detach()):
        best = torch.linalg.lstsq(inputs[:, kept], row[:, None]).solution.flatten()
        torch.testing.assert_close(values[kept], best, rtol=1e-4, atol=1e-4)
        assert not values[~kept].any()


@pytest.mark.parametrize("kind, more", [(nn.LSTM, {}), (nn.GRU, {"bidirectional": True}), (nn.RNN, {"num_layers": 2})])
def test_the_inputs_of_recurrent_layers(kind, more):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.rnn = kind(3, 4, batch_first=True, **more)

        def forward(self, values):
            return self.rnn(values)[0]

    model, inputs = Net().double(), torch.randn(5, 6, 3, dtype=torch.float64)
    last = more.get("num_layers", 1) - 1
    names = [f"rnn.weight_{kind}_l{last}" for kind in ("ih", "hh")]
    moments = second_moments(names, context(model, [inputs]), "obs")
    states = model(inputs)[..., :4]
    before = torch.cat([torch.zeros(5, 1, 4), states[:, :-1]], 1).flatten(0, 1)
    torch.testing.assert_close(moments[names[1]], (before.t() @ before / 30).detach())
    if last == 0:
        torch.testing.assert_close(moments[names[0]], inputs.flatten(0, 1).t() @ inputs.flatten(0, 1) / 30)


def test_class_distributed_by_hand():
    weights = {"a": torch.tensor([[1.0, -3.0], [0.0, 2.0]]), "b": torch.tensor([[5.0, 0.0]])}
    scores = class_distributed(weights, None)
    torch.testing.assert_close(scores["a"], weights["a"].abs() / torch.tensor([1.0, -3.0, 2.0]).std())
    assert scores["b"][0, 0] > scores["a"].max() and scores["b"][0, 1] == 0


@pytest.mark.parametrize(
    "arguments, told",
    [
        (dict(score="obd", data=[torch.randn(2, 5)]), "needs to know the loss of the outputs, cross_entropy or"),
        (dict(score="obd", loss="cross_entropy"), "score=obd needs data="),
        (dict(score="obs"), "score=obs needs data"),
        (dict(score="obs", data=[]), "held no batch that reaches layers"),
    ],
)
def test_what_is_missing_is_told(arguments, told):
    with pytest.raises(InputError, match=told):
        espalier.prune(FeedForward(5, 3, [4]), target="linear", **arguments)


def test_target_linear():
    model = Steps()
    assert list(espalier.prune(model, target="linear", percent=50)) == ["head.weight"]
    with pytest.raises(InputError, match="holds no nn"):
        espalier.prune(nn.GRU(2, 3), target="linear")
    with pytest.raises(InputError, match="'rnn' matches no nn"):
        espalier.prune(model, target="linear", modules="rnn")


def gauss_newton(model, weight, inputs):
    """The diagonal of one weight by brute force, cross-entropy."""
    name = next(name for name, one in model.named_parameters() if one is weight)
    total = 0
    for row in inputs:

        def logits(value, row=row):
            return functional_call(model, {name: value}, (row[None],))[0]

        slopes = torch.func.jacrev(logits)(weight.detach())
        shares = logits(weight.detach()).softmax(0).detach()
        curvature = shares.diag() - shares[:, None] * shares
        total = total + torch.einsum("c...,cd,d...->...", slopes, curvature, slopes) / len(inputs)
    return total.detach()


def test_functions_that_work_in_place_change_nothing():
    model, inputs = nn.Sequential(nn.Linear(4, 6), nn.ReLU(inplace=True), nn.Linear(6, 3)).double(), torch.randn(9, 4).double()
    found = diagonal(["0.weight"], context(model, [inputs], loss="cross_entropy"))["0.weight"]
    plain = nn.Sequential(model[0], nn.ReLU(), model[2])
    torch.testing.assert_close(found, gauss_newton(plain, model[0].weight, inputs))
    leaky = nn.Sequential(nn.Linear(4, 6), nn.LeakyReLU(0.5, inplace=True), nn.Linear(6, 3)).double()
    other = nn.Sequential(leaky[0], nn.LeakyReLU(0.5), leaky[2])
    masks = [
        espalier.pruning.make_masks(one, structure="unit", percent=50, score="activation", data=[inputs])
        for one in (leaky, other)
    ]
    assert masks[0] == masks[1]


class Tied(nn.Module):
    """Two layers that are one weight, rows that are no examples, and a layer that reaches nothing."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.steps, self.aside = nn.Linear(4, 4), nn.Linear(4, 4), nn.Linear(4, 3), nn.Linear(4, 2)
        self.b.weight = self.a.weight

    def forward(self, values):
        self.aside(values)
        hidden = self.b(torch.relu(self.a(values)))
        return self.steps(torch.stack([hidden, hidden.flip(1)], 1).flatten(0, 1)).unflatten(0, (-1, 2)).mean(1)


def test_what_is_not_one_row_per_example_is_estimated_and_what_reaches_nothing_is_zero():
    model, inputs = Tied().double(), torch.randn(6, 4).double()
    names = ["a.weight", "steps.weight", "aside.weight"]
    batches = 3000
    found = diagonal(names, context(model, [inputs] * batches, loss="cross_entropy"))
    for name in names[:2]:
        exact = gauss_newton(model, model.get_parameter(name), inputs)
        assert (found[name] - exact).abs().max() < 5 * (2 / batches) ** 0.5 * exact.max()
    assert found["aside.weight"].shape == (2, 4) and not found["aside.weight"].any()


class Packed(nn.Module):
    """Both directions over packed sequences, or from a start that is given by name."""

    def __init__(self, start=None):
        super().__init__()
        self.rnn, self.start = nn.GRU(3, 4, batch_first=True, bidirectional=True), start

    def forward(self, values):
        return self.rnn(input=values) if self.start is None else self.rnn(values, hx=self.start)


def test_packed_sequences_and_named_arguments():
    lengths = [5, 3, 2]
    sequences = [torch.randn(length, 3).double() for length in lengths]
    model = Packed().double()
    packed = nn.utils.rnn.pack_sequence(sequences)
    names = [f"rnn.weight_hh_l0{suffix}" for suffix in ("", "_reverse")]
    moments = second_moments(["rnn.weight_ih_l0", *names], context(model, [packed]), "obs")
    befores = [[], []]
    for one in sequences:
        states = model.rnn(one[None])[0][0].detach()
        zero = torch.zeros(1, 4).double()
        befores[0].append(torch.cat([zero, states[:-1, :4]]))
        befores[1].append(torch.cat([states[1:, 4:], zero]))
    for name, before in zip(names, befores):
        whole = torch.cat(before)
        torch.testing.assert_close(moments[name], whole.t() @ whole / 10)
    whole = torch.cat(sequences)
    torch.testing.assert_close(moments["rnn.weight_ih_l0"], whole.t() @ whole / 10)
    start = torch.full((2, 1, 4), 0.5).double()
    given = Packed(start).double()
    given.rnn.load_state_dict(model.rnn.state_dict())
    one = sequences[0][None]
    found = second_moments([names[0]], context(given, [one]), "obs")[names[0]]
    before = torch.cat([start[0], model.rnn(one, start)[0][0, :-1, :4].detach()])
    torch.testing.assert_close(found, before.t() @ before / 5)


def test_every_module_keeps_its_mode():
    model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 2))
    model[1].eval()
    espalier.prune(model, target="linear", percent=50, score="obs", data=[torch.randn(8, 4)])
    assert model.training and model[0].training and not model[1].training

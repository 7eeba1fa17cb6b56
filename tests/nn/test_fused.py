import pytest
import torch
from torch import nn

from espalier.nn import CELLS, fused, layer

SHAPES = [(1, 1, 1, 1), (7, 3, 4, 5), (2, 6, 5, 3), (20, 2, 3, 8)]  # T, N, inputs, hidden


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("cell", list(CELLS))
def test_states_and_gradients_are_torchs(cell, shape):
    steps, n, width, hidden = shape
    torch.manual_seed(0)
    module = layer(cell, width, hidden).double()
    inputs = torch.randn(steps, n, width, dtype=torch.float64, requires_grad=True)
    weigh = torch.randn(steps, n, hidden, dtype=torch.float64)
    results = []
    for forward in (lambda x: fused.run(module, x), lambda x: module(x)[0]):
        states = forward(inputs)
        gradients = torch.autograd.grad((states * weigh).sum(), [inputs, *module.parameters()])
        results.append([states, *gradients])
    for ours, theirs in zip(*results):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-12)


@pytest.mark.parametrize("cell", ["rnn_tanh", "gru"])
def test_gradients_by_finite_differences(cell):
    torch.manual_seed(0)
    module = layer(cell, 3, 4).double()
    inputs = torch.randn(5, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: fused.run(module, x), inputs)


@pytest.mark.parametrize("cell", list(CELLS))
def test_training_and_evaluation_agree_in_single_precision(cell):
    torch.manual_seed(0)
    module = layer(cell, 50, 50)
    inputs = torch.randn(40, 32, 50)
    trained = fused.run(module, inputs)
    with torch.no_grad():
        torch.testing.assert_close(trained, fused.run(module, inputs), rtol=0, atol=1e-6)


def test_layers_without_biases_take_torchs_way():
    module = nn.GRU(3, 4, bias=False)
    inputs = torch.randn(5, 2, 3)
    assert torch.equal(fused.run(module, inputs), module(inputs)[0])

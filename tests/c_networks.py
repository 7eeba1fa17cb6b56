"""What the tests of the C export share: small networks, and how far what is compiled is off."""

import torch
from torch import nn

from espalier.pruning.c.check import STRICT, Compiled, compared, temporary
from espalier.pruning.c.network import Network


def numbers(width):
    return lambda batch, time: torch.randn(batch, time, width)


class Reader(nn.Module):
    """A recurrent network with a head, in one of several ways."""

    def __init__(self, cell, inputs, hidden, layers=1, both=False, codes=0, read="all", between=None, bias=True):
        super().__init__()
        kind = {"rnn_tanh": nn.RNN, "rnn_relu": nn.RNN, "gru": nn.GRU, "lstm": nn.LSTM}[cell]
        more = {"nonlinearity": cell[4:]} if cell.startswith("rnn") else {}
        self.embed = nn.Embedding(codes, inputs) if codes else nn.Identity()
        self.rnn = kind(inputs, hidden, layers, batch_first=True, bidirectional=both, bias=bias, **more)
        self.between, self.head, self.read = between or nn.Identity(), nn.Linear(hidden * (1 + both), 3), read

    def forward(self, x):
        states = self.rnn(self.embed(x))[0]
        states = states[:, -1] if self.read == "last" else states.mean(1) if self.read == "mean" else states
        return self.head(self.between(states))


def held(model, example, flags=STRICT, layout=None, quantize=None):
    """The largest difference of a compiled network from what it should give, relative to the largest output."""
    network = Network(model, example)
    with temporary() as folder:
        compiled = Compiled(network.writer("net.c", layout, quantize), folder, flags)
        return compared(compiled, network.sequences, network.in_steps() if quantize else network.expected)

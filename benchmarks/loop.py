"""The yardstick: the classifier as a Python loop over time steps with masks inside, as the study's code trained it.

Written to be measured against and compared with; nothing in the package uses it.
"""

import math
from itertools import pairwise

import torch
from torch import nn

from espalier.graphs import layered


class LoopLayer(nn.Module):
    """One recurrent layer; weights, gate order and equations are torch's, the masks multiply in every time step."""

    def __init__(self, cell, inputs, hidden):
        super().__init__()
        self.cell, self.hidden = cell, hidden
        gates = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}[cell]
        bound = 1 / math.sqrt(hidden)
        for name, columns in (("ih", inputs), ("hh", hidden)):
            self.register_parameter(
                f"weight_{name}", nn.Parameter(torch.empty(gates * hidden, columns).uniform_(-bound, bound))
            )
            self.register_parameter(f"bias_{name}", nn.Parameter(torch.empty(gates * hidden).uniform_(-bound, bound)))
        self.register_buffer("mask_i2h", torch.ones_like(self.weight_ih, dtype=torch.bool))
        self.register_buffer("mask_h2h", torch.ones_like(self.weight_hh, dtype=torch.bool))

    def step(self, x, h, c):
        i2h = x @ (self.weight_ih * self.mask_i2h).t() + self.bias_ih
        h2h = h @ (self.weight_hh * self.mask_h2h).t() + self.bias_hh
        if self.cell == "lstm":
            i, f, g, o = (i2h + h2h).chunk(4, 1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            return torch.sigmoid(o) * torch.tanh(c), c
        if self.cell == "gru":
            (xr, xz, xn), (hr, hz, hn) = i2h.chunk(3, 1), h2h.chunk(3, 1)
            r, z = torch.sigmoid(xr + hr), torch.sigmoid(xz + hz)
            n = torch.tanh(xn + r * hn)
            return (1 - z) * n + z * h, c
        return (torch.tanh if self.cell == "rnn_tanh" else torch.relu)(i2h + h2h), c

    def forward(self, inputs):
        """`(N, T, inputs)` -> `(N, T, hidden)`."""
        h = c = inputs.new_zeros(len(inputs), self.hidden)
        states = []
        for t in range(inputs.shape[1]):
            h, c = self.step(inputs[:, t], h, c)
            states.append(h)
        return torch.stack(states, 1)


class LoopStack(nn.Module):
    def __init__(self, cell, sizes):
        super().__init__()
        self.recurrent_layers = nn.ModuleList(LoopLayer(cell, a, b) for a, b in pairwise(sizes))

    def forward(self, states):
        for layer in self.recurrent_layers:
            states = layer(states)
        return states


class LoopClassifier(nn.Module):
    """Embedding, recurrent layers, linear head on the last time step; state dict in the study's layout."""

    def __init__(self, cell, hidden=(50, 50, 50), codes=128, classes=2):
        super().__init__()
        self.embedding = nn.Embedding(codes, hidden[0])
        self.recurrent = LoopStack(cell, (hidden[0], *hidden))
        self.out = nn.Linear(hidden[-1], classes)

    def forward(self, tokens):
        """tokens: `(N, T)`, padded with zeros, which are fed through like any letter."""
        return self.out(self.recurrent(self.embedding(tokens.long()))[:, -1])


class LoopGraph(nn.Module):
    """A network wired like a graph as the study's code ran it: one loop over time steps per connected pair of layers, the
    masks inside; state dict in the study's layout.

    interleaved: repeat the rows of a mask one after the other, as the study did, instead of gate by gate.
    """

    def __init__(self, cell, graph, interleaved=True, codes=128, classes=2):
        super().__init__()
        structure = layered(graph)
        sizes, edges = structure.sizes, structure.edges()
        self.embedding = nn.Embedding(codes, sizes[0])
        self.recurrent = nn.Module()
        self.recurrent.recurrent_layers = nn.ModuleList(
            LoopLayer(cell, sizes[max(target - 1, 0)], size) for target, size in enumerate(sizes)
        )
        skips = {(s, t): LoopLayer(cell, sizes[s], sizes[t]) for s, t in edges if t - s > 1}
        self.recurrent.skip_layers = nn.ModuleList(skips.values())
        self.out = nn.Linear(sizes[-1], classes)
        self.skips = [[(s, loop) for (s, to), loop in skips.items() if to == t] for t in range(len(sizes))]
        for (s, t), places in edges.items():
            loop = skips[s, t] if t - s > 1 else self.recurrent.recurrent_layers[t]
            mask = torch.zeros(sizes[t], sizes[s], dtype=torch.bool)
            mask[tuple(zip(*places))] = True
            count = len(loop.weight_ih) // sizes[t]
            loop.mask_i2h = mask.repeat_interleave(count, 0) if interleaved else mask.repeat(count, 1)

    def forward(self, tokens):
        """tokens: `(N, T)`, padded with zeros, which are fed through like any letter; the last time step is read."""
        states, results = self.embedding(tokens.long()), []
        for loop, skips in zip(self.recurrent.recurrent_layers, self.skips):
            states = loop(states)
            for source, skip in skips:
                states = states + skip(results[source])
            results.append(states)
        return self.out(states[:, -1])

"""What stands between recurrent layers and their readers."""

import torch
from torch import nn
from torch.nn import functional as F

from zoo.entries import entry, values


@entry(values(4))
class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.project = nn.Linear(4, 8)
        self.layers, self.head = nn.ModuleList([nn.LSTM(8, 8, batch_first=True) for _ in range(2)]), nn.Linear(8, 3)

    def forward(self, x):
        x = self.project(x)
        for layer in self.layers:
            x = x + layer(x)[0]
        return self.head(x)


@entry(values(4))
class LearnedStart(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)
        self.start = nn.Parameter(torch.randn(2, 1, 8))

    def forward(self, x):
        return self.head(self.rnn(x, self.start.expand(-1, len(x), -1).contiguous())[0])


@entry(values(4))
class ConvReads(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.conv = nn.LSTM(4, 8, batch_first=True, bidirectional=True), nn.Conv1d(16, 5, 3, padding=1)

    def forward(self, x):
        return self.conv(torch.tanh(self.rnn(x)[0].transpose(1, 2))).amax(2)


@entry(values(4))
class SigmoidBetween(nn.Module):
    """What a sigmoid makes of zero is folded."""

    def __init__(self):
        super().__init__()
        self.low, self.high, self.head = nn.GRU(4, 8, batch_first=True), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(torch.sigmoid(self.high(torch.cos(self.low(x)[0]))[0]).mean(1))


@entry(values(4))
class SumOverTime(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.RNN(4, 8, batch_first=True, nonlinearity="relu"), nn.Linear(16, 3)

    def forward(self, x):
        found, last = self.rnn(x)
        return self.head(torch.cat([found.sum(1), found.amax(1)], -1)) + last[0].sum(-1, keepdim=True)


@entry(values(4))
class NormBetween(nn.Module):
    """A LayerNorm over the units: cannot go."""

    def __init__(self):
        super().__init__()
        self.rnn, self.norm, self.head = nn.LSTM(4, 8, batch_first=True), nn.LayerNorm(8), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.norm(self.rnn(x)[0]))


@entry(values(4))
class SelfAttention(nn.Module):
    """Multi-head attention over the states: its width is that of its query."""

    def __init__(self):
        super().__init__()
        self.rnn, self.attend, self.head = (
            nn.LSTM(4, 8, batch_first=True),
            nn.MultiheadAttention(8, 2, batch_first=True),
            nn.Linear(8, 3),
        )

    def forward(self, x):
        found, _ = self.rnn(x)
        return self.head(self.attend(found, found, found, need_weights=False)[0])


@entry(lambda batch, time: (torch.randn(batch, time, 4), torch.randn(batch, 3, 8)))
class CrossAttention(nn.Module):
    """Multi-head attention to the states of one recurrent layer."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3)
        self.attend = nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x, y):
        found, _ = self.rnn(x)
        return self.head(self.attend(y, found, torch.tanh(found))[0])


@entry(values(4))
class OwnAttention(nn.Module):
    """Keys, values and queries by linear layers."""

    def __init__(self):
        super().__init__()
        self.rnn, self.parts, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 18), nn.Linear(6, 3)

    def forward(self, x):
        keys, asks, given = self.parts(self.rnn(x)[0]).chunk(3, -1)
        return self.head(F.scaled_dot_product_attention(asks, keys, given))


@entry(values(4))
class GatedUnits(nn.Module):
    """One half of the units gates the other, then a chain of linear layers."""

    def __init__(self):
        super().__init__()
        self.rnn = nn.LSTM(4, 8, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(4, 9), nn.ReLU(), nn.Linear(9, 7), nn.Tanh(), nn.Linear(7, 2))

    def forward(self, x):
        given, gate = self.rnn(x)[0].chunk(2, -1)
        return self.mlp(given * torch.sigmoid(gate))


@entry(values(4))
class Scaled(nn.Module):
    """A parameter for every unit, and a matrix that is no layer's."""

    def __init__(self):
        super().__init__()
        self.rnn, self.scale = nn.GRU(4, 8, batch_first=True), nn.Parameter(torch.rand(8) + 0.5)
        self.shift, self.matrix = nn.Parameter(torch.randn(8)), nn.Parameter(torch.randn(8, 3))

    def forward(self, x):
        return (self.rnn(x)[0] * self.scale + self.shift) @ self.matrix


@entry(values(4))
class Projected(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.norm, self.head = nn.LSTM(4, 8, proj_size=3, batch_first=True), nn.LayerNorm(3), nn.Linear(3, 2)

    def forward(self, x):
        return self.head(self.norm(self.rnn(x)[0]))


@entry(values(4))
class ViewByNumber(nn.Module):
    """Reshapes by a width that is kept as a number."""

    def __init__(self):
        super().__init__()
        self.width, self.classes = 8, 8
        self.rnn, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 8)

    def forward(self, x):
        return self.head(self.rnn(x)[0].reshape(-1, self.width)).view(len(x), -1, self.classes)


@entry(values(4))
class Noisy(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 2)

    def forward(self, x):
        found = self.rnn(x)[0]
        return self.head(found + torch.randn_like(found))

"""Speech, images, control, forecasts."""

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from zoo.entries import entry, values


@entry(lambda batch, time: (torch.randn(batch, 1, 8, 4 * time),))
class Crnn(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2))
        self.low, self.between = nn.LSTM(12, 8, bidirectional=True), nn.Linear(16, 8)
        self.high, self.head = nn.LSTM(8, 8, bidirectional=True), nn.Linear(16, 5)

    def forward(self, image):
        found = self.conv(image).permute(3, 0, 1, 2).flatten(2)
        return self.head(self.high(self.between(self.low(found)[0]))[0])


@entry(lambda batch, time: (torch.randn(batch, 6, 2 * time),))
class DeepSpeech(nn.Module):
    """Summed directions, batch norm between the layers."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(6, 7, 3, stride=2, padding=1)
        self.layers = nn.ModuleList([nn.GRU(7, 8, bidirectional=True), nn.GRU(8, 8, bidirectional=True)])
        self.norm, self.head = nn.BatchNorm1d(8), nn.Linear(8, 5)

    def forward(self, x):
        x = torch.relu(self.conv(x)).permute(2, 0, 1)
        for number, layer in enumerate(self.layers):
            if number:
                x = self.norm(x.flatten(0, 1)).view(*x.shape)
            found, _ = layer(x)
            x = found.view(*found.shape[:2], 2, -1).sum(2)
        return self.head(x)


@entry(values(6))
class RnNoise(nn.Module):
    def __init__(self):
        super().__init__()
        self.dense, self.vad = nn.Linear(6, 5), nn.GRU(5, 8, batch_first=True)
        self.noise, self.denoise = nn.GRU(5 + 8 + 6, 9, batch_first=True), nn.GRU(9 + 8 + 6, 10, batch_first=True)
        self.gains, self.voice = nn.Linear(10, 4), nn.Linear(8, 1)

    def forward(self, x):
        dense = torch.tanh(self.dense(x))
        vad, _ = self.vad(dense)
        noise, _ = self.noise(torch.cat([dense, torch.relu(vad), x], -1))
        found, _ = self.denoise(torch.cat([vad, noise, x], -1))
        return torch.sigmoid(self.gains(found)), torch.sigmoid(self.voice(vad))


@entry(values(6))
class KeywordSpotter(nn.Module):
    """Keeps its state as an attribute."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head, self.state = nn.GRU(6, 8, batch_first=True), nn.Linear(8, 3), None

    def forward(self, x):
        found, self.state = self.rnn(x, self.state)
        return self.head(found[:, -1])


@entry(lambda batch, time: (torch.randn(batch, 5), (torch.randn(batch, 8), torch.randn(batch, 8))))
class Policy(nn.Module):
    """One step of a recurrent policy: nested states in and out, a dict out."""

    def __init__(self):
        super().__init__()
        self.body, self.cell, self.actor, self.critic = nn.Linear(5, 6), nn.LSTMCell(6, 8), nn.Linear(8, 3), nn.Linear(8, 1)

    def forward(self, x, states):
        h, c = self.cell(torch.relu(self.body(x)), states)
        return {"actions": self.actor(h), "value": self.critic(h), "states": (h, c), "extra": None}


@entry(lambda batch, time: (torch.randn(batch, 7, 1),))
class Forecast(nn.Module):
    """All states side by side."""

    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(1, 8, batch_first=True), nn.Linear(7 * 8, 4)

    def forward(self, x):
        return self.head(self.rnn(x)[0].flatten(1))


@entry(lambda batch, time: (torch.randint(1, 30, (batch, time)), torch.tensor([time - k % time for k in range(batch)])))
class CrfEmissions(nn.Module):
    """Packed, both directions, emissions of a CRF with its transitions beside them."""

    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(30, 6), nn.LSTM(6, 8, bidirectional=True, batch_first=True)
        self.emit, self.transitions = nn.Linear(16, 5), nn.Parameter(torch.randn(5, 5))

    def forward(self, tokens, lengths):
        packed = pack_padded_sequence(self.embed(tokens), lengths.cpu(), batch_first=True, enforce_sorted=False)
        found, _ = pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=tokens.shape[1])
        return self.emit(found), self.transitions


@entry(values(6))
class WorldModel(nn.Module):
    """Mean and deviation of a latent, a recurrent model of it, a decoder."""

    def __init__(self):
        super().__init__()
        self.encode, self.mean, self.deviation = nn.Linear(6, 10), nn.Linear(10, 4), nn.Linear(10, 4)
        self.rnn, self.mixture, self.decode = nn.LSTM(4, 8, batch_first=True), nn.Linear(8, 12), nn.Linear(4, 6)

    def forward(self, x):
        hidden = torch.relu(self.encode(x))
        mean = self.mean(hidden)
        return self.mixture(self.rnn(mean)[0]), self.decode(mean), self.deviation(hidden).exp()


@entry(values(4))
class CellLoop(nn.Module):
    """Cells in a loop, their width in a number."""

    def __init__(self):
        super().__init__()
        self.hidden, self.low, self.high, self.head = 8, nn.LSTMCell(4, 8), nn.LSTMCell(8, 8), nn.Linear(8, 2)

    def forward(self, x):
        h1 = c1 = h2 = c2 = torch.zeros(len(x), self.hidden, dtype=x.dtype)
        outputs = []
        for step in x.unbind(1):
            h1, c1 = self.low(step, (h1, c1))
            h2, c2 = self.high(h1, (h2, c2))
            outputs.append(self.head(h2))
        return torch.stack(outputs, 1)

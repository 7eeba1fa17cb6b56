"""Recurrent networks as people write them: name -> (class, example: a function from batch and time)."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


def values(features):
    return lambda batch, time: (torch.randn(batch, time, features),)


def words(codes):
    return lambda batch, time: (torch.randint(0, codes, (batch, time)),)


ZOO = {}


def entry(example):
    def add(kind):
        ZOO[kind.__name__] = kind, example
        return kind

    return add


@entry(values(4))
class LastStep(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


@entry(words(20))
class WordModel(nn.Module):
    """Takes and returns its state."""

    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.decoder = nn.Embedding(20, 6), nn.LSTM(6, 8, 2, dropout=0.2), nn.Linear(8, 20)
        self.drop = nn.Dropout(0.2)

    def forward(self, tokens, states=None):
        found, states = self.rnn(self.drop(self.embed(tokens)), states)
        return F.log_softmax(self.decoder(self.drop(found)), -1), states


@entry(words(20))
class TiedWordModel(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn, self.decoder = nn.Embedding(20, 8), nn.GRU(8, 8, batch_first=True), nn.Linear(8, 20)
        self.decoder.weight = self.embed.weight

    def forward(self, tokens):
        return self.decoder(self.rnn(self.embed(tokens))[0])


@entry(words(20))
class TiedByHand(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed, self.rnn = nn.Embedding(20, 8), nn.LSTM(8, 8, batch_first=True)

    def forward(self, tokens):
        return F.linear(self.rnn(self.embed(tokens))[0], self.embed.weight)


@entry(lambda batch, time: (torch.randn(batch, time, 4), torch.randn(2, batch, 8), torch.randn(2, batch, 8)))
class StatesGiven(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn, self.head = nn.LSTM(4, 8, num_layers=2, batch_first=True), nn.Linear(8, 3)

    def forward(self, x, h, c):
        found, states = self.rnn(x, (h, c))
        return self.head(found), states


@entry(lambda batch, time: (torch.randn(batch, time, 4), torch.randn(batch, 3, 5)))
class EncoderDecoder(nn.Module):
    """States handed from one to the other."""

    def __init__(self):
        super().__init__()
        self.encoder, self.decoder = nn.LSTM(4, 8, batch_first=True), nn.LSTM(5, 8, batch_first=True)
        self.head = nn.Linear(8, 3)

    def forward(self, x, y):
        return self.head(self.decoder(y, self.encoder(x)[1])[0])


@entry(lambda batch, time: (torch.randint(0, 9, (batch, time)), torch.randint(0, 7, (batch, 3))))
class DotAttention(nn.Module):
    """Luong: scores are inner products of states."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(9, 5), nn.Embedding(7, 5)
        self.encoder, self.decoder = nn.GRU(5, 8, batch_first=True), nn.GRU(5, 8, batch_first=True)
        self.mix, self.head = nn.Linear(16, 6), nn.Linear(6, 7)

    def forward(self, source, target):
        keys, state = self.encoder(self.source(source))
        asks, _ = self.decoder(self.target(target), state)
        weights = torch.softmax(asks @ keys.transpose(1, 2), -1)
        return self.head(torch.tanh(self.mix(torch.cat([asks, weights @ keys], -1))))


@entry(lambda batch, time: (torch.randn(batch, time, 4), torch.randn(batch, 3, 4)))
class AdditiveAttention(nn.Module):
    """Bahdanau, step by step with a cell."""

    def __init__(self):
        super().__init__()
        self.encoder = nn.GRU(4, 8, batch_first=True, bidirectional=True)
        self.cell, self.key, self.ask = nn.GRUCell(4 + 16, 10), nn.Linear(16, 6), nn.Linear(10, 6)
        self.score, self.head, self.start = nn.Linear(6, 1), nn.Linear(10, 2), nn.Linear(16, 10)

    def forward(self, x, y):
        keys, _ = self.encoder(x)
        state, outputs = torch.tanh(self.start(keys[:, -1])), []
        for step in y.unbind(1):
            scores = self.score(torch.tanh(self.key(keys) + self.ask(state)[:, None])).squeeze(-1)
            context = (torch.softmax(scores, 1)[..., None] * keys).sum(1)
            state = self.cell(torch.cat([step, context], 1), state)
            outputs.append(self.head(state))
        return torch.stack(outputs, 1)


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

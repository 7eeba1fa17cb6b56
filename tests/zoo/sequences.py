"""Language models, encoders and decoders, attention."""

import torch
from torch import nn
from torch.nn import functional as F

from zoo.entries import entry, values, words


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

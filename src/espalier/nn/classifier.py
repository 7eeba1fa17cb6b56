"""The sequence classifier: embedding, stacked recurrent layers, linear head."""

from itertools import pairwise

import torch
from torch import nn

from espalier.errors import InputError
from espalier.nn import fused
from espalier.nn.cells import gates, layer

READOUTS = ("last_token", "last_step")
INITS = ("orthogonal", "uniform")


class Stack(nn.Module):
    """One-layer recurrent modules, each fed with the states of the one before; sizes may differ per layer."""

    def __init__(self, cell, sizes):
        super().__init__()
        self.layers = nn.ModuleList(layer(cell, inputs, hidden) for inputs, hidden in pairwise(sizes))

    def forward(self, states):
        """`(T, N, inputs)` -> `(T, N, hidden of the last layer)`, one fused call of torch per layer."""
        for recurrent in self.layers:
            states = fused.run(recurrent, states)
        return states


def at_last_token(states, lengths):
    """The states `(T, N, hidden)` at the last real token of each sequence: `(N, hidden)`."""
    return states[lengths - 1, torch.arange(lengths.shape[0], device=states.device)]


class SequenceClassifier(nn.Module):
    """Classifies sequences, of tokens or of values, by the last state of a recurrent network.

    cell: `rnn_tanh`, `rnn_relu`, `gru` or `lstm`.  hidden: units per recurrent layer.
    codes: number of token codes.  embedding: width of the embedding, by default that of the first recurrent layer.
    features: number of values per step; the sequences then are values and there is no embedding. None: they are tokens.
    readout: `last_token` reads the state at the last real token, which padding cannot touch; `last_step` reads the last
    time step of the padded batch, as the study did, so that the result depends on the batch.
    init: `uniform` is torch's and the study's U(-1/sqrt(H), 1/sqrt(H)); `orthogonal` differs from it in one thing: `h2h` of
    the plain cells is an orthogonal matrix (Saxe et al. 2014; Le et al. 2015 for ReLU), without which RNN-ReLU gets stuck.
    """

    def __init__(
        self,
        cell,
        hidden=(50, 50, 50),
        codes=128,
        classes=2,
        embedding=None,
        readout="last_token",
        init="orthogonal",
        features=None,
    ):
        super().__init__()
        for name, value, known in (("readout", readout, READOUTS), ("init", init, INITS)):
            if value not in known:
                raise InputError(f"model.{name} must be one of {', '.join(known)}, got {value!r}")
        if features is not None and embedding is not None:
            raise InputError("model.embedding is of tokens; these sequences are of values")
        self.cell, self.readout, self.features = cell, readout, features
        width = features or embedding or hidden[0]
        if features is None:
            self.embedding = nn.Embedding(codes, width)
        self.recurrent = Stack(cell, (width, *hidden))
        self.head = nn.Linear(hidden[-1], classes)
        if init == "orthogonal" and gates(cell) == 1:
            for recurrent in self.recurrent.layers:
                nn.init.orthogonal_(recurrent.weight_hh_l0)

    def forward(self, sequences, lengths):
        """sequences: `(N, T)` integers or `(N, T, features)` values, padded on the right; lengths: `(N,)`.

        Returns logits `(N, classes)`.
        """
        steps = sequences.transpose(0, 1)
        states = self.recurrent(steps if self.features else self.embedding(steps.int()))
        if self.readout == "last_step":
            return self.head(states[-1])
        return self.head(at_last_token(states, lengths))

    @property
    def readers(self):
        """Which module reads the states of each recurrent layer: recurrent module -> list of names."""
        names = [f"recurrent.layers.{l}" for l in range(len(self.recurrent.layers))]
        return {name: [reader] for name, reader in zip(names, [*names[1:], "head"])}

    def example(self, batch, time):
        """Inputs for an export: sequences of `time` steps and their lengths, from 1 to `time`."""
        lengths = 1 + torch.arange(batch) % time
        if self.features:
            return torch.randn(batch, time, self.features), lengths
        return torch.randint(1, min(100, self.embedding.num_embeddings), (batch, time)), lengths

    @property
    def rebuild(self):
        """(import, expression) that make a network of this size."""
        told = ", ".join(f"{name}={value!r}" for name, value in self.sizes.items())
        return "from espalier import SequenceClassifier", f'SequenceClassifier("{self.cell}", {told})'

    @property
    def sizes(self):
        """The arguments that rebuild this network: plain numbers and words."""
        told = {"hidden": [recurrent.hidden_size for recurrent in self.recurrent.layers], "classes": self.head.out_features}
        if self.features:
            told["features"] = self.features
        else:
            told |= {"codes": self.embedding.num_embeddings, "embedding": self.embedding.embedding_dim}
        return told | {"readout": self.readout}

"""The sequence classifier: embedding, stacked recurrent layers, linear head."""

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from espalier.errors import InputError
from espalier.nn import fused
from espalier.nn.cells import gates, layer

READOUTS = ("last_token", "last_step", "every_step", "mean", "all_steps")
INITS = ("orthogonal", "uniform")


class Stack(nn.Module):
    """One-layer recurrent modules, each fed with the states of the one before; sizes may differ per layer.

    dropout: share of the states that is set to zero between layers, in training.
    """

    def __init__(self, cell, sizes, dropout=0.0):
        super().__init__()
        self.layers = nn.ModuleList(layer(cell, inputs, hidden) for inputs, hidden in pairwise(sizes))
        self.dropout = dropout

    def forward(self, states, starts=None):
        """`(T, N, inputs)` -> `(T, N, hidden of the last layer)`, one fused call of torch per layer.

        starts: what each layer starts from, as its torch module takes it, `()` for zero; then the ends come back too.
        """
        ends = []
        for number, recurrent in enumerate(self.layers):
            if number and self.dropout:
                states = F.dropout(states, self.dropout, self.training)
            if starts is None:
                states = fused.run(recurrent, states)
            else:
                states, end = fused.carry(recurrent, states, starts[number] if starts else None)
                ends.append(end)
        return states if starts is None else (states, tuple(ends))


def read_out(states, lengths, readout):
    """What the head reads of the states `(T, N, hidden)`: `(N, hidden)`, of `every_step` `(N, T, hidden)`, of `all_steps`
    `(N, T * hidden)`.
    """
    if readout == "all_steps":
        return states.transpose(0, 1).flatten(1)
    if readout == "every_step":
        return states.transpose(0, 1)
    if readout == "last_step":
        return states[-1]
    if readout == "mean":
        real = torch.arange(len(states), device=states.device)[:, None] < lengths
        return (states * real[..., None]).sum(0) / lengths[:, None]
    return states[lengths - 1, torch.arange(lengths.shape[0], device=states.device)]


class SequenceClassifier(nn.Module):
    """Reads sequences, of tokens or of values, with a recurrent network: a linear head on its states.

    cell: `rnn_tanh`, `rnn_relu`, `gru` or `lstm`.  hidden: units per recurrent layer.
    codes: number of token codes.  embedding: width of the embedding, by default that of the first recurrent layer.
    features: number of values per step; the sequences then are values and there is no embedding. None: they are tokens.
    outputs: numbers that come out, of classes their logits.
    readout: `last_token` reads the state at the last real token, which padding cannot touch; `mean`, the mean of the states of
    all real tokens; `every_step`, every state, an output each; `last_step`, the last time step of the padded batch, as the
    study did, so that the result depends on the batch.
    dropout: share of the states set to zero in training, between layers and before the head.
    steps: of `all_steps`, which reads all states side by side, the length that all sequences have.
    init: `uniform` is torch's and the study's U(-1/sqrt(H), 1/sqrt(H)); `orthogonal` differs from it in one thing: `h2h` of
    the plain cells is an orthogonal matrix (Saxe et al. 2014; Le et al. 2015 for ReLU), without which RNN-ReLU gets stuck.
    """

    def __init__(
        self,
        cell,
        hidden=(50, 50, 50),
        codes=128,
        outputs=2,
        embedding=None,
        readout="last_token",
        init="orthogonal",
        features=None,
        dropout=0.0,
        steps=None,
    ):
        super().__init__()
        for name, value, known in (("readout", readout, READOUTS), ("init", init, INITS)):
            if value not in known:
                raise InputError(f"model.{name} must be one of {', '.join(known)}, got {value!r}")
        if features is not None and embedding is not None:
            raise InputError("model.embedding is of tokens; these sequences are of values")
        if readout == "all_steps" and steps is None:
            raise InputError("model.readout=all_steps needs data that say the length of all their sequences (`steps`)")
        self.cell, self.readout, self.features = cell, readout, features
        self.steps = steps if readout == "all_steps" else None
        width = features or embedding or hidden[0]
        if features is None:
            self.embedding = nn.Embedding(codes, width)
        self.recurrent = Stack(cell, (width, *hidden), dropout)
        self.head = nn.Linear(hidden[-1] * (self.steps or 1), outputs)
        if init == "orthogonal" and gates(cell) == 1:
            for recurrent in self.recurrent.layers:
                nn.init.orthogonal_(recurrent.weight_hh_l0)

    def forward(self, sequences, lengths, states=None):
        """sequences: `(N, T)` integers or `(N, T, features)` values, padded on the right; lengths: `(N,)`.

        states: what an earlier call returned besides, to go on from; `()` at the start of a text. None: start from zero.
        Returns `(N, outputs)`, or `(N, T, outputs)` of `every_step`; with `states` a pair of these and the states after them.
        """
        steps = sequences.transpose(0, 1)
        steps = steps if self.features else self.embedding(steps.int())
        if states is None:
            found, ends = self.recurrent(steps), None
        else:
            found, ends = self.recurrent(steps, states)
        read = read_out(found, lengths, self.readout)
        if self.recurrent.dropout:
            read = F.dropout(read, self.recurrent.dropout, self.training)
        outputs = self.head(read)
        return outputs if states is None else (outputs, ends)

    @property
    def readers(self):
        """Which module reads the states of each recurrent layer: recurrent module -> list of names."""
        names = [f"recurrent.layers.{l}" for l in range(len(self.recurrent.layers))]
        head = ("head", self.steps) if self.steps else "head"
        return {name: [reader] for name, reader in zip(names, [*names[1:], head])}

    def example(self, batch, time):
        """Inputs for an export: sequences of `time` steps and their lengths, from 1 to `time`."""
        lengths = 1 + torch.arange(batch) % time
        if self.steps:
            time, lengths = self.steps, torch.full((batch,), self.steps)
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
        told = {"hidden": [recurrent.hidden_size for recurrent in self.recurrent.layers], "outputs": self.head.out_features}
        if self.features:
            told["features"] = self.features
        else:
            told |= {"codes": self.embedding.num_embeddings, "embedding": self.embedding.embedding_dim}
        told |= {"dropout": self.recurrent.dropout} if self.recurrent.dropout else {}
        told |= {"steps": self.steps} if self.steps else {}
        return told | {"readout": self.readout}

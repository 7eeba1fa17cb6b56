"""Networks as somebody may have them, and units of theirs removed by hand."""

import copy

import torch
from torch import nn

from espalier.pruning.running import flat

KINDS = {"rnn_tanh": (nn.RNN, {}), "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}), "gru": (nn.GRU, {}), "lstm": (nn.LSTM, {})}


class Net(nn.Module):
    """Somebody's model: recurrent, a head on all states."""

    def __init__(self, cell, inputs=5, hidden=6, **more):
        super().__init__()
        kind, own = KINDS[cell]
        self.rnn = kind(inputs, hidden, **own, **more)
        self.head = nn.Linear((more.get("proj_size") or hidden) * (2 if more.get("bidirectional") else 1), 3)

    def forward(self, x):
        states, last = self.rnn(x)
        return self.head(states), states, last


def silence(module, gone):
    """Units removed by hand: rows in every gate, biases, columns that read them. gone: (layer, direction) -> units."""
    hidden = module.hidden_size
    with torch.no_grad():
        for (layer, direction), units in gone.items():
            suffix = f"_l{layer}{'_reverse' if direction else ''}"
            gates = getattr(module, f"weight_ih{suffix}").shape[0] // hidden
            for unit in units:
                for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh"):
                    parameter = getattr(module, f"{kind}{suffix}", None)
                    if parameter is not None:
                        parameter.view(gates, hidden, -1)[:, unit] = 0
                if module.__dict__.get("proj_size"):
                    getattr(module, f"weight_hr{suffix}")[:, unit] = 0
                    continue
                getattr(module, f"weight_hh{suffix}")[:, unit] = 0
                if layer + 1 < module.num_layers:
                    for other in ("", "_reverse") if module.bidirectional else ("",):
                        getattr(module, f"weight_ih_l{layer + 1}{other}")[:, direction * hidden + unit] = 0


class LastNet(nn.Module):
    """Somebody's model: recurrent, a head on the last state."""

    def __init__(self, rnn=None):
        super().__init__()
        self.rnn, self.head = rnn or nn.LSTM(4, 6, batch_first=True), nn.Linear(6, 2)

    def forward(self, x):
        return self.head(self.rnn(x)[0][:, -1])


class Between(nn.Module):
    def __init__(self, forward):
        super().__init__()
        self.rnn, self.head, self.calls = nn.GRU(4, 8, batch_first=True), nn.Linear(8, 3), forward

    def forward(self, x):
        return self.calls(self, x)


def outputs_of(model, inputs):
    """What a fresh copy gives out in double precision."""
    inputs = [one.double() if one.is_floating_point() else one for one in inputs]
    with torch.no_grad():
        return flat(copy.deepcopy(model).double()(*inputs))

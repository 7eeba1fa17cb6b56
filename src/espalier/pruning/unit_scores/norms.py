"""Norms: the Euclidean length of the weights of a unit, biases apart. They need no data.

incoming: its rows in every gate of `weight_ih` and `weight_hh`, how much moves it.  outgoing: its columns in `weight_hh`, in
the next layer and in what reads it (with a projection: in that), how much it moves.  magnitude: all of them, the default.
Reference: Li et al. 2017, "Pruning filters for efficient convnets", which took the norm of incoming weights.
"""

import torch


def incoming(units, context):
    return {one: _incoming(one).sqrt() for one in units}


def outgoing(units, context):
    return {one: _outgoing(one).sqrt() for one in units}


def magnitude(units, context):
    return {one: (_incoming(one) + _outgoing(one) - _own(one)).clamp(min=0).sqrt() for one in units}


def _incoming(units):
    rows = [weight.detach().double().square().sum(1) for weight in units.incoming]
    return sum(rows).view(units.gates, units.hidden).sum(0).cpu()


def _outgoing(units):
    found = torch.zeros(units.hidden, dtype=torch.float64)
    for column in units.feeds:
        part = column.weight.detach()[:, column.of(torch.arange(units.hidden))]
        found += part.double().square().transpose(0, 1).flatten(1).sum(1).cpu()
    return found


def _own(units):
    """What a unit tells itself, which is incoming and outgoing at once."""
    if units.own is None:
        return 0.0
    weight = units.own.detach().double().square().view(units.gates, units.hidden, units.hidden)
    return weight.sum(0).diagonal().cpu()

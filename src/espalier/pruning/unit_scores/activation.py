"""Activation: how much the output of a unit varies over time steps and sequences of the data (population standard deviation).

A unit that hardly varies tells its readers next to nothing that a bias could not. Padded steps count as steps: pass packed
sequences, or batches of equal lengths, where that matters. Data is read once, in memory of the size of the network.
Reference: the study of redundant units (variation of activations), which took shares of the deviations of all units instead,
so that one lively unit made all others look redundant.
"""

import torch

from espalier.errors import InputError
from espalier.pruning.watching import watch


def activation(units, context):
    moments = {one: torch.zeros(3, one.hidden, dtype=torch.float64) for one in units}

    def note(one, values, time):
        flat = values.reshape(-1, one.hidden).double().cpu()
        moments[one] += torch.stack([torch.full_like(flat[0], len(flat)), flat.sum(0), flat.square().sum(0)])

    watch(units, context, note, "activation")
    if not all(moment[0].any() for moment in moments.values()):
        raise InputError("score=activation: data=... held no batch that reaches every layer")
    return {one: (m[2] / m[0] - (m[1] / m[0]).square()).clamp(min=0).sqrt() for one, m in moments.items()}

"""Layers that put out and take in channels: what of them can be disturbed, and where channels arrive at them."""

from dataclasses import dataclass

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from espalier.errors import InputError
from espalier.pruning.attention import NarrowQuery
from espalier.pruning.units import RECURRENT

#: Layers that are sites, and whose inputs are slots; subclasses may compute something else and are seen from inside.
LAYERS = (*RECURRENT, nn.Linear, nn.Conv1d, nn.Embedding, nn.MultiheadAttention, NarrowQuery)
#: Layers that give out every channel of what they take in, by parameters of their own.
CARRIERS = (nn.BatchNorm1d,)


@dataclass(frozen=True)
class Site:
    """Channels that can be disturbed: `kind` is `unit` (name, layer, direction), `projected` (units behind a projection, which
    nobody sees), `layer` (name), `parameter` (name, dim),
    `input` (number, dim), or `fixed` (name), whose channels nobody may change.
    """

    kind: str
    name: object
    layer: int = 0
    direction: int = 0


@dataclass(frozen=True)
class Slot:
    """Where channels arrive: `kind` is `input` of the layer `name`, `hx` of the units of (name, layer, direction), `sum` number
    `name` in the order of calls, or `output` number `name` in the dimension `layer`.
    """

    kind: str
    name: object
    layer: int = 0
    direction: int = 0


def slots_of(name, module, arguments, keywords):
    """(slot, values, dimension of the channels) of what a layer was called with."""
    given = list(arguments) + list(keywords.values())
    if isinstance(module, nn.Embedding):
        return []
    if isinstance(module, nn.MultiheadAttention):
        tensors = [one for one in given[:3] if isinstance(one, torch.Tensor)]
        return [(Slot("input", name, place), one, -1) for place, one in enumerate(tensors)]
    dim = 1 if isinstance(module, (nn.Conv1d, nn.BatchNorm1d)) else -1
    values = given[0].data if isinstance(given[0], PackedSequence) else given[0]
    slots = [(Slot("input", name), values, dim)]
    if isinstance(module, RECURRENT) and len(given) > 1 and given[1] is not None:
        if getattr(module, "proj_size", 0):
            raise InputError(f"{name} has proj_size and is given a start, which has two widths: let it start from zero")
        for part in given[1] if isinstance(given[1], tuple) else (given[1],):
            if isinstance(module, nn.RNNCellBase):
                slots.append((Slot("hx", name), part, -1))
                continue
            both = 2 if module.bidirectional else 1
            for place, one in enumerate(part):
                slots.append((Slot("hx", name, *divmod(place, both)), one, -1))
    return slots


def mapped(values, change):
    """The same nest of tuples with every tensor changed, of packed sequences their data."""
    if isinstance(values, PackedSequence):
        return PackedSequence(change(values.data), *values[1:])
    if isinstance(values, (tuple, list)):
        return type(values)(mapped(one, change) for one in values)
    return change(values) if isinstance(values, torch.Tensor) else values


def disturbed(module, clean, own, noise):
    """What a layer gave out, some of its channels disturbed.  own: Site -> bool `(channels,)`; noise: function from (values,
    mask, dimension of the channels) to their disturbance.
    """
    first, mask = next(iter(own.items()))
    if first.kind == "fixed":
        return mapped(clean, lambda one: one + noise(one, torch.ones(one.shape[-1]), -1))
    if not isinstance(module, nn.RNNBase):
        dim = 1 if isinstance(module, nn.Conv1d) else -1
        return mapped(clean, lambda one: one + noise(one, mask, dim))
    both = 2 if module.bidirectional else 1
    output, states = clean
    top = torch.zeros(both * module.hidden_size)
    rows = torch.zeros(module.num_layers * both, module.hidden_size)
    for site, mask in own.items():
        rows[site.layer * both + site.direction] = mask.float()
        if site.layer == module.num_layers - 1:
            top[site.direction * module.hidden_size :][: module.hidden_size] = mask.float()

    def with_rows(state):
        shape = [len(rows), *[1] * (state.dim() - 2), module.hidden_size]
        return state + noise(state, torch.ones(module.hidden_size), -1) * rows.view(shape).to(state.dtype)

    return mapped(output, lambda one: one + noise(one, top, -1)), mapped(states, with_rows)

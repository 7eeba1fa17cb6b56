"""Activation: how much the output of a unit varies over time steps and sequences of the data (population standard deviation).

A unit that hardly varies tells its readers next to nothing that a bias could not. Padded steps count as steps: pass packed
sequences, or batches of equal lengths, where that matters. Data is read once, in memory of the size of the network.
Reference: the study of redundant units (variation of activations), which took shares of the deviations of all units instead,
so that one lively unit made all others look redundant.
"""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from espalier.errors import InputError


def activation(units, context):
    if context.data is None:
        raise InputError("score=activation needs data=..., an iterable of the model's inputs")
    projected = next((one for one in units if one.projected), None)
    if projected:
        raise InputError(f"score=activation: {projected.place} has proj_size, which hides the outputs of its units")
    moments = {one: torch.zeros(3, one.hidden, dtype=torch.float64) for one in units}
    handles = []
    for owner in dict.fromkeys(one.owner for one in units):
        own = [one for one in units if one.owner is owner]
        kinds = {nn.Linear: _look_at_linear}
        look = _look_at_cell if isinstance(owner, nn.RNNCellBase) else kinds.get(type(owner), _look_at_layers)
        handles.append(owner.register_forward_hook(look(own, moments)))
    training, count = context.model.training, 0
    context.model.eval()
    try:
        for batch in context.data:
            context.model(*batch) if type(batch) in (tuple, list) else context.model(batch)  # a PackedSequence is one input
            count += 1
    finally:
        context.model.train(training)
        for handle in handles:
            handle.remove()
    if not count or not all(moment[0].any() for moment in moments.values()):
        raise InputError("score=activation: data=... held no batch that reaches every layer")
    return {one: (m[2] / m[0] - (m[1] / m[0]).square()).clamp(min=0).sqrt() for one, m in moments.items()}


def _note(moments, states):
    flat = states.detach().flatten(0, -2).double().cpu()
    moments += torch.stack([torch.full_like(flat[0], len(flat)), flat.sum(0), flat.square().sum(0)])


def _look_at_cell(units, moments):
    def hook(module, inputs, output):
        _note(moments[units[0]], (output[0] if isinstance(output, tuple) else output).reshape(-1, module.hidden_size))

    return hook


def _look_at_linear(units, moments):
    """A hook that looks at what the functions after the layer make of its outputs."""

    def hook(module, inputs, output):
        _note(moments[units[0]], units[0].through(output).reshape(-1, module.out_features))

    return hook


def _look_at_layers(units, moments):
    """A hook that runs the layers one by one: torch gives out the states of the last one only."""

    def hook(module, inputs, output):
        states, start = inputs[0], inputs[1] if len(inputs) > 1 else None
        for layer in range(module.num_layers):
            single = single_layer(module, layer)
            both = 2 if module.bidirectional else 1
            own = slice(layer * both, (layer + 1) * both)
            begin = start if start is None else tuple(s[own] for s in start) if isinstance(start, tuple) else start[own]
            states = single(states, begin)[0]
            values = states.data if isinstance(states, PackedSequence) else states
            for one in units:
                if one.layer == layer:
                    first = one.direction * one.hidden
                    _note(moments[one], values[..., first : first + one.hidden])

    return hook


def single_layer(module, layer):
    """Layer `layer` of a recurrent module as a module of its own, which shares the weights."""
    inputs = module.input_size if layer == 0 else module.hidden_size * (2 if module.bidirectional else 1)
    more = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    weight = module.weight_ih_l0
    single = type(module)(
        inputs, module.hidden_size, bias=module.bias, batch_first=module.batch_first, bidirectional=module.bidirectional,
        device=weight.device, dtype=weight.dtype, **more,
    )  # fmt: skip
    with torch.no_grad():
        for name, parameter in single.named_parameters():
            parameter.copy_(getattr(module, name.replace("_l0", f"_l{layer}")))
    return single.eval()

"""Looks at what hidden units put out while a model reads data."""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence

from espalier.errors import InputError
from espalier.pruning.running import untouched


def watch(units, context, note, score):
    """Run the model in evaluation over `context.data` once; `note(one, values, time)` gets the outputs of every one of `units`,
    `(..., hidden)`, and the dimension of the time steps, or None where they come step by step or packed.

    score: its name, for errors.  Raises: InputError if there is no data, or none that reaches every layer.
    """
    if context.data is None:
        raise InputError(f"score={score} needs data=..., an iterable of the model's inputs")
    projected = next((one for one in units if one.projected), None)
    if projected:
        raise InputError(f"score={score}: {projected.place} has proj_size, which hides the outputs of its units")
    reached, handles = set(), []

    def noted(one, values, time):
        reached.add(one)
        note(one, values.detach(), time)

    for owner in dict.fromkeys(one.owner for one in units):
        own = [one for one in units if one.owner is owner]
        look = _look_at_layers
        if isinstance(owner, nn.RNNCellBase):
            look = _look_at_cell
        elif isinstance(owner, nn.Linear):
            look = _look_at_linear
        handles.append(owner.register_forward_hook(look(own, noted), with_kwargs=True))
    read(context, handles)
    if len(reached) < len(units):
        raise InputError(f"score={score}: data=... held no batch that reaches every layer")


def read(context, handles):
    """Run the model in evaluation over `context.data`, and remove the hooks."""
    with torch.no_grad(), untouched(context.model):
        context.model.eval()
        try:
            for batch in context.data:
                context.model(*batch) if type(batch) in (tuple, list) else context.model(batch)  # a PackedSequence is one input
        finally:
            for handle in handles:
                handle.remove()


def called_with(arguments, keywords, place, name):
    """What a module was called with at a place, or by a name; None if with nothing."""
    return arguments[place] if len(arguments) > place else keywords.get(name)


def _look_at_cell(units, note):
    def hook(module, arguments, keywords, output):
        note(units[0], output[0] if isinstance(output, tuple) else output, None)

    return hook


def _look_at_linear(units, note):
    """A hook that looks at what the functions after the layer make of its outputs."""

    def hook(module, arguments, keywords, output):
        note(units[0], units[0].through(output.clone()), None)  # functions may work in place

    return hook


def _look_at_layers(units, note):
    """A hook that runs the layers one by one: torch gives out the states of the last one only."""

    def hook(module, arguments, keywords, output):
        states, start = called_with(arguments, keywords, 0, "input"), called_with(arguments, keywords, 1, "hx")
        for layer in range(module.num_layers):
            single = single_layer(module, layer)
            both = 2 if module.bidirectional else 1
            own = slice(layer * both, (layer + 1) * both)
            begin = start if start is None else tuple(s[own] for s in start) if isinstance(start, tuple) else start[own]
            states = single(states, begin)[0]
            values, time = (states.data, None) if isinstance(states, PackedSequence) else (states, int(module.batch_first))
            for one in units:
                if one.layer == layer:
                    first = one.direction * one.hidden
                    note(one, values[..., first : first + one.hidden], time if values.ndim == 3 else None)

    return hook


def single_layer(module, layer):
    """Layer `layer` of a recurrent module as a module of its own, with copies of the weights."""
    width = module.proj_size or module.hidden_size
    inputs = module.input_size if layer == 0 else width * (2 if module.bidirectional else 1)
    more = {"nonlinearity": module.nonlinearity} if isinstance(module, nn.RNN) else {}
    more |= {"proj_size": module.proj_size} if module.proj_size else {}
    weight = module.weight_ih_l0
    with torch.random.fork_rng(devices=[]):  # for weights that are set below
        single = type(module)(
            inputs, module.hidden_size, bias=module.bias, batch_first=module.batch_first, bidirectional=module.bidirectional,
            device=weight.device, dtype=weight.dtype, **more,
        )  # fmt: skip
    with torch.no_grad():
        for name, parameter in single.named_parameters():
            parameter.copy_(getattr(module, name.replace("_l0", f"_l{layer}")))
    return single.eval()

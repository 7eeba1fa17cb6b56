"""A network step by step: its recurrent layers begin where the step before ended, given in and out as inputs and outputs."""

import torch
from torch import nn

from espalier.errors import InputError

#: Steps over which it is held against the whole sequence.
STEPS = 50


class Stream(nn.Module):
    """`forward(*inputs, *states)` -> (outputs, states): what the network makes of one step, from states `(layers, N, hidden)`
    of each recurrent layer, of an LSTM two.
    """

    def __init__(self, network, layers):
        super().__init__()
        self.network, self.layers, self.wrapped = network, layers, network.forward

    def forward(self, *values):
        count = sum(2 if isinstance(layer, nn.LSTM) else 1 for layer in self.layers.values())
        inputs, states = values[: len(values) - count], list(values[len(values) - count :])
        after, handles = [], []
        for layer in self.layers.values():
            own = (states.pop(0), states.pop(0)) if isinstance(layer, nn.LSTM) else states.pop(0)
            handles.append(layer.register_forward_pre_hook(lambda module, given, own=own: (given[0], own)))
            handles.append(layer.register_forward_hook(lambda module, given, output: after.extend(_states(output[1]))))
        try:
            output = self.network(*inputs)
        finally:
            for handle in handles:
                handle.remove()
        return output, tuple(after)


def _states(states):
    return states if isinstance(states, tuple) else (states,)


def streamed(network, inputs):
    """(`Stream` of a network, its `Inputs`-like inputs for one step, a note).  Raises: InputError where it is none."""
    layers = {name: module for name, module in network.named_modules() if isinstance(module, nn.RNNBase)}
    name = type(network).__name__
    if not layers:
        raise InputError(f"stream=True: {name} has no nn.RNN, nn.GRU or nn.LSTM")
    both = [place for place, layer in layers.items() if layer.bidirectional]
    if both:
        raise InputError(f"stream=True: {both[0]!r} reads backwards too, so that no step is done before the last")
    arguments, keywords = inputs.first
    if keywords or "time" not in inputs.varies:
        raise InputError(f"stream=True: say example= as a function from (batch, time) to the inputs of {name}, by position")
    stream = Stream(network, layers)
    dims = _time_dims(inputs)
    long = _stretched(arguments, dims)
    with torch.no_grad():
        whole, batch = network(*long), _batch(layers, long)
        states, steps = _zeros(layers, batch), []
        for k in range(STEPS):
            one = [value if dim is None else value.narrow(dim, k, 1) for value, dim in zip(long, dims)]
            output, states = stream(*one, *states)
            if not isinstance(output, torch.Tensor) or not isinstance(whole, torch.Tensor):
                raise InputError(f"stream=True: {name} gives out something other than one tensor")
            steps.append(output)
    places = [
        dim for dim, size in enumerate(whole.shape) if size == STEPS and dim < steps[0].dim() and steps[0].shape[dim] == 1
    ]
    found = torch.cat(steps, places[0]) if places else steps[-1]
    if found.shape != whole.shape or not torch.allclose(found, whole, rtol=0, atol=1e-5 * max(1.0, float(whole.abs().max()))):
        raise InputError(f"stream=True: {name} step by step is not what it is on a whole sequence: it looks ahead, or back")
    first = [value if dim is None else value.narrow(dim, 0, 1) for value, dim in zip(long, dims)]
    return stream, _Step((*first, *_zeros(layers, batch))), f"one step; equal to the whole sequence over {STEPS} steps"


class _Step:
    """Inputs of one step, whose shape does not vary."""

    others, varies = (), ()

    def __init__(self, values):
        self.first = values, {}

    @staticmethod
    def flat(inputs):
        return list(inputs[0])

    def fitting(self, free):
        return [self.first]


def _time_dims(inputs):
    """The dimension of time of every input, None where it has none."""
    first = inputs.flat(inputs.first)
    dims = [None] * len(first)
    for kind, other in inputs.others:
        if kind == "time":
            for k, (one, two) in enumerate(zip(first, inputs.flat(other))):
                differing = [dim for dim, (a, b) in enumerate(zip(one.shape, two.shape)) if a != b]
                dims[k] = differing[0] if differing else None
    return dims


def _stretched(values, dims):
    """Inputs of STEPS steps: those of the example over and over."""
    found = []
    for value, dim in zip(values, dims):
        if dim is None:
            found.append(value)
        else:
            times = [1] * value.dim()
            times[dim] = -(-STEPS // value.shape[dim])
            found.append(value.repeat(times).narrow(dim, 0, STEPS))
    return found


def _batch(layers, values):
    first = next(iter(layers.values()))
    return values[0].shape[0 if first.batch_first else 1] if values[0].dim() > 1 else 1


def _zeros(layers, batch):
    states = []
    for layer in layers.values():
        for part in range(2 if isinstance(layer, nn.LSTM) else 1):
            width = layer.proj_size or layer.hidden_size if part == 0 else layer.hidden_size
            states.append(torch.zeros(layer.num_layers, batch, width))
    return states

"""What the weights of a layer are multiplied with, over data: means and second moments of the inputs of every weight matrix."""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from espalier.errors import InputError
from espalier.pruning.watching import called_with, read, single_layer


def second_moments(names, context, score):
    """Name of a weight -> X'X / n `(inputs, inputs)`, float64 on the CPU; X are the inputs of its layer at every call and step:
    of `nn.Linear` its own, of `weight_ih` those of the layer, of `weight_hh` the states before each step.

    names: weights of linear and recurrent layers.  context: `data`, batches of inputs of the model. Padded steps count as
    steps, those behind the end of packed sequences do not.  score: its name, for errors.

    Raises: InputError if there is no data, or a layer is not reached by them.
    """
    return _averaged(names, context, score, lambda flat: flat.t() @ flat)


def means(names, context, score):
    """The same of X itself: name of a weight -> `(inputs,)`."""
    return _averaged(names, context, score, lambda flat: flat.sum(0))


def _averaged(names, context, score, summed):
    if context.data is None:
        raise InputError(f"score={score} needs data=..., an iterable of the model's inputs")
    model, sums, handles = context.model, {}, []
    by_module = {}
    for name in names:
        path, _, short = name.rpartition(".")
        by_module.setdefault(path, []).append(short)

    def add(name, values):
        flat = values.detach().flatten(0, -2).double().cpu()
        total, count = sums.get(name, (0, 0))
        sums[name] = total + summed(flat), count + len(flat)

    for path, shorts in by_module.items():
        dot = f"{path}." if path else ""
        module = model.get_submodule(path)
        if not isinstance(module, (nn.Linear, nn.RNNBase, nn.RNNCellBase)):
            raise InputError(f"score={score} knows linear and recurrent layers, {path!r} is {type(module).__name__}")
        kind = _linear if isinstance(module, nn.Linear) else _cell if isinstance(module, nn.RNNCellBase) else _layers
        handles.append(module.register_forward_hook(kind(dot, shorts, add), with_kwargs=True))
    read(context, handles)
    missing = [name for name in names if name not in sums]
    if missing:
        raise InputError(f"score={score}: data=... held no batch that reaches {missing[0]}")
    return {name: total / count for name, (total, count) in sums.items()}


def _linear(dot, shorts, add):
    def hook(module, arguments, keywords, output):
        add(f"{dot}weight", called_with(arguments, keywords, 0, "input").reshape(-1, module.in_features))

    return hook


def _cell(dot, shorts, add):
    def hook(module, arguments, keywords, output):
        start = called_with(arguments, keywords, 1, "hx")
        state = start[0] if isinstance(start, tuple) else start
        values = called_with(arguments, keywords, 0, "input").reshape(-1, module.input_size)
        state = values.new_zeros(len(values), module.hidden_size) if state is None else state.reshape(-1, module.hidden_size)
        for short, one in (("weight_ih", values), ("weight_hh", state)):
            if short in shorts:
                add(dot + short, one)

    return hook


def _layers(dot, shorts, add):
    """A hook that runs the layers one by one: torch gives out the states of the last one only."""

    def hook(module, arguments, keywords, output):
        values, start = called_with(arguments, keywords, 0, "input"), called_with(arguments, keywords, 1, "hx")
        if not isinstance(values, PackedSequence) and values.ndim == 2:
            values = values.unsqueeze(0 if module.batch_first else 1)
            if start is not None:
                start = tuple(one.unsqueeze(1) for one in start) if isinstance(start, tuple) else start.unsqueeze(1)
        both = 2 if module.bidirectional else 1
        width = module.proj_size or module.hidden_size
        for layer in range(module.num_layers):
            own = slice(layer * both, (layer + 1) * both)
            begin = start if start is None else tuple(s[own] for s in start) if isinstance(start, tuple) else start[own]
            first = begin[0] if isinstance(begin, tuple) else begin
            states = single_layer(module, layer)(values, begin)[0]
            inputs, real = _steps(values, module.batch_first)
            steps, _ = _steps(states, module.batch_first)
            for direction, suffix in enumerate(("", "_reverse")[:both]):
                at_start = steps.new_zeros(steps.shape[1], width) if first is None else first[direction]
                before = _before(steps[..., direction * width : (direction + 1) * width], at_start, real, bool(direction))
                for short, one in ((f"weight_ih_l{layer}{suffix}", inputs), (f"weight_hh_l{layer}{suffix}", before)):
                    if short in shorts:
                        add(dot + short, one[real])
            values = states

    return hook


def _steps(values, batch_first):
    """Values by time, `(T, N, width)`, and which of them are real, `(T, N)`: of packed ones, those before their ends."""
    if isinstance(values, PackedSequence):
        padded, lengths = pad_packed_sequence(values)
        return padded, torch.arange(len(padded))[:, None].to(padded.device) < lengths.to(padded.device)
    steps = values.transpose(0, 1) if batch_first else values
    return steps, torch.ones(steps.shape[:2], dtype=torch.bool, device=steps.device)


def _before(states, start, real, reverse):
    """The state before each step, `(T, N, width)`; in reverse every sequence starts at its last real step."""
    if not reverse:
        return torch.cat([start[None], states[:-1]])
    before = torch.cat([states[1:], start[None]])
    ends = real.sum(0) - 1
    before[ends, torch.arange(len(ends), device=ends.device)] = start
    return before

"""What the weights of a layer are multiplied with, over data: second moments X'X / n of the inputs of every weight matrix."""

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence, pad_packed_sequence

from espalier.errors import InputError
from espalier.pruning.watching import single_layer


def second_moments(names, context):
    """Name of a weight -> X'X / n `(inputs, inputs)`, float64 on the CPU; X are the inputs of its layer at every call and step:
    of `nn.Linear` its own, of `weight_ih` those of the layer, of `weight_hh` the states before each step.

    names: weights of linear and recurrent layers.  context: `data`, batches of inputs of the model. Padded steps count as
    steps.  Raises: InputError if there is no data, or a layer is not reached by them.
    """
    if context.data is None:
        raise InputError("score=obs needs data=..., an iterable of the model's inputs")
    model, sums, handles = context.model, {}, []
    by_module = {}
    for name in names:
        path, _, short = name.rpartition(".")
        by_module.setdefault(path, []).append(short)

    def add(name, values):
        flat = values.detach().flatten(0, -2).double().cpu()
        total, count = sums.get(name, (0, 0))
        sums[name] = total + flat.t() @ flat, count + len(flat)

    for path, shorts in by_module.items():
        dot = f"{path}." if path else ""
        module = model.get_submodule(path)
        kind = _linear if isinstance(module, nn.Linear) else _cell if isinstance(module, nn.RNNCellBase) else _layers
        handles.append(module.register_forward_hook(kind(dot, shorts, add)))
    training = model.training
    model.eval()
    try:
        with torch.no_grad():
            for batch in context.data:
                model(*batch) if type(batch) in (tuple, list) else model(batch)
    finally:
        model.train(training)
        for handle in handles:
            handle.remove()
    missing = [name for name in names if name not in sums]
    if missing:
        raise InputError(f"score=obs: data=... held no batch that reaches {missing[0]}")
    return {name: total / count for name, (total, count) in sums.items()}


def _linear(dot, shorts, add):
    def hook(module, inputs, output):
        add(f"{dot}weight", inputs[0].reshape(-1, module.in_features))

    return hook


def _cell(dot, shorts, add):
    def hook(module, inputs, output):
        start = inputs[1] if len(inputs) > 1 and inputs[1] is not None else None
        state = start[0] if isinstance(start, tuple) else start
        values = inputs[0].reshape(-1, module.input_size)
        state = values.new_zeros(len(values), module.hidden_size) if state is None else state.reshape(-1, module.hidden_size)
        for short, one in (("weight_ih", values), ("weight_hh", state)):
            if short in shorts:
                add(dot + short, one)

    return hook


def _layers(dot, shorts, add):
    """A hook that runs the layers one by one: torch gives out the states of the last one only."""

    def hook(module, inputs, output):
        values, start = inputs[0], inputs[1] if len(inputs) > 1 else None
        if isinstance(values, PackedSequence):
            values, _ = pad_packed_sequence(values, batch_first=module.batch_first)
        elif values.ndim == 2:
            values = values.unsqueeze(0 if module.batch_first else 1)
        both = 2 if module.bidirectional else 1
        width = getattr(module, "proj_size", 0) or module.hidden_size
        for layer in range(module.num_layers):
            own = slice(layer * both, (layer + 1) * both)
            begin = start if start is None else tuple(s[own] for s in start) if isinstance(start, tuple) else start[own]
            first = begin[0] if isinstance(begin, tuple) else begin
            states = single_layer(module, layer)(values, begin)[0]
            steps = states.transpose(0, 1) if module.batch_first else states
            for direction, suffix in enumerate(("", "_reverse")[:both]):
                at_start = steps.new_zeros(1, steps.shape[1], width) if first is None else first[direction : direction + 1]
                part = steps[..., direction * width : (direction + 1) * width]
                before = torch.cat([part[1:], at_start] if direction else [at_start, part[:-1]])
                for short, one in ((f"weight_ih_l{layer}{suffix}", values), (f"weight_hh_l{layer}{suffix}", before)):
                    if short in shorts:
                        add(dot + short, one)
            values = states

    return hook

"""What a network costs: parameters, bytes, multiply-adds, and measured latency, of several networks side by side."""

import io
import statistics
import time

import torch
from torch import nn
from torch.nn.utils.rnn import PackedSequence
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from espalier.pruning.csr import CsrLayer, CsrLinear, to_csr
from espalier.pruning.running import called, maker, untouched

#: Time steps of the sequences that multiply-adds and latency are told for.
STEPS = 32
BATCHES = (1, 32)


def costs(models, example=None, steps=STEPS, batches=BATCHES, repeats=30, threads=1):
    """A row per network: list of dicts.

    models: name -> module, all of the same inputs.  example: these, as for `espalier.export`.  steps: time steps per sequence.
    Each row: `name`, `parameters`, `nonzero` (of them), `bytes` (of the saved state dict; of CSR weights, of their three
    arrays and the rest), `multiply_adds` (of one sequence, as the function counts them), and per batch size b
    `ms_b`, the median of `repeats` forward passes, `ms_b_low` and `ms_b_high`, their quartiles, on `threads` threads of the
    CPU. The networks take turns, each after a pass that is not counted, so that its own weights are at hand.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        with untouched(*models.values()):
            inputs = maker(next(iter(models.values())), example)
            rows = [{"name": name, **size(model, inputs, steps)} for name, model in models.items()]
            for batch in batches:
                for row, seconds in zip(rows, latency(models, inputs(batch, steps), repeats)):
                    row |= {f"ms_{batch}{end}": 1000 * value for end, value in zip(("", "_low", "_high"), seconds)}
        return [{**row, "repeats": repeats} for row in rows]
    finally:
        torch.set_num_threads(before)


def latency(models, inputs, repeats):
    """(median, lower, upper quartile) of the seconds of a forward pass of each model in evaluation, in turns."""
    taken = {name: [] for name in models}
    with untouched(*models.values()), torch.inference_mode():
        for model in models.values():
            model.eval()
        for _ in range(repeats):
            for name, model in models.items():
                called(model, inputs)
                started = time.perf_counter()
                called(model, inputs)
                taken[name].append(time.perf_counter() - started)
    return [quartiles(values) for values in taken.values()]


def quartiles(values):
    """(median, lower, upper quartile)."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else 3 * list(values)
    return middle, low, high


def size(model, inputs, steps):
    """Parameters, those that are not zero, bytes, and multiply-adds per sequence of `steps` time steps."""
    sparse = [module for module in model.modules() if isinstance(module, (CsrLayer, CsrLinear))]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    nonzero = sum(int(parameter.count_nonzero()) for parameter in model.parameters())
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    total = content.tell()
    for layer in sparse:
        kept, biases = sum(matrix._nnz() for matrix in layer.matrices), sum(bias.numel() for bias in layer.biases)
        parameters, nonzero = parameters + kept + biases, nonzero + kept + biases
        for matrix in layer.matrices:
            total += sum(part.nbytes for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices()))
        total += sum(bias.nbytes for bias in layer.biases)
    with untouched(model):
        products = multiply_adds(model.eval(), inputs(1, steps))
    return {"parameters": parameters, "nonzero": nonzero, "bytes": total, "multiply_adds": products}


class _Products(TorchDispatchMode):
    """torch's own count of operations, outside recurrent and sparse layers, of which it knows nothing."""

    def __init__(self):
        super().__init__()
        self.depth_of_layers, self.operations = 0, 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, count = kwargs or {}, flop_registry.get(func._overloadpacket)
        if count is None and not self.depth_of_layers:
            with self:
                parts = func.decompose(*args, **kwargs)
            if parts is not NotImplemented:
                return parts
        output = func(*args, **kwargs)
        if count is not None and not self.depth_of_layers:
            self.operations += count(*args, **kwargs, out_val=output)
        return output


def multiply_adds(model, inputs):
    """Products of a forward pass: of recurrent layers, all their weights at every step that they see (of packed sequences,
    every real one); of sparse ones, the weights that are kept; of everything else (linear layers, convolutions, attention,
    matrix products) what torch counts.
    """
    seen, counter = [], _Products()

    def before(*_):
        counter.depth_of_layers += 1

    def after(module, arguments, output):
        counter.depth_of_layers -= 1
        if not counter.depth_of_layers:
            seen.append(_of_layer(module, output))

    kinds = (CsrLayer, CsrLinear, nn.RNNBase, nn.RNNCellBase)
    layers = [module for module in model.modules() if isinstance(module, kinds)]
    handles = [layer.register_forward_pre_hook(before) for layer in layers]
    handles += [layer.register_forward_hook(after) for layer in layers]
    try:
        with untouched(model), torch.inference_mode(), counter:
            called(model, inputs)
    finally:
        for handle in handles:
            handle.remove()
    return counter.operations // 2 + sum(seen)


def _of_layer(module, output):
    """Products of a recurrent or sparse layer that gave out this."""
    first = output[0] if isinstance(output, tuple) and not isinstance(output, PackedSequence) else output
    values = first.data if isinstance(first, PackedSequence) else first
    places = values.numel() // values.shape[-1]
    if isinstance(module, (CsrLayer, CsrLinear)):
        return sum(matrix._nnz() for matrix in module.matrices) * places
    return sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight")) * places


def worth(dense, levels, example=None, **how):
    """`costs` of the dense network once and of every level beside it, all taking turns: the masked network (as fast as dense),
    the same in CSR, and the shrunk one.

    levels: level -> (masked, shrunk).  Returns: level -> rows, that of the dense network first.
    """
    networks = {("dense", None): dense}
    for level, (masked, small) in levels.items():
        networks |= {("masked", level): masked, ("csr", level): to_csr(masked), ("shrunk", level): small}
    first, *others = costs(networks, example, **how)
    rows = {level: [{**first, "name": "dense"}] for level in levels}
    for row in others:
        name, level = row["name"]
        rows[level].append({**row, "name": name})
    return rows

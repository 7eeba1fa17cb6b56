"""What a network costs: parameters, bytes, multiply-adds, and measured latency, of several networks side by side."""

import io
import statistics
import time

import torch
from torch import nn

from espalier.pruning.csr import CsrLayer, CsrLinear, to_csr
from espalier.pruning.export import maker

#: Time steps of the sequences that multiply-adds and latency are told for.
STEPS = 32
BATCHES = (1, 32)


def costs(models, example=None, steps=STEPS, batches=BATCHES, repeats=30, threads=1):
    """A row per network: list of dicts.

    models: name -> module, all of the same inputs.  example: these, as for `espalier.export`.  steps: time steps per sequence.
    Each row: `name`, `parameters`, `nonzero` (of them), `bytes` (of the saved state dict; of CSR weights, of their three
    arrays and the rest), `multiply_adds` (per sequence, dense products; in CSR those of the weights kept), and per batch size b
    `ms_b`, the median of `repeats` forward passes, the networks taking turns, on `threads` threads of the CPU.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    modes = {name: model.training for name, model in models.items()}
    try:
        inputs = maker(next(iter(models.values())), example)
        rows = [{"name": name, **size(model.eval(), inputs, steps)} for name, model in models.items()]
        for batch in batches:
            for row, seconds in zip(rows, latency(models, inputs(batch, steps), repeats)):
                row[f"ms_{batch}"] = 1000 * seconds
        return rows
    finally:
        torch.set_num_threads(before)
        for name, model in models.items():
            model.train(modes[name])


def latency(models, inputs, repeats):
    """Median seconds of a forward pass of each model, in turns."""
    taken = {name: [] for name in models}
    with torch.inference_mode():
        for k in range(repeats + 2):
            for name, model in models.items():
                started = time.perf_counter()
                model(*inputs)
                if k > 1:  # the first two warm up
                    taken[name].append(time.perf_counter() - started)
    return [statistics.median(values) for values in taken.values()]


def size(model, inputs, steps):
    """Parameters, those that are not zero, bytes, and multiply-adds per sequence of `steps` time steps."""
    sparse = [module for module in model.modules() if isinstance(module, (CsrLayer, CsrLinear))]
    parameters = sum(parameter.numel() for parameter in model.parameters())
    nonzero = sum(int(parameter.count_nonzero()) for parameter in model.parameters())
    content = io.BytesIO()
    torch.save(model.state_dict(), content)
    total, products = content.tell(), 0
    for layer in sparse:
        kept, biases = sum(matrix._nnz() for matrix in layer.matrices), sum(bias.numel() for bias in layer.biases)
        parameters, nonzero = parameters + kept + biases, nonzero + kept + biases
        for matrix in layer.matrices:
            total += sum(part.nbytes for part in (matrix.values(), matrix.col_indices(), matrix.crow_indices()))
        total += sum(bias.nbytes for bias in layer.biases)
        products += kept * steps if isinstance(layer, CsrLayer) else 0
    seen = []

    def recurrent(module, inputs, output):
        weights = sum(p.numel() for name, p in module.named_parameters() if name.startswith("weight"))
        seen.append(weights * (1 if isinstance(module, nn.RNNCellBase) else steps))

    def linear(module, inputs, output):
        seen.append(module.weight.numel() * (output.numel() // module.out_features))

    def sparse_linear(module, inputs, output):
        seen.append(module.weight._nnz() * (output.numel() // output.shape[-1]))

    kinds = ((CsrLinear, sparse_linear), (nn.RNNBase, recurrent), (nn.RNNCellBase, recurrent), (nn.Linear, linear))
    handles = [m.register_forward_hook(hook) for m in model.modules() for kind, hook in kinds if isinstance(m, kind)]
    try:
        with torch.inference_mode():
            model(*inputs(1, steps))
    finally:
        for handle in handles:
            handle.remove()
    return {"parameters": parameters, "nonzero": nonzero, "bytes": total, "multiply_adds": products + sum(seen)}


def worth(dense, masked, small, example=None, **how):
    """`costs` of one level: the dense network, the masked one (as fast as dense), the same in CSR, and the shrunk one."""
    return costs({"dense": dense, "masked": masked, "csr": to_csr(masked), "shrunk": small}, example, **how)

"""Whether a smaller network is the same function in training, too: some read their units only there."""

import copy

import torch
from torch import nn

from espalier.pruning.running import Repeated, flat, tensors, with_tensors
from espalier.pruning.same import apart, without

#: What stands in for dropout: like it, it keeps zero at zero, and makes another constant of one.
SCALE = 1.5


def difference_in_training(beside, small, inputs, narrowed):
    """The largest difference in training from the large network; None where none can be told: it gives something else every
    time, or other outputs than in evaluation of which some get narrower.

    beside: of the two in evaluation; inputs, narrowed: as for its `difference`.
    """
    double, worst = beside.runs.double, None
    large, small = _training(beside.runs.model, double), _training(small, double)
    for one, expected in beside.expected:
        values = [part.double() if double and part.is_floating_point() else part for part in tensors(one)]
        narrow = [without(part, number, inputs) for number, part in enumerate(values)]
        first, again = _outputs(large, one, values, 1), _outputs(large, one, values, 2)
        ours = _outputs(small, one, narrow, 1)
        if first is None or again is None:  # such as of normalization over one example
            continue
        if not _alike(first, again):
            return None
        if ours is None or len(ours) != len(first):
            return torch.inf
        other = len(first) != len(expected)
        if other and any(narrowed(number, large, None).shape != large.shape for number, large in enumerate(expected)):
            return None
        for number, (theirs, got) in enumerate(zip(first, ours)):
            wanted = theirs if other else narrowed(number, theirs, got)
            if wanted.shape != got.shape:
                return torch.inf
            worst = max(worst or 0.0, apart(got, wanted, theirs))
    return worst


def _training(network, double):
    """A copy in training without chance, as far as torch's modules make it."""
    network = copy.deepcopy(network).cpu().train()
    network = network.double() if double else network
    for module in network.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
            module.register_forward_hook(lambda module, arguments, output: SCALE * output)
        elif isinstance(getattr(module, "dropout", None), float):
            module.dropout = 0.0
    return Repeated(network)


def _outputs(network, nest, values, seed):
    """What a network gives out for these values in a nest of inputs; None if it does not run."""
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return [one.clone() for one in flat(network.forward(with_tensors(nest, iter([one.clone() for one in values]))))]
    except Exception:  # whatever the model says
        return None


def _alike(first, again):
    same = len(first) == len(again)
    return same and all(a.shape == b.shape and torch.equal(a.nan_to_num(), b.nan_to_num()) for a, b in zip(first, again))

"""Class distributed: the magnitude of a weight over the spread of its matrix, so that matrices of small weights keep theirs.

    s(w) = |w| / std(w' of its matrix that are not zero)

The deviation is the unbiased one, over what is left: the study took it over all entries, so that a matrix looked narrower the
more of it was gone. Where fewer than two weights are left they go last.
Reference: See, Luong, Manning 2016, "Compression of neural machine translation models via pruning"; the study of methods.
"""

import torch


def class_distributed(weights, context):
    """weights: name -> tensor.  Returns name -> tensor of the same shape; low goes first."""
    return {name: weight.abs() / _spread(weight) for name, weight in weights.items()}


def _spread(weight):
    left, smallest = weight[weight != 0], torch.finfo(weight.dtype).tiny
    return left.std().clamp(min=smallest) if len(left) > 1 else torch.tensor(smallest, dtype=weight.dtype)

"""Random: the score of a weight is drawn uniformly from [0, 1).

The baseline that every other score has to beat: what does it cost to remove that many weights, whichever they are?
"""

import torch


def random(weights, context):
    """weights: name -> tensor.  Returns name -> tensor of the same shape."""
    return {name: torch.rand(weight.shape, generator=context.generator) for name, weight in weights.items()}

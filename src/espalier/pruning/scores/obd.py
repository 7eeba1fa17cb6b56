"""Optimal brain damage: how much the loss would rise, to second order, without the weight.

    s(w) = 1/2 h w^2,  h the diagonal of the loss's curvature (see `espalier.pruning.curvature`)

It assumes that training has converged, and leaves out that weights make up for each other. Needs data and the kind of loss.
Reference: LeCun, Denker, Solla 1990, "Optimal brain damage".
"""

from espalier.pruning.curvature import diagonal


def obd(weights, context):
    """weights: name -> tensor.  Returns name -> tensor of the same shape, in units of the loss; low goes first."""
    if "diagonal" not in context.memory:
        context.memory["diagonal"] = diagonal(list(weights), context)
    curvature = context.memory["diagonal"]
    return {name: curvature[name] * weight.double().square() / 2 for name, weight in weights.items()}


#: Batches of training data that it looks at.
obd.batches = 160

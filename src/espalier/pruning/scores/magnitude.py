"""Magnitude: the score of a weight is its absolute value.

    s(w) = |w|

The cheapest score that works, and the one of the study; it needs no data. Use it unless there is a reason not to.
Reference: Han, Pool, Tran, Dally 2015, "Learning both weights and connections for efficient neural networks".
"""


def magnitude(weights, context):
    """weights: name -> tensor.  Returns name -> tensor of the same shape; low goes first."""
    return {name: weight.abs() for name, weight in weights.items()}

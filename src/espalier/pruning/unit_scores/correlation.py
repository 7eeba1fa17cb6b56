"""Correlation: how much of a unit no other unit tells. 1 - |r|, r Pearson's correlation of its output with that of the
unit most like it, over time steps and sequences of the data.

Of the two that are most alike the one that varies less goes first, the others are compared without it, and so on, so that of
twins one stays. A unit that does not vary at all goes before all others. Padded steps count as steps. Data is read once; memory
grows with the square of the width.
"""

import torch

from espalier.pruning.watching import watch


def correlation(units, context):
    sums = {one: torch.zeros(one.hidden + 1, one.hidden + 1, dtype=torch.float64) for one in units}

    def note(one, values, time):
        flat = values.reshape(-1, one.hidden).double().cpu()
        flat = torch.cat([flat, flat.new_ones(len(flat), 1)], 1)
        sums[one] += flat.t() @ flat

    watch(units, context, note, "correlation")
    return {one: _scores(found) for one, found in sums.items()}


def _scores(sums):
    """sums: X'X `(units + 1, units + 1)` with ones beside the outputs.  Returns `(units,)`."""
    count, mean = sums[-1, -1], sums[-1, :-1] / sums[-1, -1]
    covariance = sums[:-1, :-1] / count - mean[:, None] * mean
    spread = covariance.diagonal().clamp(min=0).sqrt()
    moves = spread > 1e-7 * (1 + mean.abs())
    alike = (covariance / (spread[:, None] * spread)).abs().clamp(max=1)
    alike[~moves] = alike[:, ~moves] = -1.0
    alike.fill_diagonal_(-1.0)
    scores = torch.where(moves, 1.0, -1.0).double()  # the last that is left is like no other
    least = 0.0
    for _ in range(int(moves.sum()) - 1):
        first, second = divmod(int(alike.argmax()), len(alike))
        goes = first if spread[first] < spread[second] else second
        least = scores[goes] = max(least, 1 - float(alike[first, second]))
        alike[goes] = alike[:, goes] = -1.0
    return scores

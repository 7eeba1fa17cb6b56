"""Variation: how much the share that a unit has in the movement of its layer differs from sequence to sequence.

sigma[n, u] is the deviation of unit u over the steps of sequence n, a[n, u] = sigma[n, u] / sum over u of sigma[n, u] its
share. With p_u = (mean over n of a - min, max - mean) and m the mean of p over the units that move at all,

    s(u) = p_u . m / |m|^2

which is at least 1/2 just where p_u is no farther from m than from the origin: the study's rule for what stays (its k-means was
overwritten by these two points). It is the variation of a share: a unit with a large but constant one is called redundant, and
of two units none ever is, since their shares mirror each other.
Reference: the study of redundant units in LSTM networks that forecast.
"""

import torch

from espalier.errors import InputError
from espalier.pruning.watching import watch


def variation(units, context):
    seen = {}

    def note(one, values, time):
        if time is None:
            raise InputError(f"score=variation: {one.place} gives out no whole sequences (packed, or step by step)")
        sigma = values.double().std(time, correction=0).cpu()
        total = sigma.sum(1, keepdim=True)
        share = torch.where(total > 0, sigma / total, torch.zeros_like(sigma))
        low, high, added, count = seen.get(one, (torch.inf, -torch.inf, 0.0, 0))
        low, high = (torch.as_tensor(end).double().expand(one.hidden) for end in (low, high))
        seen[one] = low.minimum(share.amin(0)), high.maximum(share.amax(0)), added + share.sum(0), count + len(share)

    watch(units, context, note, "variation")
    return {one: _score(*seen[one]) for one in units}


def _score(low, high, added, count):
    mean = added / count
    points = torch.stack([mean - low, high - mean], 1)
    moving = high > 0
    middle = points[moving].mean(0) if moving.any() else points.mean(0)
    length = middle.square().sum()
    return points @ middle / length if length > 0 else moving.to(points.dtype)


#: Which sequences it looks at: those that judge.
variation.split = "judge"

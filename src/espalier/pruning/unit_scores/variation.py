"""Variation: how much the share that a unit has in the movement of its layer differs from sequence to sequence.

sigma[n, u] is the deviation of unit u over the steps of sequence n, a[n, u] = sigma[n, u] / sum over u of sigma[n, u] its
share. With p_u = (mean over n of a - min, max - mean) and m the mean of p over the units that move at all,

    s(u) = p_u . m / |m|^2

which is at least 1/2 just where p_u is no farther from m than from the origin: the study's rule for what stays (its k-means was
overwritten by these two points). It is the variation of a share: a unit with a large but constant one is called redundant, and
of two units none ever is, since their shares mirror each other.

What goes is replaced by its mean: the biases of its readers take over what they got from it on average over the data, so that
units whose outputs are constant go without any change (but in a recurrent layer for the first step, which starts from zero).
Reference: the study of redundant units in LSTM networks that forecast.
"""

import torch

from espalier.errors import InputError
from espalier.pruning.inputs import means
from espalier.pruning.watching import watch


def variation(units, context):
    seen = {}

    def note(one, share):
        low, high, added, count = seen.get(one, (torch.inf, -torch.inf, 0.0, 0))
        low, high = (torch.as_tensor(end).double().expand(one.hidden) for end in (low, high))
        seen[one] = low.minimum(share.amin(0)), high.maximum(share.amax(0)), added + share.sum(0), count + len(share)

    _watch_shares(units, context, note)
    return {one: _score(*seen[one]) for one in units}


def shares(units, context):
    """`Units` -> their shares a, `(sequences, hidden)`."""
    parts = {one: [] for one in units}
    _watch_shares(units, context, lambda one, share: parts[one].append(share))
    return {one: torch.cat(found) for one, found in parts.items()}


def points(low, high, mean):
    """(p `(units, 2)`, m `(2,)`) from the least, greatest and mean share of every unit."""
    found = torch.stack([mean - low, high - mean], 1)
    moving = high > 0
    return found, found[moving].mean(0) if moving.any() else found.mean(0)


def _watch_shares(units, context, note):
    def look(one, values, time):
        if time is None:
            raise InputError(f"score=variation: {one.place} gives out no whole sequences (packed, or step by step)")
        sigma = values.double().std(time, correction=0).cpu()
        total = sigma.sum(1, keepdim=True)
        note(one, torch.where(total > 0, sigma / total, torch.zeros_like(sigma)))

    watch(units, context, look, "variation")


def _score(low, high, added, count):
    found, middle = points(low, high, added / count)
    length = middle.square().sum()
    return found @ middle / length if length > 0 else (high > 0).to(found.dtype)


def compensated(units, masks, context):
    """Biases after the cut, of readers that have one: name -> values.  masks: name -> bool tensor, True = kept."""
    names = list(dict.fromkeys(column.name for one in units for column in one.feeds if not one.projected))
    if "means" not in context.memory:
        context.memory["means"] = means(names, context, "variation")
    found = {}
    for name in names:
        place, _, short = name.rpartition(".")
        bias = getattr(context.model.get_submodule(place), short.replace("weight", "bias"), None)
        if bias is not None:
            weight = context.model.get_parameter(name).detach().double().cpu()
            added = (weight * ~masks[name]) @ context.memory["means"][name]
            found[f"{place}.{short.replace('weight', 'bias')}".removeprefix(".")] = (bias.detach().cpu() + added).to(bias.dtype)
    return found


#: Which sequences it looks at: those that judge.
variation.split = "judge"
variation.compensated = compensated

"""Rules: which weights of a group go when a percent of it is asked for."""

import numpy as np
import torch


def exact(scores, percent):
    """Exactly `round(percent / 100 * n)` of the n lowest scores go, ties by position.  Returns the bool mask, True = kept."""
    count = round(percent / 100 * scores.numel())
    mask = torch.ones(scores.numel(), dtype=torch.bool)
    mask[torch.argsort(scores, stable=True)[:count]] = False
    return mask


def percentile(scores, percent):
    """What is strictly below the percentile goes: the study's rule. Of 100 % one weight, the maximum, is left."""
    return scores >= threshold(scores, percent)


def threshold(scores, percent):
    """The `percent`-th percentile of the scores, with numpy's linear interpolation: a float."""
    return float(np.percentile(scores.numpy(), percent))


def redundant(scores, percent):
    """What scores below one half goes, whatever the percent: the rule of `score=variation`."""
    return scores >= 0.5


RULES = {"exact": exact, "percentile": percentile, "redundant": redundant}

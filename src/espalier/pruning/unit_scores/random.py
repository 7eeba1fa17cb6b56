"""Random: a uniform number per unit, the baseline every other score has to beat."""

import torch


def random(units, context):
    return {one: torch.rand(one.hidden, generator=context.generator, dtype=torch.float64) for one in units}

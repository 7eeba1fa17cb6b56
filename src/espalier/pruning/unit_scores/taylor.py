"""Taylor: how much the loss would change, to first order, if the unit said nothing: |sum of gradient x weight| over its
outgoing weights. To first order in those weights it is exact, since silencing a unit is setting them to zero.

It reads the gradients in `.grad`: call `loss.backward()` on data that matters before, without an optimizer's step.
Reference: Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient inference".
"""

import torch

from espalier.errors import InputError


def taylor(units, context):
    return {one: _taylor(one) for one in units}


def _taylor(units):
    found = torch.zeros(units.hidden, dtype=torch.float64)
    for column in units.feeds:
        if column.weight.grad is None:
            raise InputError(f"score=taylor needs gradients: {column.name} has none; call loss.backward() first")
        part = slice(column.first, column.first + units.hidden)
        found += (column.weight.detach()[:, part] * column.weight.grad[:, part]).double().sum(0).cpu()
    return found.abs()

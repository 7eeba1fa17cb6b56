"""Taylor: how much the loss would change, to first order, if the unit said nothing: |sum of gradient x weight| over its
outgoing weights. To first order in those weights it is exact, since silencing a unit is setting them to zero.

In the library it reads the gradients in `.grad`: call `loss.backward()` on data that matters before, without an optimizer's
step, or pass `backward`.
Reference: Molchanov et al. 2017, "Pruning convolutional neural networks for resource efficient inference".
"""

import torch


def taylor(units, context):
    return {one: _taylor(one, context) for one in units}


def _taylor(units, context):
    change = torch.zeros(units.hidden, dtype=torch.float64)
    for column in units.feeds:
        part = column.of(torch.arange(units.hidden))
        products = column.weight.detach()[:, part] * context.gradient(column.name)[:, part]
        change += products.double().transpose(0, 1).flatten(1).sum(1).cpu()
    return change.abs()

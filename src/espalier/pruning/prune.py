"""Prune: score the weights, let them compete, remember who goes, set them to zero."""

import math

import torch

from espalier.errors import InputError
from espalier.pruning.masks import Masks
from espalier.pruning.rules import RULES
from espalier.pruning.scopes import groups
from espalier.pruning.scores import SCORES
from espalier.pruning.selection import select


def check_percent(percent):
    """A float between 0 and 100.  Raises: InputError."""
    if isinstance(percent, bool) or not isinstance(percent, (int, float)) or not math.isfinite(percent):
        raise InputError(f"percent must be a number from 0 to 100, got {percent!r}")
    if not 0 <= percent <= 100:
        raise InputError(f"percent must be from 0 to 100, got {percent:g}")
    return float(percent)


@torch.no_grad()
def make_masks(model, target="both", percent=50, score="magnitude", scope="global", modules=None, rule="exact", generator=None):
    """The `Masks` that `prune` would apply; the model stays as it is. Arguments as for `prune`."""
    percent = check_percent(percent)
    for name, value, known in (("score", score, SCORES), ("rule", rule, RULES)):
        if value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    weights = select(model, target, modules)
    values = {weight.name: weight.parameter.detach().cpu() for weight in weights}
    values = {name: value if value.dtype == torch.float64 else value.float() for name, value in values.items()}
    for name, value in values.items():
        if not torch.isfinite(value).all():
            raise InputError(f"{name} holds values that are not finite; there is nothing to rank")
    scores = SCORES[score](values, generator or torch.Generator().manual_seed(0))
    if rule == "exact":
        # What is zero already goes first, whatever the score: pruning further keeps what was pruned before.
        scores = {name: value.masked_fill(values[name] == 0, -math.inf) for name, value in scores.items()}
    masks = {weight.name: torch.ones(weight.parameter.shape, dtype=torch.bool) for weight in weights}
    for members in groups(weights, scope).values():
        blocks = [scores[weight.name][rows] for weight, rows in members]
        kept = RULES[rule](torch.cat([block.flatten() for block in blocks]), percent)
        for (weight, rows), block, part in zip(members, blocks, kept.split([block.numel() for block in blocks])):
            masks[weight.name][rows] = part.view(block.shape)
    return Masks(masks)


def prune(model, target="both", percent=50, score="magnitude", scope="global", modules=None, rule="exact", generator=None):
    """Set `percent` of the weights of the recurrent layers in `model` to zero, in place.

    model: any `nn.Module` that holds `nn.RNN`, `nn.GRU`, `nn.LSTM` or their cells.
    target: `i2h` (torch's `weight_ih*`), `h2h` (`weight_hh*`) or `both`; biases and other layers are never touched.
    percent: share of the weights in each group of the scope, 0 to 100, absolute: weights that are zero already count, so
    that pruning to 50 and then to 80 percent leaves 20.
    score: `magnitude` or `random`.  scope: `global`, `layer`, `tensor` or `gate`.
    modules: names of submodules to stay inside, by default all.
    rule: `exact` removes `round(percent / 100 * n)` weights, ties by position; `percentile` what is strictly below the
    percentile, as the study did.  generator: `torch.Generator` on the CPU for scores that draw numbers.

    Returns: `Masks`, which keep the weights zero in later training.
    Raises: InputError if nothing matches or an argument is out of range.
    """
    masks = make_masks(model, target, percent, score, scope, modules, rule, generator)
    masks.weights(model)
    return masks

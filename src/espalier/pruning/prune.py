"""Prune: score the weights, let them compete, remember who goes, set them to zero."""

import math
import numbers
import warnings
from collections.abc import Iterable, Mapping

import torch

from espalier.errors import InputError, doubt
from espalier.pruning import structures
from espalier.pruning.context import Context
from espalier.pruning.found import Found
from espalier.pruning.rules import RULES
from espalier.pruning.scores import SCORES
from espalier.pruning.structures import STRUCTURES
from espalier.pruning.unit_scores import UNIT_SCORES


def check_percent(percent):
    """A number (also of numpy, or a tensor without dimensions) as a float between 0 and 100.  Raises: InputError."""
    value = percent.item() if getattr(percent, "ndim", None) == 0 else percent
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
        raise InputError(f"percent must be a number from 0 to 100, got {percent!r}")
    if not 0 <= value <= 100:
        raise InputError(f"percent must be from 0 to 100, got {value:g}")
    return float(value)


def warn_of_share(percent):
    """Warn about a percent below 1, which may be meant as a share."""
    if doubt(percent):
        warnings.warn(doubt(percent), stacklevel=3)


@torch.no_grad()
def make_masks(
    model,
    target="both",
    percent=50,
    score="magnitude",
    scope=None,
    modules=None,
    rule="exact",
    generator=None,
    structure="weight",
    block=(4, 4),
    readers=None,
    data=None,
    backward=None,
    loss=None,
    targets=None,
    memory=None,
    example=None,
    gates=None,
    keep_diagonal=False,
):
    """The `Masks` that `prune` would cut by; the model stays as it is. Arguments as for `prune`.

    targets: those of the batches of `data`, for scores that leave out what is not judged.  memory: a dict that calls for the
    same weights share, in which scores keep what takes long.
    """
    percent = check_percent(percent)
    if not isinstance(score, str) and not callable(score):
        raise InputError(f"score must be a name or a function, got {score!r}")
    if scope is not None and not isinstance(scope, str):
        raise InputError(f"scope must be a name, got {scope!r}")
    if gates is not None and not isinstance(gates, Mapping):
        raise InputError(f"gates must be percents by the letters of gates, such as {{'r': 70}}, got {gates!r}")
    if data is not None and not isinstance(data, Iterable):
        raise InputError(f"data must be an iterable of the model's inputs, got {data!r}")
    if generator is not None and not isinstance(generator, torch.Generator):
        raise InputError(f"generator must be a torch.Generator, got {generator!r}")
    for name, value, known in (("structure", structure, STRUCTURES), ("rule", rule, RULES)):
        if not isinstance(value, str) or value not in known:
            raise InputError(f"{name} must be one of {', '.join(known)}, got {value!r}")
    if rule == "redundant" and (structure != "unit" or score not in ("variation", UNIT_SCORES["variation"])):
        raise InputError("rule=redundant goes by what score=variation says of hidden units: add both, structure=unit too")
    context = Context(
        model, data, generator or torch.Generator().manual_seed(0), backward, loss, targets, {} if memory is None else memory
    )
    if structure == "unit":
        if target != "both" or rule == "percentile":
            raise InputError("a unit goes as a whole: structure=unit takes target=both and rule=exact")
        if gates or keep_diagonal:
            raise InputError("gates and keep_diagonal are of single weights and blocks, not of structure=unit")
        if example is not None:
            found = context.memory.get("found") or Found(model, example)  # the same whatever the percent
            context.memory["found"] = found
            found.check(readers)
            return structures.units_together(model, found, percent, score, scope or "tensor", modules, rule, context)
        return structures.units(model, percent, score, scope or "tensor", modules, rule, readers, context)
    tile = structures.check_block(block) if structure == "block" else (1, 1)
    usual = getattr(SCORES.get(score) if isinstance(score, str) else score, "scope", "global")
    return structures.weights(model, target, percent, score, scope or usual, modules, rule, context, tile, gates, keep_diagonal)


def prune(
    model,
    target="both",
    percent=50,
    score="magnitude",
    scope=None,
    modules=None,
    rule="exact",
    generator=None,
    structure="weight",
    block=(4, 4),
    readers=None,
    data=None,
    backward=None,
    loss=None,
    example=None,
    gates=None,
    keep_diagonal=False,
):
    """Set `percent` of the weights of the recurrent layers in `model` to zero, in place; or of their hidden units, or blocks.

    model: any `nn.Module` that holds `nn.RNN`, `nn.GRU`, `nn.LSTM` or their cells: any number of layers, both directions,
    projections, with or without biases. Frozen parameters are pruned like all others.
    target: `i2h` (torch's `weight_ih*`), `h2h` (`weight_hh*`) or `both`; biases and other layers are never touched, except
    that the weight of an `nn.Linear`, `nn.Conv1d`, `nn.Conv2d` or `nn.Embedding` that `modules` names is pruned with them,
    whatever the target. `linear`: the weights of all `nn.Linear` and nothing else, of any network. `all`: of all of these.
    percent: share of the weights (blocks, units) in each group of the scope, 0 to 100, absolute: what is zero already counts,
    so that pruning to 50 and then to 80 percent leaves 20.
    score: `magnitude`, `class_distributed`, `random`, `obd` (needs `data` and `loss`) or `obs` (needs `data`); of units
    `magnitude`, `random`, `incoming`, `outgoing` (norms), `activation`, `correlation`, `variation` (need `data`) or `taylor`
    (needs gradients); or a function of (name -> weights, or list of `Units`; `espalier.pruning.context.Context`).
    scope: `global` (default; of `obs` `layer`), `layer`, `tensor` or `gate`; of units `tensor` (one direction of one layer;
    default, so that the layers of an `nn.LSTM` stay equally wide), `layer` or `global`.
    modules: names of submodules to stay inside, by default all.
    rule: `exact` removes `round(percent / 100 * n)` of n, ties by position; `percentile` what is strictly below the
    percentile, as the study did; `redundant`, of units, what `variation` scores below one half.
    generator: `torch.Generator` on the CPU for scores that draw numbers.
    structure: `weight`; `block`, tiles of `block` rows x columns within a gate, by the mean score; or `unit`: a hidden unit
    as a whole, its rows in every gate, its biases, and its columns in `h2h`, in the next layer and in its readers, after
    which `espalier.shrink` removes it.
    readers: for units, the modules that read the output of each recurrent module, by name: `{"rnn": ["head"]}`. Our own models
    know theirs. `[]`: nobody in the model.  data: for scores that look at data, an iterable of the model's inputs.
    example: for units, the model's inputs (a tensor, a tuple of several arguments, a dict by name, or a function from batch and
    time to one of these): who reads whom is then found by running the model (`espalier.readers`), and what goes together with
    units (what is added to them, states that are handed on, a tied embedding) goes with them.
    gates: letter of a gate -> percent of it that goes at percent=100, `{"r": 70, "z": 80, "n": 50}`; every gate competes on
    its own, and of gates that are not named the percent goes. keep_diagonal: what a unit tells itself stays (of tiles it does
    not count). With structure=block, block=(8, 4) and a cubic ramp this is RNNoise's recipe (Valin; gru_sparsifier.py).
    backward: a function without arguments that leaves gradients in the model, for scores that need them; None: those count
    that are there.  loss: for `obd`, what is lowered, a mean over all outputs: `cross_entropy` (of logits) or `squared_error`.

    Returns: `Masks`, which keep the weights zero in later training.
    Raises: InputError if nothing matches, an argument is out of range, a layer would lose all its units, a reader is missing
    or impossible, or (for units) a parameter is shared between modules.
    """
    arguments = (target, percent, score, scope, modules, rule, generator, structure, block, readers, data, backward, loss)
    masks = make_masks(model, *arguments, example=example, gates=gates, keep_diagonal=keep_diagonal)
    warn_of_share(check_percent(percent))
    masks.cut(model)
    return masks

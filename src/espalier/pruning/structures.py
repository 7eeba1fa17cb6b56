"""What goes together when pruning: single weights, blocks of them, or whole hidden units."""

import math
import numbers

import torch
from torch.nn import functional as F

from espalier.errors import InputError
from espalier.names import GATE_LETTERS
from espalier.pruning.chains import find_chains
from espalier.pruning.masks import Masks
from espalier.pruning.rules import RULES
from espalier.pruning.scopes import groups
from espalier.pruning.scores import SCORES
from espalier.pruning.selection import inside, module_names, refuse_compiled, refuse_missing, select
from espalier.pruning.unit_scores import UNIT_SCORES
from espalier.pruning.units import all_units, check_readers, known_readers, recurrent_modules, refuse_unusual, split_readers

STRUCTURES = ("weight", "unit", "block")
UNIT_SCOPES = {"global": lambda one: "all", "layer": lambda one: (one.module, one.layer), "tensor": lambda one: one}


def chosen_score(score, known, what):
    """The function of a score: one of the known by name, or itself.  Raises: InputError."""
    others, structure = (UNIT_SCORES, "unit") if known is SCORES else (SCORES, "weight")
    if not callable(score) and score not in known and score in others:
        ranked = "hidden units" if structure == "unit" else "single weights"
        raise InputError(f"score={score} ranks {ranked}: add structure={structure!r}")
    if not callable(score) and score not in known:
        raise InputError(f"score{what} must be one of {', '.join(known)}, or a function, got {score!r}")
    return score if callable(score) else known[score]


def check_scores(scores, asked, shape_of):
    """Raise InputError unless a score gave a finite number for everything that it was asked for."""
    for one in asked:
        value = scores.get(one) if isinstance(scores, dict) else None
        if not isinstance(value, torch.Tensor) or value.shape != shape_of(one) or value.isnan().any():
            name = one if isinstance(one, str) else one.place
            raise InputError(
                f"the score gave no number for every weight of {name}; it must return a dict of tensors like its input"
            )


def weights(
    model, target, percent, score, scope, modules, rule, context, block=(1, 1), gates=None, keep_diagonal=False
):  # fmt: skip
    """Masks of single weights, or of `block` tiles of rows x columns within each gate of each matrix; the tiles at the edges
    may be smaller. The score of a tile is the mean over its weights. What has more than two dimensions (convolutions) is taken
    as a matrix of its outputs and all the rest.

    gates: letter of a gate -> percent of it that goes at a percent of 100; gates then compete on their own.
    keep_diagonal: what a unit tells itself (`h2h`) always stays; of tiles it does not count, and stays where they go.
    """
    score = chosen_score(score, SCORES, "")
    chosen = select(model, target, modules)
    shares = _shares(chosen, gates)
    scope = "gate" if shares else scope
    values = {}
    for weight in chosen:
        if weight.parameter.is_meta:
            raise InputError(f"{weight.name} is on the meta device and has no values; materialize the model first")
        value = weight.parameter.detach().cpu()
        values[weight.name] = value if value.dtype == torch.float64 else value.float()
        if not torch.isfinite(value).all():
            raise InputError(f"{weight.name} holds values that are not finite; there is nothing to rank")
    scores = score(values, context)
    check_scores(scores, values, lambda name: values[name].shape)
    masks = {weight.name: torch.ones(weight.parameter.flatten(1).shape, dtype=torch.bool) for weight in chosen}
    for group, members in groups(chosen, scope).items():
        tiles = []
        for weight, rows in members:
            matrix, own = scores[weight.name].flatten(1)[rows], keep_diagonal and weight.kind == "h2h"
            if own:
                matrix = matrix.clone().fill_diagonal_(math.inf if tuple(block) == (1, 1) else 0.0)
            tile = _tiles(matrix, block)
            if rule == "exact":
                # What is zero already goes first, whatever the score: pruning further keeps what was pruned before.
                there = values[weight.name].flatten(1)[rows] != 0
                there = there.clone().fill_diagonal_(tuple(block) == (1, 1)) if own else there
                tile = tile.masked_fill(_tiles(there.to(tile.dtype), block) == 0, -math.inf)
            tiles.append(tile)
        kept = RULES[rule](torch.cat([tile.flatten() for tile in tiles]), shares.get(group, 100) / 100 * percent)
        for (weight, rows), tile, part in zip(members, tiles, kept.split([tile.numel() for tile in tiles])):
            mask = part.view(tile.shape).repeat_interleave(block[0], 0).repeat_interleave(block[1], 1)
            mask = mask[: rows.stop - rows.start, : masks[weight.name].shape[1]]
            masks[weight.name][rows] = mask.fill_diagonal_(True) if keep_diagonal and weight.kind == "h2h" else mask
    masks = {weight.name: masks[weight.name].view(weight.parameter.shape) for weight in chosen}
    compensated = getattr(score, "compensated", None)
    return Masks(masks, compensated and compensated(values, masks, context))


def _shares(weights, gates):
    """Group of scope `gate` -> percent of it that goes at a percent of 100.  Raises: InputError for an unknown gate."""
    found, known = {}, set()
    for weight in weights if gates else ():
        for number, letter in enumerate(GATE_LETTERS[weight.gates]):
            known.add(letter)
            found[f"{weight.name}[{number}]"] = gates.get(letter, 100)
    for letter, share in (gates or {}).items():
        if letter not in known:
            raise InputError(f"gates: there is no gate {letter!r}; there are {', '.join(sorted(known - {''})) or 'none'}")
        if isinstance(share, bool) or not isinstance(share, numbers.Real) or not 0 <= share <= 100:
            raise InputError(f"gates: {letter} must be a percent from 0 to 100, got {share!r}")
    return found


def _tiles(matrix, block):
    """Mean of every tile of a matrix, the tiles at the edges over what they hold."""
    if tuple(block) == (1, 1):
        return matrix
    size = tuple(block)
    return F.avg_pool2d(matrix[None, None], size, size, ceil_mode=True, count_include_pad=False)[0, 0]


def check_block(block):
    """A pair of positive ints.  Raises: InputError."""
    pair = tuple(block) if isinstance(block, (list, tuple)) else ()
    if len(pair) != 2 or not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in pair):
        raise InputError(f"block must be two positive whole numbers, rows and columns, got {block!r}")
    return pair


def every_unit(model, readers=None, names=None):
    """The `Units` of recurrent modules and the `LinearUnits` of chains in a model, or of those that are named.

    Raises: InputError if a name matches none, or readers are missing or impossible.
    """
    readers, chains = split_readers(model, readers)
    linear = find_chains(model, chains)
    recurrent = list(recurrent_modules(model))
    refuse_missing(names, [*recurrent, *chains], "recurrent module" if recurrent else "layer that another one reads")
    wanted = [name for name in recurrent if inside(name, names)]
    found = []
    if wanted or not linear:
        checked = check_readers(model, readers, wanted or None)
        found = [one for one in all_units(model, checked) if one.module in wanted]
    return found + [one for one in linear if inside(one.module, names)]


def hidden_units(model, names=None):
    """`every_unit`, and where nobody says who reads them those of all recurrent modules, without what reads them."""
    if known_readers(model) is None and recurrent_modules(model):
        return [one for one in all_units(model, {}) if inside(one.module, names)]
    return every_unit(model, None, names)


def units_together(model, found, percent, score, scope, modules, rule, context):
    """The same for what was found by running the model (`Found`): groups compete, by the mean score of their units, and go with
    all their slices. A group belongs to the narrowest layer that has a unit in it.

    Raises: InputError if the units of a layer are mixed with each other, or a layer would be left without a unit.
    """
    score = chosen_score(score, UNIT_SCORES, " of units")
    if scope not in UNIT_SCOPES:
        raise InputError(f"scope of units must be one of {', '.join(UNIT_SCOPES)}, got {scope!r}")
    names = module_names(modules)
    refuse_missing(names, list(dict.fromkeys(one.module for one in found.units.values())), "recurrent module")
    chosen = [one for one in found.units.values() if inside(one.module, names)]
    if not chosen:
        raise InputError(found.nothing)
    for one in chosen:
        if found.why_not(one):
            raise InputError(found.why_not(one))
    scores = score(chosen, context)
    check_scores(scores, chosen, lambda one: (one.hidden,))
    pooled, known = {}, {name: parameter for name, parameter in model.named_parameters()}
    for group in found.groups:
        mine = [(one, number) for one, number in group.units if one in scores]
        if not mine:
            continue
        rows = [
            known[found.names[name]][one.rows_of(torch.tensor([number]))] for one, number in group.units for name in one.rows
        ]
        dead = not any(bool(row.detach().any()) for row in rows)
        mean = sum(float(scores[one][number]) for one, number in mine) / len(mine)
        value = -math.inf if dead else math.inf if group.fixed else mean
        owner = min((one for one, _ in mine), key=lambda one: one.hidden)  # the narrowest layer can spare the fewest
        pooled.setdefault(UNIT_SCOPES[scope](owner), []).append((group, value))
    masks, left = {}, set()
    for members in pooled.values():
        kept = RULES[rule](torch.tensor([value for _, value in members], dtype=torch.float64), percent).tolist()
        place = members[0][0].units[0][0].place
        if not any(kept):
            raise InputError(f"percent={percent:g} would remove all {len(members)} units of {place}; lower it")
        for (group, _), stays in zip(members, kept):
            if not stays and group.fixed:
                raise InputError(f"percent={percent:g}: units of {place} cannot go, {group.fixed}; lower percent")
            left.update(one for one, _ in group.units if stays)
            for name, rows in found.rows_of(group):
                mask = found.mask_of(masks, name)
                if not stays:
                    mask[rows] = False
            for name, dim, index in group.slices:
                mask = found.mask_of(masks, name)
                if mask is not None and not stays:
                    mask.select(dim, index).fill_(False)
    emptied = next((one for one in chosen if one not in left), None)
    if emptied:
        raise InputError(_all_gone(percent, emptied, scope))
    compensated = getattr(score, "compensated", None)
    return Masks(masks, compensated and compensated(chosen, masks, context))


def units(model, percent, score, scope, modules, rule, readers, context):
    """Masks that silence whole hidden units: their rows in every gate, their biases, and their columns wherever they are read.

    Raises: InputError if a layer would be left without a unit, or a reader is missing or impossible.
    """
    score = chosen_score(score, UNIT_SCORES, " of units")
    if scope not in UNIT_SCOPES:
        raise InputError(f"scope of units must be one of {', '.join(UNIT_SCOPES)}, got {scope!r}")
    refuse_compiled(model)
    chosen = every_unit(model, readers, module_names(modules))
    involved = {name for one in chosen for name in (*one.rows, *(column.name for column in one.feeds))}
    refuse_unusual(model, involved)
    parameters = dict(model.named_parameters())
    for name in involved:
        if not torch.isfinite(parameters[name].detach()).all():
            raise InputError(f"{name} holds values that are not finite; there is nothing to rank")
    scores = score(chosen, context)
    check_scores(scores, chosen, lambda one: (one.hidden,))
    pooled = {}
    for one in chosen:
        rows = [parameters[name].detach().cpu().view(one.gates, one.hidden, -1).abs().amax((0, 2)) for name in one.rows]
        dead = torch.stack(rows).amax(0) == 0
        pooled.setdefault(UNIT_SCOPES[scope](one), []).append((one, scores[one].masked_fill(dead, -math.inf)))
    masks = {name: torch.ones(parameters[name].shape, dtype=torch.bool) for name in parameters if name in involved}
    for members in pooled.values():
        kept = RULES[rule](torch.cat([found for _, found in members]), percent)
        for (one, _), part in zip(members, kept.split([one.hidden for one, _ in members])):
            if not part.any():
                raise InputError(_all_gone(percent, one, scope))
            gone = torch.nonzero(~part).flatten()
            for name in one.rows:
                masks[name][one.rows_of(gone)] = False
            for column in one.feeds:
                masks[column.name][:, column.of(gone)] = False
    compensated = getattr(score, "compensated", None)
    return Masks(masks, compensated and compensated(chosen, masks, context))


def _all_gone(percent, one, scope):
    even = "" if scope == "tensor" else ", or use scope=tensor, which takes the same share of every layer"
    return f"percent={percent:g} would remove all {one.hidden} units of {one.place}; lower it{even}"

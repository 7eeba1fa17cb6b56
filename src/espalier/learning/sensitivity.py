"""Which part of a network tolerates how much: quality against percent for every layer, kind and gate alone."""

from collections.abc import Iterable
from pathlib import Path

import torch

from espalier.errors import InputError
from espalier.names import GATE_LETTERS
from espalier.pruning.prune import make_masks
from espalier.pruning.selection import linear_weights, recurrent_weights


@torch.no_grad()
def sensitivity(model, evaluate, percents=(0, 20, 40, 60, 80, 90, 95), score="magnitude", data=None, figure=None, say=print):
    """What `evaluate` says of the network when a percent of one part alone is set to zero, nothing retrained.

    The parts are every gate of every weight matrix of recurrent layers, each such matrix as a whole, and every `nn.Linear`.
    model: as it was afterwards.  evaluate: function from a network to a number.  score, data: as for `prune`.
    figure: where to draw it, `name.png` and `name.svg`; None: nowhere.  say: called with a line per part; None: nothing.

    Returns: a list of dicts: `layer`, `kind`, `gate` (a letter, or empty: all of it), `percent`, `quality`.
    Raises: InputError if there is nothing to prune.
    """
    if not isinstance(model, torch.nn.Module) or not isinstance(percents, Iterable):
        raise InputError("sensitivity takes a torch.nn.Module, and percents as a list")
    rows, parts, percents = [], list(_parts(model)), list(percents)
    if not parts:
        raise InputError(f"{type(model).__name__} holds no recurrent or linear layer")
    for weight, gate, letter in parts:
        before = weight.parameter.detach().clone()
        size = len(before) // weight.gates
        own = slice(None) if gate is None else slice(gate * size, (gate + 1) * size)
        try:
            for percent in percents:
                weight.parameter.copy_(before)
                target = {"target": "linear"} if weight.kind == "linear" else {"target": weight.kind}
                scope = "tensor" if gate is None else "gate"
                how = dict(percent=percent, score=score, scope=scope, modules=[_named(weight)], data=data)
                masks = make_masks(model, **how, **target)
                weight.parameter[own] = (before * masks[weight.name].to(before.device, before.dtype))[own]
                rows.append({
                    "layer": weight.layer, "kind": weight.kind, "gate": letter, "percent": percent,
                    "quality": float(evaluate(model)),
                })  # fmt: skip
        finally:
            weight.parameter.copy_(before)
        if say:
            own = rows[-len(percents) :]
            told = ", ".join(f"{row['percent']:g} %: {row['quality']:.4g}" for row in own)
            say(f"{weight.layer} {weight.kind} {letter}".rstrip() + f": {told}")
    if figure is not None:
        _draw(Path(figure), rows)
    return rows


def _parts(model):
    """(weight, number of its gate or None, letter of the gate)."""
    for weight in recurrent_weights(model):
        yield weight, None, ""
        for gate, letter in enumerate(GATE_LETTERS[weight.gates] if weight.gates > 1 else ()):
            yield weight, gate, letter
    for weight in linear_weights(model):
        yield weight, None, ""


def _named(weight):
    """What `modules` calls it: the parameter of a recurrent layer, the module of a linear one."""
    return weight.name if weight.kind != "linear" else weight.layer


def _draw(path, rows):
    import matplotlib

    from espalier.analysis.drawing import STYLE, entitle, grid, legend, save, style  # here, for matplotlib takes a second

    panels = list(dict.fromkeys((row["layer"], row["kind"]) for row in rows))
    with matplotlib.rc_context(STYLE):
        figure, axes = grid(len(panels), 3.6, 3.0)
        low, high = min(row["quality"] for row in rows), max(row["quality"] for row in rows)
        for axis, panel in zip(axes, panels):
            letters = list(dict.fromkeys(row["gate"] for row in rows if (row["layer"], row["kind"]) == panel))
            for place, letter in enumerate(letters):
                own = [row for row in rows if (row["layer"], row["kind"], row["gate"]) == (*panel, letter)]
                x, y = zip(*((row["percent"], row["quality"]) for row in own))
                name = f"gate {letter}" if letter else "all of it"
                axis.plot(x, y, **style(place), label=name)
            margin = 0.05 * (high - low or 1)
            axis.set(xlabel="% removed", ylabel="quality", ylim=(low - margin, high + margin))
            entitle(axis, " ".join(panel))
        legend(figure, axes)
        save(figure, path.parent, path.stem)

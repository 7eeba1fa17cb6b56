"""Which weights of a model a target names."""

import re
from dataclasses import dataclass

from torch import nn

from espalier.errors import InputError

TARGETS = ("i2h", "h2h", "both")
_NAME = re.compile(r"weight_(ih|hh)(?:_l(\d+))?(?:_reverse)?")
_KIND = {"ih": "i2h", "hh": "h2h"}


@dataclass(frozen=True)
class Weight:
    """One weight matrix of a recurrent or linear layer.

    name: of the parameter within the model; layer: what scope `layer` pools; kind: `i2h`, `h2h` or `linear`; gates: number
    of gates stacked along its rows.
    """

    name: str
    parameter: nn.Parameter
    layer: str
    kind: str
    gates: int


def recurrent_weights(model):
    """Every `i2h` and `h2h` weight of the `nn.RNN`, `nn.GRU`, `nn.LSTM` and `*Cell` modules in `model`, in their order.

    A parameter that several modules share comes once, under its first name.
    """
    found, seen = [], set()
    for prefix, module in model.named_modules():
        if not isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            continue
        for short, parameter in module.named_parameters(recurse=False):
            match = _NAME.fullmatch(short)
            if match and id(parameter) not in seen:
                seen.add(id(parameter))
                dot = f"{prefix}." if prefix else ""
                layer = f"{dot}l{match[2] or 0}"
                found.append(Weight(dot + short, parameter, layer, _KIND[match[1]], parameter.shape[0] // module.hidden_size))
    return found


def linear_weights(model, names):
    """The weights of those `nn.Linear` that are named; the empty name is the model itself."""
    found = {name: module for name, module in model.named_modules() if isinstance(module, nn.Linear) and name in names}
    return [Weight(f"{name}.weight".lstrip("."), module.weight, name, "linear", 1) for name, module in found.items()]


def select(model, target="both", modules=None):
    """The weights that `target` (`i2h`, `h2h` or `both`) names, optionally only those inside the named `modules`; an
    `nn.Linear` among these comes with them.

    Raises: InputError if the target is unknown or nothing matches; the message lists the names that exist.
    """
    if target not in TARGETS:
        raise InputError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    names = [modules] if isinstance(modules, str) else modules
    weights = [*recurrent_weights(model), *linear_weights(model, names or ())]
    if not weights:
        raise InputError(
            f"{type(model).__name__} holds no nn.RNN, nn.GRU, nn.LSTM or cell module to prune; an nn.Linear is pruned when "
            "modules names it"
        )
    chosen = [
        weight
        for weight in weights
        if (target in (weight.kind, "both") or weight.kind == "linear")
        and (names is None or any(name in ("", weight.name) or weight.name.startswith(f"{name}.") for name in names))
    ]
    if not chosen:
        raise InputError(f"target={target}, modules={names} matches no weight; there are {', '.join(w.name for w in weights)}")
    return chosen

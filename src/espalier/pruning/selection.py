"""Which weights of a model a target names."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn

from espalier.errors import InputError
from espalier.pruning import reparametrised

TARGETS = ("i2h", "h2h", "both", "linear", "all")
#: Layers beside the recurrent ones whose weights can be pruned: kind -> word.
OTHERS = {nn.Linear: "linear", nn.Conv1d: "conv", nn.Conv2d: "conv", nn.Embedding: "embedding"}
_NAME = re.compile(r"weight_(ih|hh)(?:_l(\d+))?(?:_reverse)?")
_KIND = {"ih": "i2h", "hh": "h2h"}


@dataclass(frozen=True)
class Weight:
    """One weight matrix of a recurrent or linear layer.

    name: of the parameter within the model; layer: what scope `layer` pools; kind: `i2h`, `h2h`, `linear`, `conv` or
    `embedding`; gates: number of gates stacked along its rows.
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


def other_weights(model, names=None, kinds=tuple(OTHERS)):
    """The weights of those layers of these kinds that are named, by default of all; the empty name is the model itself."""
    found = []
    for name, module in model.named_modules():
        kind = next((word for known, word in OTHERS.items() if isinstance(module, known) and known in kinds), None)
        if kind and (names is None or name in names):
            if reparametrised.hidden(module):
                reparametrised.refuse(model, name, "weight")
            found.append(Weight(f"{name}.weight".lstrip("."), module.weight, name, kind, 1))
    return found


def linear_weights(model, names=None):
    """Those of `nn.Linear`."""
    return other_weights(model, names, (nn.Linear,))


def module_names(modules):
    """The argument `modules` as a list of names, or None for all."""
    if modules is not None and not isinstance(modules, (str, Iterable)):
        raise InputError(f"modules must be names of modules, got {modules!r}")
    return [modules] if isinstance(modules, str) else modules if modules is None else list(modules)


def inside(name, modules):
    """Whether a parameter or module of this name is one of `modules`, or inside one; all are inside the empty name."""
    return modules is None or any(module in ("", name) or name.startswith(f"{module}.") for module in modules)


def refuse_missing(modules, known, what, more=()):
    """Raise InputError if a name in `modules` matches none of the known names. more: others that may be named."""
    for module in modules or ():
        if not any(inside(name, [module]) for name in known):
            raise InputError(f"modules: {module!r} matches no {what}; there are {', '.join([*known, *more]) or 'none'}")


def refuse_hidden(model, target, modules):
    """Raise InputError if a recurrent weight that is to be pruned is computed from other parameters."""
    for prefix, module in model.named_modules():
        if isinstance(module, (nn.RNNBase, nn.RNNCellBase)):
            for name in reparametrised.hidden(module):
                match = _NAME.fullmatch(name)
                if match and target in (_KIND[match[1]], "both") and inside(f"{prefix}.{name}".lstrip("."), modules):
                    reparametrised.refuse(model, prefix, name)


def refuse_compiled(model):
    """Raise InputError if a model was scripted, compiled or quantised: its layers are no modules of `torch.nn` any more."""
    if not isinstance(model, nn.Module):
        raise InputError(f"a model is a torch.nn.Module, got {type(model).__name__}")
    modules = list(model.modules())
    if any(isinstance(module, torch.jit.ScriptModule) for module in modules):
        raise InputError("the model was scripted or traced: prune and shrink the module it was made from, and script it after")
    if any("_orig_mod" in module._modules for module in modules):
        raise InputError("the model was compiled: prune and shrink the module it was made from, and compile it after")
    if any("quantized" in type(module).__module__.split(".") for module in modules):
        raise InputError("the model was quantised: prune and shrink the float module it was made from, and quantise it after")


def select(model, target="both", modules=None):
    """The weights that `target` (`i2h`, `h2h`, `both`, `linear` or `all`) names, optionally only those inside the named
    `modules`; an `nn.Linear`, `nn.Conv1d`, `nn.Conv2d` or `nn.Embedding` among these comes with them.

    Raises: InputError if the target is unknown or nothing matches; the message lists the names that exist.
    """
    if target not in TARGETS:
        raise InputError(f"target must be one of {', '.join(TARGETS)}, got {target!r}")
    refuse_compiled(model)
    names = module_names(modules)
    if target == "linear":
        return _linear_only(model, names)
    refuse_hidden(model, "both" if target == "all" else target, names)
    weights = [*recurrent_weights(model), *other_weights(model, None if target == "all" else names or ())]
    if not weights:
        raise InputError(
            f"{type(model).__name__} holds no nn.RNN, nn.GRU, nn.LSTM or cell module to prune; an nn.Linear is pruned when "
            "modules names it, or target=linear, or all"
        )
    more = [name for name, module in model.named_modules() if isinstance(module, tuple(OTHERS))]
    refuse_missing(names, [weight.name for weight in weights], "weight", more)
    chosen = []
    for weight in weights:
        wanted = target in (weight.kind, "both", "all") or weight.kind in OTHERS.values()
        if wanted and inside(weight.name, names) and not any(weight.parameter is one.parameter for one in chosen):
            chosen.append(weight)
    if not chosen:
        raise InputError(f"target={target}, modules={names} matches no weight; there are {', '.join(w.name for w in weights)}")
    return chosen


def _linear_only(model, names):
    """The weights of every `nn.Linear` inside the named modules, by default of all."""
    linear = [name for name, module in model.named_modules() if isinstance(module, nn.Linear)]
    refuse_missing(names, linear, "nn.Linear")
    chosen = linear_weights(model, [name for name in linear if inside(name, names)])
    if not chosen:
        raise InputError(f"target=linear: {type(model).__name__} holds no nn.Linear")
    found = {}
    for weight in chosen:
        found.setdefault(id(weight.parameter), weight)  # one that several layers share comes once
    return list(found.values())

"""Weights that a module computes from other parameters: zeros written into them would be gone at the next forward pass."""

from torch import nn
from torch.nn.utils import parametrize

from espalier.errors import InputError

#: Names of torch's own parametrizations as their functions are called.
_KNOWN = {"_WeightNorm": "weight_norm", "_SpectralNorm": "spectral_norm", "_Orthogonal": "orthogonal"}


def expected(module):
    """Names of the parameters that a recurrent or linear layer has unless something replaced them."""
    if isinstance(module, nn.RNNBase):
        return list(module._flat_weights_names)
    if isinstance(module, nn.RNNCellBase):
        return ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if module.bias else [])]
    return ["weight"] if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Embedding)) else []


def hidden(module):
    """Those of `expected` that are no parameters of the module: something computes them."""
    return [name for name in expected(module) if module._parameters.get(name) is None]


def refuse_all(model):
    """Raise InputError about the first weight of a layer that something computes, spectral_norm as a parametrization apart:
    what that reads stays as wide as it is.
    """
    for place, module in model.named_modules():
        for name in hidden(module):
            kinds = module.parametrizations[name] if parametrize.is_parametrized(module, name) else [None]
            recurrent = isinstance(module, (nn.RNNBase, nn.RNNCellBase))
            if recurrent or any(type(kind).__name__ != "_SpectralNorm" for kind in kinds):
                refuse(model, place, name)


def refuse(model, place, name):
    """Raise InputError about one such weight, naming what takes its re-parametrisation off.

    place: name of the module within the model; name: of the weight within the module.
    """
    module = model.get_submodule(place)
    full, path = f"{place}.{name}".lstrip("."), f"model.{place}".rstrip(".")
    how, remedy = _how(model, module, path, name)
    raise InputError(f"{full} cannot be pruned as it is: {how} computes it, so zeros would not stay; {remedy}")


def _how(model, module, path, name):
    """(what computes the weight, what takes that off)."""
    if parametrize.is_parametrized(module, name):
        kinds = [type(kind).__name__ for kind in module.parametrizations[name]]
        remove = f"torch.nn.utils.parametrize.remove_parametrizations({path}, {name!r})"
        return " and ".join(_KNOWN.get(kind, kind) for kind in kinds), f"take it off first: {remove}"
    own = {*module._parameters, *module._buffers}
    for endings, how, remove in (
        (("_orig", "_mask"), "torch.nn.utils.prune", "torch.nn.utils.prune.remove"),
        (("_orig", "_u"), "spectral_norm", "torch.nn.utils.remove_spectral_norm"),
        (("_g", "_v"), "weight_norm", "torch.nn.utils.remove_weight_norm"),
    ):
        if own.issuperset(name + ending for ending in endings):
            return how, f"take it off first: {remove}({path}, {name!r})"
    back = f"{path}.register_parameter({name!r}, torch.nn.Parameter(...))"
    raw = next((key for key, _ in model.named_parameters() if key.rpartition(".")[2] == f"{name}_raw"), None)
    if raw:
        return f"WeightDrop (from {raw})", f"take the module out of it and make the weight a parameter again: {back}"
    return "something", f"make it a parameter again: {back}"

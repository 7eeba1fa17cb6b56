"""Scope: with whom a weight competes. Each scope splits the selected weights into groups that are ranked on their own."""

from espalier.errors import InputError


def _everything(weight):
    return ["all"] * weight.gates


def _layer(weight):
    return [weight.layer] * weight.gates


def _tensor(weight):
    return [weight.name] * weight.gates


def _gate(weight):
    return [f"{weight.name}[{gate}]" for gate in range(weight.gates)]


#: scope -> the group of each gate's block of rows of a weight
SCOPES = {"global": _everything, "layer": _layer, "tensor": _tensor, "gate": _gate}


def groups(weights, scope):
    """Group -> list of (weight, row slice) whose scores compete with each other.

    global: all selected weights; layer: the selected weights of one layer (both kinds, both directions); tensor: one
    weight matrix; gate: the rows of one gate in one matrix.
    """
    if scope not in SCOPES:
        raise InputError(f"scope must be one of {', '.join(SCOPES)}, got {scope!r}")
    pooled = {}
    for weight in weights:
        rows = weight.parameter.shape[0] // weight.gates
        for gate, group in enumerate(SCOPES[scope](weight)):
            pooled.setdefault(group, []).append((weight, slice(gate * rows, (gate + 1) * rows)))
    return pooled

"""What is known of tensors while a network is traced."""

import hashlib
from dataclasses import dataclass

import torch

from espalier.pruning.c.program import Node


@dataclass(frozen=True)
class Value:
    """What a tensor holds: a node, at every step (`at` None, a dimension is `time`) or at one. dims: role of every dimension:
    `time`, `channel`, or `one`; `part` of an example of several dimensions; `group`, beside which channels are those of one of
    several groups.
    """

    node: Node
    dims: tuple
    at: int | None = None


@dataclass(frozen=True)
class Stacked:
    """States of several layers and directions, in a dimension `layer` of their own."""

    values: tuple
    dims: tuple


def uniform(number):
    """The number that all of a constant is, or None."""
    if isinstance(number, torch.Tensor):
        return float(number.flatten()[0]) if number.numel() and bool((number == number.flatten()[0]).all()) else None
    return number if isinstance(number, (int, float)) else None


def double(tensor):
    return tensor.detach().cpu().double()


def digest(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        return tuple(value.shape), hashlib.sha256(value.double().numpy().tobytes()).hexdigest()
    return value


def leaves(values):
    for one in values:
        if isinstance(one, (tuple, list)):
            yield from leaves(one)
        else:
            yield one

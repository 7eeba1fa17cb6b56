"""What a score of units may need beside the weights."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn


@dataclass
class Context:
    """model: the whole model; data: iterable of its inputs, a tensor or a tuple per batch, or None; generator: for chance."""

    model: nn.Module
    data: Iterable | None
    generator: torch.Generator

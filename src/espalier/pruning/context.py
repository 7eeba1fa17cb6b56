"""What a score may need beside the weights or units that it ranks."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from espalier.errors import InputError


@dataclass
class Context:
    """model: the whole model; data: iterable of its inputs, a tensor or a tuple per batch, or None; generator: for chance.

    backward: a function without arguments that leaves the gradients of a loss in the model, called when the first is asked for;
    None: those count that are there.
    loss: of the outputs, `cross_entropy` or `squared_error`, for scores that look at its curvature; targets: those of the
    batches of `data`, for what among them is not judged, or None: all is.
    memory: what a score found out about the model as it is, for the next cut of the same.
    """

    model: nn.Module
    data: Iterable | None
    generator: torch.Generator
    backward: Callable | None = None
    loss: str | None = None
    targets: Iterable | None = None
    memory: dict = field(default_factory=dict)
    _done: bool = field(default=False, init=False)

    def gradient(self, name):
        """The gradient of the parameter of this name.  Raises: InputError if there is none."""
        if self.backward is not None and not self._done:
            with torch.enable_grad():
                self.backward()
            self._done = True
        gradient = self.model.get_parameter(name).grad
        if gradient is None:
            raise InputError(f"the score needs gradients: {name} has none; call loss.backward() first")
        return gradient.detach()

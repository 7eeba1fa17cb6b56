"""What a data function returns."""

from dataclasses import dataclass, field, replace

import torch

from espalier.errors import InputError


def held_out(fraction, count):
    """How many of so many examples are for validation.  Raises: InputError if none is left to train on."""
    held = round(fraction * count)
    if held >= count:
        raise InputError(f"data.validation_fraction={fraction} of {count} examples leaves none to train on; lower it")
    return held


@dataclass(frozen=True)
class Split:
    """N examples on one device.

    inputs: what `model(*inputs)` takes, tensors whose first dimension is N. Of sequences: `(N, T)` tokens or
    `(N, T, features)` values, padded after their end, and their lengths `(N,)`, whole numbers.
    targets: first dimension N: numbers of classes `(N,)`, or `(N, T)`, one per step; or what a task takes.
    window: the N rows are texts that go on: a batch is the next so many steps of all rows, and states are carried over.
    """

    inputs: tuple
    targets: torch.Tensor
    window: int | None = None

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return Split(tuple(tensor[index] for tensor in self.inputs), self.targets[index], self.window)

    def to(self, device):
        return Split(tuple(tensor.to(device) for tensor in self.inputs), self.targets.to(device), self.window)

    @property
    def sequences(self):
        return self.inputs[0]

    @property
    def lengths(self):
        """`(N,)`, or None of examples that are no sequences."""
        second = self.inputs[1] if len(self.inputs) > 1 else None
        whole = second is not None and second.ndim == 1 and not second.is_floating_point()
        return second if whole and self.sequences.ndim > 1 else None

    @property
    def stepwise(self):
        """Whether there is a target for every step."""
        steps = self.sequences.shape[1:2]
        return self.targets.ndim > 1 and self.lengths is not None and self.targets.shape[1:2] == steps


@dataclass(frozen=True)
class Data:
    """Three disjoint splits (validation may be empty: then test judges) and what goes with them.

    sizes: keywords that a model is built with, `{"codes": 128, "outputs": 2}` of tokens, `{"features": 12, "outputs": 9}` of
    values.  labels: the classes by name, where there are classes.  baselines, validation_baselines: rule that needs no learning
    -> its value of the task's metric on test, and on validation, beside which figures draw it.  facts: numbers for result.json.
    bounds: names of those that nothing can do better than, such as the grammar that made the data.  unit: what one in the
    targets is in the data's own unit, in which errors are told; origin: what zero is in it.
    """

    train: Split
    validation: Split
    test: Split
    sizes: dict = field(default_factory=dict)
    labels: tuple = ()
    baselines: dict = field(default_factory=dict)
    facts: dict = field(default_factory=dict)
    unit: float = 1.0
    origin: float = 0.0
    validation_baselines: dict = field(default_factory=dict)
    bounds: tuple = ()

    def to(self, device):
        splits = {name: getattr(self, name).to(device) for name in ("train", "validation", "test")}
        return replace(self, **splits)

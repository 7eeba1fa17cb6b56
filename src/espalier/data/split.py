"""What a data function returns."""

from dataclasses import dataclass, field

import torch


@dataclass(frozen=True)
class Split:
    """N examples on one device.

    inputs: what `model(*inputs)` takes, tensors whose first dimension is N: sequences `(N, T)` of tokens or
    `(N, T, features)` of values, padded after their end, and their lengths `(N,)`.  targets: `(N,)`, numbers of classes.
    """

    inputs: tuple
    targets: torch.Tensor

    def __len__(self):
        return len(self.targets)

    def __getitem__(self, index):
        return Split(tuple(tensor[index] for tensor in self.inputs), self.targets[index])

    def to(self, device):
        return Split(tuple(tensor.to(device) for tensor in self.inputs), self.targets.to(device))

    @property
    def sequences(self):
        return self.inputs[0]

    @property
    def lengths(self):
        return self.inputs[1]


@dataclass(frozen=True)
class Data:
    """Three disjoint splits (validation may be empty: then test judges) and what goes with them.

    sizes: keywords that a model is built with, `{"codes": 128, "classes": 2}` of tokens, `{"features": 12, "classes": 9}` of
    values.  labels: the classes by name.  baselines: rule that needs no learning -> accuracy on test.  facts: numbers for
    result.json.
    """

    train: Split
    validation: Split
    test: Split
    sizes: dict
    labels: tuple
    baselines: dict
    facts: dict = field(default_factory=dict)

    def to(self, device):
        splits = (split.to(device) for split in (self.train, self.validation, self.test))
        return Data(*splits, self.sizes, self.labels, self.baselines, self.facts)

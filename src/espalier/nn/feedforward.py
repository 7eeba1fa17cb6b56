"""The feed-forward network of the studies of pruning methods: linear layers with ReLU between them."""

from itertools import pairwise

from torch import nn

from espalier.errors import InputError


class FeedForward(nn.Module):
    """Reads examples of one size, flattened: linear layers, ReLU between them.

    features: numbers of an example.  outputs: numbers that come out, of classes their logits.  hidden: units per hidden layer.
    bias: whether the layers have biases.  dropout: share of the hidden units set to zero in training.
    """

    def __init__(self, features, outputs, hidden=(100,), bias=True, dropout=0.0):
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise InputError(f"model.hidden must name the units of every hidden layer, got {list(hidden)}")
        *inner, last = pairwise((features, *hidden, outputs))
        layers = []
        for inputs, units in inner:
            layers += [nn.Linear(inputs, units, bias=bias), nn.ReLU(), *([nn.Dropout(dropout)] if dropout else [])]
        self.layers = nn.Sequential(*layers, nn.Linear(*last, bias=bias))

    @property
    def readers(self):
        """Which layer reads the units of each hidden layer."""
        names = [f"layers.{number}" for number, layer in enumerate(self.layers) if isinstance(layer, nn.Linear)]
        return {name: [reader] for name, reader in pairwise(names)}

    def forward(self, examples):
        """examples: `(N, ...)` with `features` numbers each.  Returns `(N, outputs)`."""
        return self.layers(examples.flatten(1))

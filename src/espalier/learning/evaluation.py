"""Loss and accuracy of a model on labelled sequences."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from espalier.data.batching import Batches, by_length, shuffled

#: Sequences per batch of an evaluation: large enough for the matrix products, small enough for the cache.
BATCH = 256


@dataclass
class Score:
    """Mean cross-entropy in nats and share of right answers; None where there is nothing to judge."""

    loss: float | None = None
    accuracy: float | None = None

    def columns(self, split):
        return {f"{split}_loss": self.loss, f"{split}_accuracy": self.accuracy}


def batches(split, batch_size=None, generator=None):
    """The batches to evaluate a `Split` on: sorted by length, or, with a generator, shuffled as the study did."""
    if generator is None:
        return Batches(split, by_length(split.lengths.cpu(), BATCH))
    return Batches(split, shuffled(split.lengths, split.targets, batch_size, generator))


def evaluate(model, batches):
    """`Score` of `model(*inputs)` over batches of `(*inputs, labels)`; the model's mode is kept."""
    training = model.training
    model.eval()
    loss, right, count = 0.0, 0, 0
    with torch.inference_mode():
        for *inputs, labels in batches:
            logits = model(*inputs)
            loss = loss + F.cross_entropy(logits, labels, reduction="sum").double()
            right = right + (logits.argmax(1) == labels).sum()
            count += len(labels)
    model.train(training)
    return Score(float(loss) / count, int(right) / count)

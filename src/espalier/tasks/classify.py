"""Classify: which of several classes, once per sequence or at every step; cross-entropy in nats, judged by accuracy.

Outputs `(N, classes)` with targets `(N,)`, or `(N, T, classes)` with `(N, T)`; a target of -100 counts for nothing.
"""

from espalier.tasks.task import ACCURACY, Task

#: The target of what is not judged, such as padding.
IGNORED = -100


def classify():
    return Task(ACCURACY, loss, score, total=total, curvature="cross_entropy")


def loss(outputs, targets):
    from torch.nn import functional as F  # here, for reports ask a task for its metric and need no torch

    return F.cross_entropy(outputs.flatten(0, -2), targets.flatten())


def total(outputs, targets):
    from torch.nn import functional as F

    return F.cross_entropy(outputs.flatten(0, -2), targets.flatten(), reduction="sum")


def score(outputs, targets):
    judged = targets != IGNORED
    return ((outputs.argmax(-1) == targets) & judged).sum(), judged.sum()

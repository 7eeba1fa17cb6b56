"""Regress: one number or several, once per sequence or at every step; squared error, judged by its root, less is better.

Outputs and targets `(N, ...)` of as many numbers each; a target that is NaN counts for nothing.
"""

from espalier.errors import InputError
from espalier.tasks.task import Metric, Task

RMSE = Metric("rmse", False, 0.05, relative=True, label="root mean squared error", limits=(0, None))


def regress():
    return Task(
        RMSE, loss, score, finish=lambda total, count: (total / count) ** 0.5, curvature="squared_error", proportional=True
    )


def loss(outputs, targets):
    total, count = score(outputs, targets)
    return total / count.clamp(min=1)


def score(outputs, targets):
    if outputs.numel() != targets.numel():
        raise InputError(f"task=regress: the outputs are {tuple(outputs.shape)}, the targets {tuple(targets.shape)}")
    judged = ~targets.isnan()
    errors = (outputs.reshape(targets.shape) - targets)[judged]
    return errors.square().sum(), judged.sum()

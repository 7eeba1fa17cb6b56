"""Logged: the model is a LightningModule with its own loss; what it logs in validation judges, in the direction that is told.

metric: the logged name (`val_acc`); higher: whether more is better; tolerance and relative: what regain allows by default;
column: suffix of the columns, by default the logged name without `val_`.  The loss column is what is logged as `val_loss`.
"""

from espalier.tasks.task import Metric, Task


def logged(metric, higher, tolerance=0.01, relative=False, column=None, label=None):
    name = column or metric.removeprefix("val_").removeprefix("val/")
    if name == "loss":
        name = "validated_loss"  # the column `val_loss` is the loss already
    return Task(Metric(name, higher, tolerance, relative, label), logged=metric)

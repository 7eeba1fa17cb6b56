"""Loss and metric of a model on a split."""

import logging
import math
import warnings
from dataclasses import dataclass

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.environments import LightningEnvironment

from espalier.errors import InputError
from espalier.tasks import Task

#: Examples that a standard error is estimated from, at most.
EXAMPLES = 2000


@dataclass
class Score:
    """Mean loss, and the value of the task's metric; None where there is nothing to judge."""

    task: Task
    loss: float | None = None
    value: float | None = None

    def columns(self, split):
        return {f"{split}_loss": self.loss, f"{split}_{self.task.metric.name}": self.value}

    @property
    def rank(self):
        """What the best of several has most of: the metric, of equals the lower loss."""
        return [self.task.metric.better(self.value), 0.0 if self.loss is None else -self.loss]


@torch.inference_mode()
def outputs_of(model, batches, device, carried):
    """(outputs, targets) of every batch of `(*inputs, targets)`; the model's mode is kept. carried: as for `Learner`."""
    training, states = model.training, ()
    model.eval()
    for *inputs, targets in batches:
        inputs, targets = [one.to(device) for one in inputs], targets.to(device)
        if carried:
            outputs, states = model(*inputs, states=states)
        else:
            outputs = model(*inputs)
        yield outputs, targets
    model.train(training)


def evaluate(model, task, batches, device, carried=False):
    """`Score` of `model(*inputs)` over batches of `(*inputs, targets)`. carried: as for `Learner`."""
    loss, total, count = 0.0, 0.0, 0
    with torch.inference_mode():
        for outputs, targets in outputs_of(model, batches, device, carried):
            part, number = task.score(outputs, targets)
            lost = task.loss(outputs, targets) * number if task.total is None else task.total(outputs, targets)
            loss, total, count = loss + lost.double(), total + part, count + number
    if not count:
        raise InputError("there is nothing to judge: every target is ignored")
    value = task.finish(torch.as_tensor(total).double(), int(count))
    return Score(task, float(loss) / int(count), float(value))


def standard_error(model, task, batches, device, carried=False):
    """Standard error of the metric's value over examples that are taken for independent: how far it would be another one on
    another split as large. None where it cannot be told: a single example, or outputs that are no tensor of a row for each.

    The value is a function (`task.finish`) of a ratio of sums, so its error is that of the ratio (delta method; Cochran 1977,
    Sampling Techniques, chapter 6) times the slope.  At most `EXAMPLES` of the examples, evenly spaced, are looked at.
    """
    examples = sum(len(batch[-1]) for batch in batches)
    step, seen, sums, counts = math.ceil(examples / EXAMPLES), 0, [], []
    with torch.inference_mode():
        for outputs, targets in outputs_of(model, batches, device, carried):
            if not isinstance(outputs, torch.Tensor) or len(outputs) != len(targets):
                return None
            for place in range(-seen % step, len(targets), step):
                part, number = task.score(outputs[place : place + 1], targets[place : place + 1])
                sums.append(float(part))
                counts.append(float(number))
            seen += len(targets)
    sums, counts = torch.tensor([sums, counts], dtype=torch.float64)
    if len(sums) < 2 or not counts.sum():
        return None
    mean = sums.sum() / counts.sum()
    error = (sums - mean * counts).std() / counts.mean() / math.sqrt(examples)
    nudge = max(1e-6 * abs(float(mean)), 1e-12)
    above, below = (float(task.finish(mean + sign * nudge, 1)) for sign in (1, -1))
    slope = (above - below) / (2 * nudge)
    return float(error) * abs(slope) if error else 0.0


def validate(module, task, batches, device):
    """`Score` of a LightningModule by what its `validation_step` logs.  Raises: InputError if the metric is not among it."""
    trainer = pl.Trainer(**quiet(device))
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="(pytorch_lightning|lightning_fabric)")
        (logged,) = trainer.validate(module, dataloaders=batches, verbose=False) or [{}]
    return Score(task, logged.get("val_loss"), metric_of(logged, task, type(module).__name__))


def metric_of(logged, task, name):
    """The task's metric among what a LightningModule of this name logged.  Raises: InputError."""
    if task.logged not in logged:
        told = ", ".join(logged) or "nothing"
        raise InputError(f"task.metric={task.logged}: {name} logs {told} in validation")
    return float(logged[task.logged])


def quiet(device):
    """Arguments of a Trainer that says, keeps and draws nothing."""
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    return dict(
        accelerator="cuda" if device.type == "cuda" else "cpu", devices=[device.index or 0] if device.type == "cuda" else 1,
        logger=False, enable_progress_bar=False, enable_model_summary=False, enable_checkpointing=False, num_sanity_val_steps=0,
        plugins=[LightningEnvironment()],  # one process, whatever scheduler started it
    )  # fmt: skip

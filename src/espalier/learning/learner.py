"""The LightningModules that train: ours around any network and task, and what is noted of one that brings its own loss."""

import inspect

import pytorch_lightning as pl
import torch

from espalier import names
from espalier.learning.evaluation import Score


class Learner(pl.LightningModule):
    """Lowers the loss of a task on `model(*inputs)`.

    optimizer: dict of name, lr and weight_decay.  carried: every batch goes on where the one before ended; the model is then
    called with `states`, at first `()`, and returns its outputs and the states after them.

    `train_score()` is the running loss and metric of the epoch so far: sums kept on the device, so that no step waits.
    """

    def __init__(self, model, task, optimizer, carried=False):
        super().__init__()
        self.model, self.task, self.optimizer, self.carried = model, task, optimizer, carried

    def configure_optimizers(self):
        kind = names.load(names.OPTIMIZERS[self.optimizer["name"]])
        fused = {"fused": True} if "fused" in inspect.signature(kind).parameters else {}
        return kind(self.model.parameters(), lr=self.optimizer["lr"], weight_decay=self.optimizer["weight_decay"], **fused)

    def on_train_epoch_start(self):
        self._loss = torch.zeros((), dtype=torch.float64, device=self.device)
        self._sum = torch.zeros((), dtype=torch.float64, device=self.device)
        self._count = torch.zeros((), dtype=torch.int64, device=self.device)
        self._states = ()

    def training_step(self, batch, index):
        *inputs, targets = batch
        if self.carried:
            outputs, states = self.model(*inputs, states=self._states)
            self._states = detached(states)
        else:
            outputs = self.model(*inputs)
        loss = self.task.loss(outputs, targets)
        with torch.no_grad():
            total, count = self.task.score(outputs, targets)
            self._loss.add_(loss * count)
            self._sum.add_(total)
            self._count.add_(count)
        return loss

    def train_score(self):
        count = int(self._count)
        if not count:
            return Score(self.task)
        return Score(self.task, float(self._loss) / count, float(self.task.finish(self._sum.cpu(), count)))


def detached(states):
    """States without their history, in whatever nest of tuples and lists."""
    if isinstance(states, torch.Tensor):
        return states.detach()
    return type(states)(detached(state) for state in states)


class Losses(pl.Callback):
    """The mean loss that the steps of a LightningModule return, over the epoch so far."""

    def __init__(self, task):
        self.task = task

    def on_train_epoch_start(self, trainer, pl_module):
        self.sum, self.count = torch.zeros((), dtype=torch.float64, device=pl_module.device), 0

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if outputs is not None:
            self.sum += (outputs["loss"] if isinstance(outputs, dict) else outputs).detach()
            self.count += 1

    def train_score(self):
        return Score(self.task, float(self.sum) / self.count if self.count else None)

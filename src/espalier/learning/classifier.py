"""The LightningModule that trains a sequence classifier."""

import inspect

import pytorch_lightning as pl
import torch
from torch.nn import functional as F

from espalier import names
from espalier.learning.evaluation import Score


class Classifier(pl.LightningModule):
    """Cross-entropy on `model(*inputs)`.

    epoch_batches: function from the epoch (0-based) to its training batches, an iterable with a length.
    optimizer: dict of name, lr and weight_decay.

    `train_score()` is the running loss and accuracy of the epoch so far: sums kept on the device, so that no step waits.
    """

    def __init__(self, model, epoch_batches, optimizer):
        super().__init__()
        self.model, self.epoch_batches, self.optimizer = model, epoch_batches, optimizer

    def train_dataloader(self):
        return self.epoch_batches(self.current_epoch)

    def configure_optimizers(self):
        kind = names.load(names.OPTIMIZERS[self.optimizer["name"]])
        fused = {"fused": True} if "fused" in inspect.signature(kind).parameters else {}
        return kind(self.model.parameters(), lr=self.optimizer["lr"], weight_decay=self.optimizer["weight_decay"], **fused)

    def on_train_epoch_start(self):
        self._loss = torch.zeros((), dtype=torch.float64, device=self.device)
        self._right = torch.zeros((), dtype=torch.int64, device=self.device)
        self._count = torch.zeros((), dtype=torch.int64)

    def training_step(self, batch, index):
        *inputs, labels = batch
        logits = self.model(*inputs)
        loss = F.cross_entropy(logits, labels)
        with torch.no_grad():
            self._loss.add_(loss * len(labels))
            self._right.add_((logits.argmax(1) == labels).sum())
            self._count.add_(len(labels))
        return loss

    def train_score(self):
        count = int(self._count)
        return Score(float(self._loss) / count, int(self._right) / count)

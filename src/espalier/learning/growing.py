"""Masks that grow while a network trains.

Cubic: s(t) = s (1 - (1 - t/T)^3), fast at first and slowly at the end; linear: s(t) = s t/T. T is the length of the ramp.
Reference: Zhu and Gupta 2017, "To prune, or not to prune" (cubic); Gale, Elsen and Hooker 2019 (settings).
"""

import pytorch_lightning as pl

from espalier.pruning import Masks

SHAPES = {"cubic": lambda part: 1 - (1 - part) ** 3, "linear": lambda part: part}


class Growing(pl.Callback):
    """Cuts more and more of the weights, as they are by then; what is zero stays away. `masks` and `done` say how far it is.

    pruning: the `Pruning` callback that keeps them zero.  masks_at: function from a percent to the masks for it.
    percent: the last one.  growth: a `Growth`.  epochs: how many the training has.
    """

    def __init__(self, pruning, masks_at, percent, growth, epochs):
        self.pruning, self.masks_at, self.percent, self.growth, self.epochs = pruning, masks_at, percent, growth, epochs
        self.masks, self.done = None, False
        self.pruning.masks, self.pruning.changing = masks_at(0), True

    def on_train_start(self, trainer, pl_module):
        per_epoch = trainer.num_training_batches
        self.ramp = max(1, round(self.growth.ramp * self.epochs * per_epoch))
        self.every = max(1, per_epoch // self.growth.updates)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        step = trainer.global_step
        if self.done or (step % self.every and step < self.ramp):
            return
        part = min(step / self.ramp, 1.0)
        self.masks = self.pruning.masks = self.masks_at(self.percent * SHAPES[self.growth.shape](part))
        self.masks.cut(pl_module)
        self.done = part == 1

    def state_dict(self):
        return {"masks": self.masks and self.masks.state_dict(), "done": self.done}

    def load_state_dict(self, state_dict):
        self.done = state_dict["done"]
        if state_dict["masks"] is not None:
            self.masks = self.pruning.masks = Masks(state_dict["masks"])

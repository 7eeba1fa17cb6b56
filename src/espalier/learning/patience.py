"""When training has stopped getting better, and what follows: its end, or a lower learning rate."""

import math

import pytorch_lightning as pl


def idle(values, delta, against):
    """For every epoch, whether it brought nothing: no more than `delta` over the `best` before, or over the `previous` one.

    values: of what judges, more is better; of the first one nothing is asked.
    """
    found, reference = [], -math.inf
    for value in values:
        found.append(not value > reference + delta)
        reference = value if against == "previous" else max(reference, value)
    return found


def since(values, patience):
    """How many epochs at the end brought nothing.  patience: a `Patience`."""
    count = 0
    for nothing in idle(values, patience.delta, patience.against):
        count = count + 1 if nothing else 0
    return count


def fallen(values, plateau, lr):
    """(how often the learning rate has fallen, whether it would have to fall below the least).  plateau: a `Plateau`."""
    times, over = 0, False
    for nothing in idle(values, plateau.delta, plateau.against):
        if nothing and lr * plateau.factor**times > plateau.least * (1 + 1e-9):
            times += 1
        elif nothing:
            over = True
    return times, over


class Falling(pl.Callback):
    """Sets the learning rate (and, once it has fallen, the momentum) for the next epoch.

    values: function without arguments to what judged each epoch, more is better.  plateau: a `Plateau`.  lr: the first one.
    """

    def __init__(self, values, plateau, lr):
        self.values, self.plateau, self.lr = values, plateau, lr

    def on_train_epoch_start(self, trainer, pl_module):
        times, _ = fallen(self.values(), self.plateau, self.lr)
        for optimizer in trainer.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = self.lr * self.plateau.factor**times
                if times and self.plateau.momentum is not None:
                    group["momentum"] = self.plateau.momentum

"""The same pruning inside anyone's Lightning training."""

import logging

import pytorch_lightning as pl
import torch

from espalier.errors import InputError
from espalier.pruning.masks import Masks
from espalier.pruning.prune import check_percent, prune
from espalier.pruning.regain import Regain

log = logging.getLogger(__name__)

#: Optimizers that treat every weight on its own, so that a zero weight with a zero gradient stays and disturbs nothing.
ELEMENTWISE = {"ASGD", "Adadelta", "Adagrad", "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "SGD"}
#: Optimizers that mix the weights of a matrix: masked training would not be the training of `w * mask`.
MIXING = {"Adafactor", "LBFGS", "Muon", "Shampoo", "SOAP"}


class Pruning(pl.Callback):
    """Prunes when training starts and keeps the pruned weights zero through it.

    The gradient is masked before it is clipped and the weight after the optimizer's step, so that training is exactly
    that of `w * mask`. Masks and record are part of the checkpoint; a resumed training goes on with them. The parameters
    keep their names: the checkpoint's weights load into plain torch.

    target, percent, score, scope, modules, rule, generator, structure, block, readers, data: as for `espalier.prune`; names
    of modules are those within the LightningModule.
    masks: masks made elsewhere, instead of those arguments.
    monitor: name of a logged validation metric, higher is better, to watch for regain; base: its value before the cut;
    tolerance: what may be missing.  With `num_sanity_val_steps=-1` the value right after the cut is recorded too.

    After or during training: `masks`, `history` (dicts of epoch, step and value, epoch 0 right after the cut) and `regain`
    (an `espalier.Regain`: epoch, step, censored).
    """

    def __init__(
        self,
        target="both",
        percent=50,
        score="magnitude",
        scope=None,
        modules=None,
        rule="exact",
        generator=None,
        structure="weight",
        block=(4, 4),
        readers=None,
        data=None,
        masks=None,
        monitor=None,
        base=None,
        tolerance=0.01,
    ):
        if monitor and base is None:
            raise InputError("Pruning(monitor=...) needs base=..., the metric's value before the cut")
        self.arguments = dict(
            target=target, percent=check_percent(percent), score=score, scope=scope, modules=modules, rule=rule,
            generator=generator, structure=structure, block=block, readers=readers, data=data,
        )  # fmt: skip
        self.masks, self.monitor = masks, monitor
        self.regain = None if base is None else Regain(base, tolerance)
        self.history = []

    def record(self, value, epoch, step):
        """Note the accuracy after `step` optimizer steps; returns whether it is regained."""
        self.history.append({"epoch": epoch, "step": step, "value": float(value)})
        return self.regain.update(float(value), epoch, step) if self.regain else False

    def on_fit_start(self, trainer, pl_module):
        if self.masks is None:
            self.masks = prune(pl_module, **self.arguments)
            log.info("pruned %s", self.masks)
        self.masks.weights(pl_module)

    def on_train_start(self, trainer, pl_module):
        for optimizer in trainer.optimizers:
            name = type(optimizer).__name__
            if name in MIXING:
                raise InputError(
                    f"{name} mixes the weights of a matrix, so pruned weights would steer the others: use one of "
                    + ", ".join(sorted(ELEMENTWISE))
                )
            if name not in ELEMENTWISE:
                log.warning("%s is not known to treat every weight on its own; pruned weights stay zero all the same", name)

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.masks.gradients(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.masks.weights(pl_module)

    def on_validation_end(self, trainer, pl_module):
        if self.monitor is None or (trainer.sanity_checking and self.history):  # a resumed training checks its sanity again
            return
        if self.monitor not in trainer.callback_metrics:
            raise InputError(
                f"monitor={self.monitor!r} was not logged in validation; there are {', '.join(trainer.callback_metrics)}"
            )
        epoch = 0 if trainer.sanity_checking else trainer.current_epoch + 1
        self.record(trainer.callback_metrics[self.monitor], epoch, trainer.global_step)

    def state_dict(self):
        return {
            "masks": None if self.masks is None else self.masks.state_dict(),
            "history": list(self.history),
            "regain": self.regain and self.regain.state_dict(),
        }

    def load_state_dict(self, state_dict):
        if state_dict["masks"] is not None:
            self.masks = Masks({name: torch.as_tensor(mask) for name, mask in state_dict["masks"].items()})
        self.history = list(state_dict["history"])
        if state_dict["regain"] is not None:
            self.regain = self.regain or Regain(0.0)
            self.regain.load_state_dict(state_dict["regain"])

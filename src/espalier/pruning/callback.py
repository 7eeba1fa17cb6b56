"""The same pruning inside anyone's Lightning training."""

import logging
import weakref

import pytorch_lightning as pl
import torch

from espalier.errors import InputError
from espalier.pruning.masks import Masks
from espalier.pruning.optimizers import check_optimizer
from espalier.pruning.prune import check_percent, make_masks, warn_of_share
from espalier.pruning.regain import Regain

log = logging.getLogger(__name__)

#: Arguments that a checkpoint must agree on; which weights there are (`target`, `modules`, `structure`) is the state's key.
AGREED = ("percent", "score", "scope", "rule", "block")


class Pruning(pl.Callback):
    """Prunes when training starts and keeps the pruned weights zero through it.

    The gradient is masked before it is clipped and the weight after the optimizer's step, so that training is exactly
    that of `w * mask`. Masks and record are part of the checkpoint; a resumed training goes on with them, and is refused where
    the checkpoint was pruned otherwise than the callback says. The parameters keep their names: the checkpoint's weights load
    into plain torch. Averages of the weights that other callbacks of Lightning keep (EMA, SWA) are masked too. Several
    callbacks may prune one model, each its own weights; a callback prunes one model only.

    target, percent, score, scope, modules, rule, generator, structure, block, readers, data, backward, loss: as for
    `espalier.prune`; names of modules are those within the LightningModule.
    masks: masks made elsewhere, instead of those arguments.
    monitor: name of a logged validation metric to watch for regain; base: its value before the cut; tolerance: what may be
    missing; higher: whether more is better; patience: how many validations in a row have to be back.  With
    `num_sanity_val_steps=-1` the value right after the cut is recorded too.

    After or during training: `masks`, `history` (dicts of epoch, step and value, epoch 0 right after the cut) and `regain`
    (an `espalier.Regain`: epoch, step, censored).

    Raises: InputError, also when training starts: what `espalier.prune` raises, an optimizer that mixes weights, a checkpoint
    that was pruned otherwise, a second model.
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
        higher=True,
        patience=2,
        backward=None,
        loss=None,
    ):
        if monitor and base is None:
            raise InputError("Pruning(monitor=...) needs base=..., the metric's value before the cut")
        self.arguments = dict(
            target=target, percent=check_percent(percent), score=score, scope=scope, modules=modules, rule=rule,
            generator=generator, structure=structure, block=block, readers=readers, data=data,
            backward=backward, loss=loss,
        )  # fmt: skip
        warn_of_share(self.arguments["percent"])
        self.masks, self.given, self.monitor = masks, masks is not None, monitor
        self.regain = None if base is None else Regain(base, tolerance, higher, patience)
        self.history = []
        self.changing = False  # whether somebody changes the masks during training
        self._model = None  # the LightningModule that was pruned, as a weak reference
        self._averages = []  # modules in which other callbacks average its weights

    def __getstate__(self):
        return {**self.__dict__, "_model": None, "_averages": []}

    @property
    def state_key(self):
        """Tells the states of several such callbacks in one checkpoint apart, by the weights that they prune."""
        if self.given:
            return self._generate_state_key(masks=list(self.masks))
        return self._generate_state_key(**{name: self.arguments[name] for name in ("target", "modules", "structure")})

    def record(self, value, epoch, step):
        """Note the judging value after `step` optimizer steps; returns whether it is regained."""
        self.history.append({"epoch": epoch, "step": step, "value": float(value)})
        return self.regain.update(float(value), epoch, step) if self.regain else False

    def on_fit_start(self, trainer, pl_module):
        if self._model is not None and self._model() is not pl_module:
            raise InputError("this Pruning callback holds the masks of another model; make one for each model")
        self._model = weakref.ref(pl_module)
        if self.masks is None:
            self.masks = make_masks(pl_module, **self.arguments)
            log.info("pruned %s", self.masks)
            self.masks.cut(pl_module)
        self.masks.weights(pl_module)

    def on_train_start(self, trainer, pl_module):
        for optimizer in trainer.optimizers:
            check_optimizer(optimizer)
        # Lightning's callbacks that average weights keep the average under this name.
        averages = [getattr(callback, "_average_model", None) for callback in trainer.callbacks]
        self._averages = [averaged for averaged in averages if isinstance(averaged, torch.nn.Module)]

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.masks.gradients(pl_module)

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.masks.weights(pl_module)
        for optimizer in trainer.optimizers:
            self.masks.averages(pl_module, optimizer)
        for averaged in self._averages:
            self.masks.weights(averaged)

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
            "arguments": {name: self.arguments[name] for name in AGREED},
        }

    def on_load_checkpoint(self, trainer, pl_module, checkpoint):
        kind = type(self).__qualname__
        others = [key for key in checkpoint.get("callbacks", {}) if key == kind or str(key).startswith(kind + "{")]
        if others and self.state_key not in others:
            raise InputError(
                f"the checkpoint was pruned by {', '.join(others)}, this callback is {self.state_key}: resume with the former, "
                "or load the weights alone and prune anew"
            )

    def load_state_dict(self, state_dict):
        if state_dict["masks"] is not None:
            masks = Masks({name: torch.as_tensor(mask) for name, mask in state_dict["masks"].items()})
            self._refuse_other(masks, state_dict.get("arguments", {}))
            self.masks, self._model = masks, None
        self.history = list(state_dict["history"])
        if state_dict["regain"] is not None:
            self.regain = self.regain or Regain(0.0)
            self.regain.load_state_dict(state_dict["regain"])

    def _refuse_other(self, masks, arguments):
        """Raise InputError if a checkpoint was pruned otherwise than this callback would."""
        if self.given and masks != self.masks and not self.changing:
            raise InputError("the checkpoint has other masks than this callback: resume with those, or load the weights alone")
        for name, value in arguments.items() if not self.given else ():
            asked = self.arguments[name]
            same = list(value) == list(asked) if name == "block" else value == asked
            if not same:
                raise InputError(
                    f"the checkpoint was pruned with {name}={value}, this callback says {name}={asked}: resume with the "
                    "former, or load the weights alone and prune anew"
                )

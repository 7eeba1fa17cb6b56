"""One training: Lightning's loop with nothing in it that a small recurrent network would have to wait for."""

import logging
import signal
import warnings

import pytorch_lightning as pl
import torch
from pytorch_lightning.plugins.io import TorchCheckpointIO

from espalier.errors import InputError
from espalier.learning.evaluation import quiet
from espalier.runs import files

log = logging.getLogger(__name__)


class WholeCheckpoints(TorchCheckpointIO):
    """Checkpoints that appear whole beside their target (Lightning's own are moved across file systems)."""

    def save_checkpoint(self, checkpoint, path, storage_options=None):
        files.save_tensors(path, checkpoint)


class Epochs(pl.Callback):
    """Collects one row per epoch, looks in between, and says when to stop.

    end: function from (epoch, optimizer steps, what is known of its last step) to the row of an epoch, called at its end;
    epochs count from 1.
    stop: function without arguments: was that the last epoch?
    start: function from the rows that a checkpoint brought back (none at first), called before training.
    check: function from (epoch, optimizer steps), called `per_epoch - 1` times within an epoch: does it end there?
    """

    def __init__(self, end, stop=lambda: False, check=None, per_epoch=1, start=lambda rows: None):
        self.end, self.stop, self.check, self.per_epoch, self.start = end, stop, check, per_epoch, start
        self.rows, self.last = [], {}

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        """Of the last step of an epoch: the learning rate, and the norm of the gradient before it is clipped."""
        if trainer.fit_loop.epoch_loop.batch_progress.is_last_batch:
            gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
            self.last = {
                "lr": optimizer.param_groups[0]["lr"],
                "gradient_norm": float(torch.nn.utils.get_total_norm(gradients)),
            }

    def on_train_start(self, trainer, pl_module):
        self.start(self.rows)
        trainer.should_stop = self.stop()

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        count, done = trainer.num_training_batches, batch_idx + 1
        # Look k of an epoch falls on its batch ceil(k * count / per_epoch).
        if done < count and (done * self.per_epoch) // count > (batch_idx * self.per_epoch) // count:
            trainer.should_stop = self.check(trainer.current_epoch + 1, trainer.global_step)

    def on_train_epoch_end(self, trainer, pl_module):
        row = self.end(trainer.current_epoch + 1, trainer.global_step, self.last)
        self.rows.append(row)
        self.last = {}
        trainer.should_stop = self.stop()

    def state_dict(self):
        return {"rows": self.rows}

    def load_state_dict(self, state_dict):
        self.rows = list(state_dict["rows"])


class Keep(pl.Callback):
    """Saves the checkpoint of the epoch. Last in the list, so that it holds what the other callbacks did in it."""

    def __init__(self, path):
        self.path = path

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.save_checkpoint(self.path)


def fit(learner, feed, device, max_epochs, clip_norm, callbacks, checkpoint):
    """Train a LightningModule on the epochs of a `Feed` to `max_epochs`, keeping a checkpoint at the path `checkpoint`
    after every epoch, and going on from it if it is there and whole; a damaged one is said and left.

    No logger, bar, sanity check or model summary: whoever wants rows takes them from a callback, once an epoch.
    """
    resume = None
    if checkpoint.exists():
        try:
            files.load_tensors(checkpoint, "checkpoint")
            resume = checkpoint
        except InputError as error:
            log.warning("%s; training starts again", error)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="(pytorch_lightning|lightning_fabric)")
        own = quiet(device)
        own["plugins"] = [WholeCheckpoints(), *own["plugins"]]
        trainer = pl.Trainer(
            **own,
            max_epochs=max_epochs,
            gradient_clip_val=clip_norm or None,
            callbacks=[*callbacks, Keep(checkpoint)],
            reload_dataloaders_every_n_epochs=1,
            limit_val_batches=0,  # of a module that validates itself; rows come from a callback
        )
        try:
            trainer.fit(learner, datamodule=feed, ckpt_path=resume)
        except SystemExit:
            # Lightning turns Ctrl-C into an exit that a sweep would take for silence.
            if trainer.interrupted:
                signal.signal(signal.SIGINT, signal.default_int_handler)
                raise KeyboardInterrupt from None
            raise

"""Batches for Lightning: of our splits, or of the user's LightningDataModule."""

import inspect

import pytorch_lightning as pl

from espalier.data import Data
from espalier.errors import InputError


class Feed(pl.LightningDataModule):
    """Asks for the batches of every epoch. epoch_batches: function from the epoch (0-based) to an iterable with a length."""

    def __init__(self, epoch_batches):
        super().__init__()
        self.epoch_batches = epoch_batches

    def train_dataloader(self):
        return self.epoch_batches(self.trainer.current_epoch)


class Loaded:
    """The split that a function without arguments loads: `batches()` is what it returns, `(*inputs, targets)` each."""

    lengths = None

    def __init__(self, batches=None):
        self.batches = batches
        self.count = len(batches()) if batches else 0

    def __len__(self):
        """Number of batches."""
        return self.count

    def to(self, device):
        return self  # batches go to the device one by one


def data_of(module):
    """The `Data` of a LightningDataModule. `sizes`, `baselines` and `validation_baselines`, dicts, are taken from it where it
    has them.

    Raises: InputError if it loads nothing to train on or to test with.
    """
    module.prepare_data()
    module.setup("fit")
    module.setup("test")
    splits, name = [], type(module).__name__
    for hook in ("train_dataloader", "val_dataloader", "test_dataloader"):
        own = getattr(type(module), hook) is not getattr(pl.LightningDataModule, hook)
        if own and not hasattr(getattr(module, hook)(), "__len__"):
            raise InputError(
                f"data: {name}.{hook}() has no length, or is a list of loaders: return one loader of a known length"
            )
        splits.append(Loaded(getattr(module, hook)) if own else Loaded())
    train, validation, test = splits
    if not len(train) or not len(test):
        raise InputError(f"data: {name} needs a train_dataloader and a test_dataloader that are not empty")
    more = {what: dict(getattr(module, what, None) or {}) for what in ("sizes", "baselines", "validation_baselines")}
    return Data(train, validation, test, labels=(), **more, facts={"source": name})


def accepted(function, keywords):
    """Those keywords that a function takes; all, where it takes any."""
    parameters = inspect.signature(function).parameters
    if any(parameter.kind == inspect.Parameter.VAR_KEYWORD for parameter in parameters.values()):
        return keywords
    return {name: value for name, value in keywords.items() if name in parameters}

"""What is learned from: one file per kind of data, each with a function `load` from its settings to `Data`."""

import torch

from espalier import names
from espalier.data.split import Data, Split
from espalier.errors import InputError

__all__ = ["Data", "Split", "load"]


def load(settings):
    """The `Data` of a configuration, a dict with the `name` of the kind and its keys.

    Raises: InputError, in one line, about files and about sizes that cannot be had.
    """
    data = names.load(names.DATA[settings["name"]])(settings)
    for name in ("train", "test"):
        targets = getattr(data, name).targets
        if len(torch.unique(targets)) < 2:
            what = "both labels" if len(data.labels) == 2 else "two labels"
            raise InputError(f"the {name} data ({len(targets)}) do not contain {what}")
    if settings["validation_fraction"] and not len(data.validation):
        count = len(data.train)
        raise InputError(f"data.validation_fraction={settings['validation_fraction']} of {count} examples is none")
    return data

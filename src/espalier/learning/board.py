"""TensorBoard or another logger of Lightning's, and the seconds of work."""

import copy
import hashlib
import shutil
import time
from pathlib import Path

from espalier import names
from espalier.learning.feeds import accepted
from espalier.runs.identity import flat
from espalier.tasks import ACCURACY


class Clock:
    """Seconds of work: since it was made, and before that in the rows that a checkpoint brought back."""

    def __init__(self):
        self.started = time.monotonic()

    def after(self, rows):
        if rows:
            self.started = time.monotonic() - rows[-1]["seconds"]

    def __call__(self):
        return round(time.monotonic() - self.started, 3)


class Board:
    """What a logger is told of one run: a training, a pruning job or a search.

    Tags: `{train,val,test}/{loss,<metric>}` and `optimizer/{lr,gradient_norm}` by epoch, below the name of a part where the run
    has several trainings; whatever else by what it is a function of; `final/...` beside the hyper-parameters.
    written: how many rows.

    run: the folder of a run.
    logger: settings with `tensorboard`, whether to write TensorBoard events, and `own`, the `_target_` and keys of another
    logger, which gets `save_dir`, `name` and `version` (unique) besides, where it takes them; or None.
    """

    def __init__(self, run, logger=None, metric=ACCURACY):
        self.logger, self.written, self.metric, self.under = None, 0, metric, ""
        if logger is None or not (logger.tensorboard or logger.own):
            return
        directory = Path(run) / ("logs" if logger.own else "tensorboard")
        shutil.rmtree(directory, ignore_errors=True)  # of an attempt that was interrupted; its rows come back by `start`
        if logger.own:
            keywords = dict(logger.own)
            make = names.load(keywords["_target_"])
            name = f"{run.parent.name}-{run.name}"
            version = hashlib.sha256(name.encode()).hexdigest()[:8]
            places = {"save_dir": str(directory), "name": name, "version": version}
            keywords = accepted(make, places) | keywords
            self.logger = names.call(keywords.pop("_target_"), keywords, "logger")
        else:
            from pytorch_lightning.loggers import TensorBoardLogger  # here, for a training without it needs none

            self.logger = TensorBoardLogger(directory.parent, "", directory.name, default_hp_metric=False)

    def part(self, name):
        """The board of one training of several."""
        part = copy.copy(self)
        part.written, part.under = 0, f"{name}/"
        return part

    def start(self, rows):
        """Write the rows that a checkpoint, or a finished training, brought back."""
        for row in rows:
            self.row(row)

    def values(self, values, step):
        """Scalars by tag; those that are None are left out."""
        if self.logger:
            self.logger.log_metrics({tag: value for tag, value in values.items() if value is not None}, step)
            self.logger.save()

    def row(self, row):
        self.written += 1
        what = ("loss", self.metric.name)
        values = {f"{split}/{one}": row[f"{split}_{one}"] for split in ("train", "val", "test") for one in what}
        values |= {f"optimizer/{one}": row.get(one) for one in ("lr", "gradient_norm")}
        self.values({f"{self.under}{tag}": value for tag, value in values.items()}, row["epoch"])

    def pictures(self, folder, names):
        """Figures of a folder, as far as they are there, where the logger takes images."""
        write = getattr(getattr(self.logger, "experiment", None), "add_image", None)
        for name in names if write else ():
            if (folder / f"{name}.png").exists():
                from matplotlib import image  # here, for it takes a second

                write(f"figures/{name}", image.imread(folder / f"{name}.png")[..., :3], 0, dataformats="HWC")

    def finish(self, parameters, metrics):
        """parameters: plain values, nested or not, of which every key is a hyper-parameter."""
        if self.logger is None:
            return
        parameters = {key: value if isinstance(value, (bool, int, float)) else str(value) for key, value in flat(parameters)}
        final = {f"final/{name}": value for name, value in metrics.items() if value is not None}
        if "metrics" in accepted(self.logger.log_hyperparams, {"metrics": final}):
            self.logger.log_hyperparams(parameters, final)
        else:
            self.logger.log_hyperparams(parameters)
            self.logger.log_metrics(final)
        self.logger.finalize("success")

"""TensorBoard, and the seconds of work."""

import shutil
import time


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
    """TensorBoard events of one training under fixed tags, with its hyper-parameters and final metrics.

    Tags: `{train,val,test}/{loss,accuracy}` by epoch; `final/...` beside the hyper-parameters.  directory: None writes nothing.
    written: how many rows.
    """

    def __init__(self, directory):
        self.logger, self.written = None, 0
        if directory is not None:
            from pytorch_lightning.loggers import TensorBoardLogger  # here, for a training without it needs none

            shutil.rmtree(directory, ignore_errors=True)  # of an attempt that was interrupted; its rows come back by `start`
            self.logger = TensorBoardLogger(directory.parent, "", directory.name, default_hp_metric=False)

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
        self.values(
            {f"{split}/{what}": row[f"{split}_{what}"] for split in ("train", "val", "test") for what in ("loss", "accuracy")},
            row["epoch"],
        )

    def finish(self, parameters, metrics):
        if self.logger:
            final = {f"final/{name}": value for name, value in metrics.items() if value is not None}
            self.logger.log_hyperparams(parameters, final)
            self.logger.finalize("success")

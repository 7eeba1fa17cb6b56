"""Train: the base model that every level of pruning starts from."""

import logging
import math

import pytorch_lightning as pl

from espalier.analysis import figures
from espalier.errors import InputError
from espalier.experiments.common import Board, Clock, bench_of, weights_of
from espalier.experiments.plan import train_run
from espalier.learning.fit import Epochs, fit
from espalier.runs import files, progress

log = logging.getLogger(__name__)

COLUMNS = (
    "cell", "seed", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss", "test_accuracy",
    "seconds",
)  # fmt: skip
FILES = ("results.csv", "best.pt", "last.pt")


def train(config, force=False):
    """Train the network that the configuration describes, unless that run is done; go on if it was interrupted.

    force: start over although it is done.  Returns: the `Run`, whose `best.pt` and `last.pt` hold the weights.
    """
    run = train_run(config)
    with run.alone():
        if force or not run.result():
            with run.logging("train"), bench_of(config) as bench:
                _train(config, run, bench, force)
    return run


class Best(pl.Callback):
    """Remembers the weights of the epoch with the highest judged accuracy (of equals, the lowest loss)."""

    def __init__(self):
        self.rank, self.epoch, self.weights = None, None, None

    def offer(self, score, epoch, model):
        rank = [score.accuracy, -score.loss]
        if self.rank is None or rank > self.rank:
            self.rank, self.epoch, self.weights = rank, epoch, weights_of(model)

    def state_dict(self):
        return {"rank": self.rank, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict):
        self.rank, self.epoch, self.weights = (state_dict[name] for name in ("rank", "epoch", "weights"))


def _train(config, run, bench, force):
    checkpoint = run / "training.ckpt"
    if force:
        checkpoint.unlink(missing_ok=True)
    run.start()
    model = bench.network()
    board = Board(run / "tensorboard", config.logger.tensorboard)
    seconds, best = Clock(), Best()

    def start(rows):
        seconds.after(rows)
        board.start(rows)

    def end(epoch, step, classifier):
        columns, judged = bench.row(model, classifier.train_score(), "train", epoch)
        if not math.isfinite(columns["train_loss"]) or not math.isfinite(judged.loss):
            raise InputError(
                f"training diverged in epoch {epoch} (loss {columns['train_loss']:g}); "
                f"lower optimizer.lr={config.optimizer.lr:g} or trainer.clip_norm={config.trainer.clip_norm:g}"
            )
        best.offer(judged, epoch, model)
        row = {"cell": config.cell, "seed": config.seed, "epoch": epoch, **columns, "seconds": seconds()}
        board.row(row)
        log.info("epoch %d: %s", epoch, {name: value for name, value in columns.items()})
        now = f"base, epoch {epoch}/{config.trainer.max_epochs}, {bench.judge} accuracy {judged.accuracy:.4f}"
        progress.current.advance(1, now, line=epoch % 10 == 0 or epoch == config.trainer.max_epochs)
        return row

    epochs = Epochs(end, start=start)
    classifier = bench.classifier(model, "train")
    fit(classifier, bench.device, config.trainer.max_epochs, config.trainer.clip_norm, [best, epochs], checkpoint)

    about = {"cell": config.cell, "sizes": model.sizes}
    files.save_tensors(run / "best.pt", {**about, "epoch": best.epoch, "state_dict": best.weights})
    files.save_tensors(run / "last.pt", {**about, "epoch": epochs.rows[-1]["epoch"], "state_dict": weights_of(model)})
    files.write_rows(run / "results.csv", COLUMNS, epochs.rows)
    chosen = epochs.rows[best.epoch - 1]
    metrics = {name: chosen[name] for name in ("val_accuracy", "test_accuracy")}
    board.finish({"cell": config.cell, "seed": config.seed, "data": config.data.name}, metrics)
    figures.training(run / "figures", epochs.rows, config.cell, bench.baselines)
    figures.strings(run / "figures", bench.host)
    result = {
        "cell": config.cell, "seed": config.seed, "judge": bench.judge, "best_epoch": best.epoch, **metrics,
        "last_test_accuracy": epochs.rows[-1]["test_accuracy"], "baselines": bench.baselines, "data": bench.facts,
        "parameters": sum(parameter.numel() for parameter in model.parameters()),
    }  # fmt: skip
    run.finish(result, FILES)
    checkpoint.unlink(missing_ok=True)


def job(config, experiment=None):
    """One job of train.py."""
    if not config.force and train_run(config).result():
        return
    with progress.current.job(f"{config.cell} base", config.trainer.max_epochs):
        train(config, force=config.force)

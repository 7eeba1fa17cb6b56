"""A trial of a training on one batch, before anything else starts."""

import traceback
import warnings
from pathlib import Path

import pytorch_lightning as pl
import torch

from espalier.errors import InputError
from espalier.learning.bench import Bench
from espalier.learning.evaluation import metric_of, quiet
from espalier.learning.training import short
from espalier.pruning.optimizers import check_optimizer
from espalier.runs.seeds import kept


def try_out(training, seed, cuts=()):
    """Build the network, run one batch through it and the task, and make the cuts, all on the CPU; nothing is kept.

    Raises: InputError in one line if the network does not take the data, or its outputs not the task.
    """
    with kept():
        try:
            bench = Bench(training, seed, torch.device("cpu"))
            model = bench.network()
            _logged_step(bench, model) if bench.task.logged else _step(bench, model)
            for cut in cuts:
                bench.masks(model, cut, cut.percent)
        except InputError:
            raise
        except Exception as error:  # whatever code of others may raise
            first = (str(error).splitlines() or [""])[0]
            frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "site-packages" not in frame.filename]
            where = f"{Path(frames[-1].filename).name}, line {frames[-1].lineno}"
            which = f"model={short(training.model)}, data={short(training.data)}, task={short(training.task)}"
            raise InputError(f"{which} do not go together: {type(error).__name__}: {first} ({where})") from error


def _step(bench, model):
    *inputs, targets = next(iter(bench.epoch_batches("trial")(0)))
    outputs = model(*inputs, states=())[0] if bench.carried(model) else model(*inputs)
    loss = bench.task.loss(outputs, targets)
    if not isinstance(loss, torch.Tensor) or loss.ndim:
        raise InputError(f"task={short(bench.training.task)}: its loss must be one number, a tensor without dimensions")
    total, count = bench.task.score(outputs, targets)
    bench.task.finish(torch.as_tensor(total).double(), int(count))


def _logged_step(bench, model):
    """One step of training and of validation by Lightning itself."""
    splits = [bench.epoch_batches("trial")(0), bench.batches("validation" if bench.judge == "validation" else "test")]
    trainer = pl.Trainer(fast_dev_run=1, **{key: value for key, value in quiet(bench.device).items() if key != "logger"})
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module="(pytorch_lightning|lightning_fabric)")
        trainer.fit(model, train_dataloaders=splits[0], val_dataloaders=splits[1])
    metric_of(trainer.callback_metrics, bench.task, type(model).__name__)
    for optimizer in trainer.optimizers:
        check_optimizer(optimizer)

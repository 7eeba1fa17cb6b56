"""What the stories share: data, network, judging, epochs on TensorBoard."""

import contextlib
import logging
import shutil
import time

import torch

from espalier import data
from espalier.data.baselines import baselines
from espalier.data.batching import BATCHING, Batches
from espalier.learning.classifier import Classifier
from espalier.learning.evaluation import Score, batches, evaluate
from espalier.nn import SequenceClassifier
from espalier.runs import progress
from espalier.runs.device import device
from espalier.runs.identity import identity, plain
from espalier.runs.seeds import generator, seeded

log = logging.getLogger(__name__)
_loaded = {}


def load_data(config):
    """(splits on the CPU, accuracy of every baseline); kept for the next job of this process that wants the same."""
    key = identity({"data": plain(config)})
    if key not in _loaded:
        _loaded.clear()
        splits = data.load(config)
        left = {name: splits.facts[name] for name in ("duplicates", "also_in_test") if splits.facts.get(name)}
        if left:
            told = " and ".join(f"{count} {name.replace('_', ' ')}" for name, count in left.items())
            progress.current.say(f"strings left out of train: {told}")
        _loaded[key] = splits, baselines(splits.train, splits.test)
    return _loaded[key]


class Bench:
    """The splits on their device and everything that is made of them: training batches, scores, who judges.

    `judge` is `validation`, or `test` where there is no validation split, as the study did.
    """

    def __init__(self, config, device):
        self.config, self.device = config, device
        self.host, self.baselines = load_data(config.data)
        self.splits = self.host.to(self.device)
        self.judge = "validation" if len(self.host.validation) else "test"
        self._sorted = {}

    @property
    def facts(self):
        """What the data is: numbers for result.json."""
        facts = dict(self.host.facts)
        for split in ("train", "validation", "test"):
            strings = getattr(self.host, split)
            for label, name in ((1, "valid"), (0, "invalid")):
                lengths = strings.lengths[strings.labels == label].double()
                if len(lengths):
                    facts[f"{split}_{name}"] = {
                        "strings": len(lengths), "shortest": int(lengths.min()), "longest": int(lengths.max()),
                        "mean_length": round(float(lengths.mean()), 4), "median_length": float(lengths.median()),
                    }  # fmt: skip
        return facts

    def network(self):
        """A fresh network, on the device; its weights depend on the seed alone."""
        config = self.config
        with seeded(config.seed, "init"):
            model = SequenceClassifier(
                config.cell, tuple(config.model.hidden), embedding=config.model.embedding,
                readout=config.model.readout.name, init=config.model.init.name,
            )  # fmt: skip
        return model.to(self.device)

    def classifier(self, model, *purpose):
        """The `Classifier` that trains `model`, its batches drawn for (purpose, epoch)."""
        config, strings = self.config.data, self.host.train

        def epoch_batches(epoch):
            order = generator(self.config.seed, "order", *purpose, epoch)
            make = BATCHING[config.batching.name]
            return Batches(self.splits.train, make(strings.lengths, strings.labels, config.batch_size, order))

        return Classifier(model, epoch_batches, self.config.optimizer)

    def score(self, model, split, *moment):
        """`Score` on `validation` or `test`. moment: when, for the order of batches where it matters (`last_step`)."""
        if not len(getattr(self.splits, split)):
            return Score()
        if self.config.model.readout.name == "last_token":
            if split not in self._sorted:
                self._sorted[split] = batches(getattr(self.splits, split))
            return evaluate(model, self._sorted[split])
        order = generator(self.config.seed, "evaluation", split, *moment)
        return evaluate(model, batches(getattr(self.splits, split), self.config.data.batch_size, order))

    def row(self, model, train, *moment):
        """The loss and accuracy columns of one row, and the `Score` that judges."""
        scores = {split: self.score(model, split, *moment) for split in ("validation", "test")}
        columns = train.columns("train") | scores["validation"].columns("val") | scores["test"].columns("test")
        return columns, scores[self.judge]


@contextlib.contextmanager
def bench_of(config):
    """The `Bench` of a configuration, which holds its device for as long as the block runs."""
    torch.set_num_threads(config.threads)
    load_data(config.data)
    with device(config.device) as chosen:
        yield Bench(config, chosen)


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
    """TensorBoard events of one run or level, under fixed tags, with its hyper-parameters and final metrics.

    Tags: `{train,val,test}/{loss,accuracy}` by epoch; `final/...` beside the hyper-parameters.
    """

    def __init__(self, directory, enabled):
        self.logger = None
        shutil.rmtree(directory, ignore_errors=True)  # of an attempt that was interrupted; its rows come back by `start`
        if enabled:
            from pytorch_lightning.loggers import TensorBoardLogger

            self.logger = TensorBoardLogger(directory.parent, "", directory.name, default_hp_metric=False)

    def start(self, rows):
        """Write the rows that a checkpoint brought back."""
        for row in rows:
            self.row(row)

    def values(self, values, step):
        """Scalars by tag; those that are None are left out."""
        if self.logger:
            self.logger.log_metrics({tag: value for tag, value in values.items() if value is not None}, step)
            self.logger.save()

    def row(self, row):
        self.values(
            {f"{split}/{what}": row[f"{split}_{what}"] for split in ("train", "val", "test") for what in ("loss", "accuracy")},
            row["epoch"],
        )

    def finish(self, parameters, metrics):
        if self.logger:
            final = {f"final/{name}": value for name, value in metrics.items() if value is not None}
            self.logger.log_hyperparams(parameters, final)
            self.logger.finalize("success")


def weights_of(model):
    """The model's state dict, copied to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

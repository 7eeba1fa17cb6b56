"""Run a training: find it, or train it, going on where it was interrupted. The only place that trains."""

import contextlib
import hashlib
import logging
import math
from dataclasses import dataclass

import pytorch_lightning as pl
import torch

from espalier.errors import InputError
from espalier.learning.bases import load_base, rebuild
from espalier.learning.bench import Bench, load_data
from espalier.learning.board import Board, Clock
from espalier.learning.evaluation import Score
from espalier.learning.fit import Epochs, fit
from espalier.learning.training import Training, place
from espalier.pruning.callback import Pruning
from espalier.runs import files, progress
from espalier.runs.device import device
from espalier.runs.run import Run

log = logging.getLogger(__name__)

#: A level and a base keep the same files.
FILES = ("best.pt", "last.pt")


@dataclass(frozen=True)
class Trained:
    """What a training came to. `result` is what its result.json says: rows, kept and total weights, regain, judge, ..."""

    training: Training
    run: Run
    result: dict

    @property
    def rows(self):
        """A dict per epoch: epoch, loss and score on every split, seconds; epoch 0, right after the cut, of what was cut."""
        return self.result["rows"]

    @property
    def total(self):
        """Number of weights that competed in the cut."""
        return self.result["total"]

    @property
    def regained(self):
        return self.result["regain"]["epoch"] is not None

    def file(self, weights):
        """The file of the weights `best` or `last`."""
        return self.run / f"{weights}.pt"

    def load(self, weights="last"):
        """The content of that file."""
        return files.load_tensors(self.file(weights), "level" if self.training.cut else "base")


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


class Runner:
    """Finds or trains trainings, all with one seed: `runner(training)` is a `Trained`.

    outputs: root of all runs; device: `auto`, `cpu`, `cuda` or `cuda:N`, held only while there is something to train; boards:
    whether trainings that are given no `Board` write TensorBoard events beside their weights.
    """

    def __init__(self, outputs, seed, threads=1, device="auto", boards=False):
        self.outputs, self.seed, self.threads, self.device, self.boards = outputs, seed, threads, device, boards
        self._before = {}  # file of a reference -> its columns and judged score
        self._known = {}  # directory -> `Trained` that was looked at: chains of levels are not walked again and again

    def find(self, training):
        """The `Trained` of a training that is done, else None."""
        run = place(training, self.outputs, self.seed)
        if run.directory not in self._known:
            result = run.result()
            if result is None or result["starts"] != self.digests(training):
                return None
            self._known[run.directory] = Trained(training, run, result)
        return self._known[run.directory]

    def __call__(self, training, again=False, **shown):
        """shown: board (a `Board`), label (for the progress), lines (whether an epoch is worth one).

        again: train although it is done.  Whoever wants the same training waits. What it needs is trained first.
        """
        run = place(training, self.outputs, self.seed)
        if again:
            self._known.pop(run.directory, None)
        elif run.directory in self._known:
            return self._known[run.directory]
        for start in starts_of(training):
            if start.training:
                self(start.training, label="base", lines=True)
        with run.alone():
            found = None if again else self.find(training)
            if found is None:
                with run.logging("training"), self.bench(training) as bench:
                    _Attempt(self, training, run, bench, again, **shown).train()
                found = self.find(training)
        return found

    @contextlib.contextmanager
    def bench(self, training):
        """The `Bench` of a training, on a device that is held as long as the block runs."""
        torch.set_num_threads(self.threads)
        load_data(training.data)  # before a device is held
        with device(self.device) as held:
            yield Bench(training, self.seed, held)

    def weights_file(self, start):
        """The file that a `Start` names; a training has to be done.  Raises: InputError."""
        if start.file is not None:
            return start.file
        found = self.find(start.training)
        if found is None:
            raise InputError(f"{place(start.training, self.outputs, self.seed).directory} is missing or damaged")
        return found.file(start.weights)

    def digests(self, training):
        """Of the files that a training starts from, ranks and refers to, as they are now; None of one that is missing."""
        found = []
        for start in starts_of(training):
            try:
                found.append(files.digest(self.weights_file(start)))
            except InputError:
                found.append(None)
        return found

    def network(self, bench, start):
        """The network of a training with the weights of a start, on the bench's device."""
        file = self.weights_file(start)
        if start.file is not None:
            return load_base(file, bench.training.model, bench.host.sizes).to(bench.device)
        content = files.load_tensors(file, "base")
        if content["sizes"]:  # those of a base file may be others than are configured
            return rebuild(content).to(bench.device)
        model = bench.network()
        model.load_state_dict(content["state_dict"])
        return model

    def before(self, bench, reference):
        """The columns and the judged `Score` of a reference as it is, which many levels share."""
        file = str(self.weights_file(reference))
        if file not in self._before:
            self._before[file] = bench.row(self.network(bench, reference), Score(), "base")
        return self._before[file]


def starts_of(training):
    """What a training needs: the starts of its weights, of its ranks and of its reference, as far as it has them."""
    starts = training.start, training.cut and training.cut.ranked, training.regaining and training.regaining.reference
    return [start for start in starts if start]


class _Attempt:
    """One attempt at a training that is not done."""

    def __init__(self, runner, training, run, bench, again, board=None, label=None, lines=False):
        self.runner, self.training, self.run, self.bench = runner, training, run, bench
        self.label, self.lines = label, lines
        self.digests = runner.digests(training)
        # A checkpoint goes on from what it started with, and from nothing else.
        mark = hashlib.sha256(" ".join(self.digests).encode()).hexdigest()[:8]
        self.checkpoint = run / (f"training-{mark}.ckpt" if self.digests else "training.ckpt")
        if again:
            self.checkpoint.unlink(missing_ok=True)
        self.seconds, self.best, self.pruning, self.base = Clock(), Best(), None, None
        self.cut_rows, self.masks = [], None
        run.start()
        self.model = self.start()
        self.own_board = board is None
        self.board = board or Board(run / "tensorboard" if runner.boards else None)

    def start(self):
        """The network that training begins with, cut if there is a cut."""
        training, bench = self.training, self.bench
        if training.start is None:
            return bench.network()
        model = self.runner.network(bench, training.start)
        if training.cut:
            self.base = self.runner.before(bench, training.regaining.reference)
            self.cut(model)
        return model

    def cut(self, model):
        training, cut = self.training, self.training.cut
        ranked = self.runner.network(self.bench, cut.ranked) if cut.ranked else model
        self.masks = self.bench.masks(ranked, cut, cut.percent)
        self.masks.weights(model)
        columns, judged = self.bench.row(model, Score(), *training.purpose, 0)
        self.cut_rows = [{"epoch": 0, **columns, "seconds": self.seconds()}]
        self.pruning = Pruning(
            masks=self.masks.within("model"), base=self.base[1].accuracy, tolerance=training.regaining.tolerance
        )
        self.pruning.record(judged.accuracy, 0, 0)
        self.best.offer(judged, 0, model)

    def train(self):
        training, regaining = self.training, self.training.regaining
        self.board.start(self.cut_rows)

        def start(rows):
            self.seconds.after(rows)
            self.board.start(rows)

        epochs = Epochs(self.end_of_epoch, self.stop, self.look, regaining.checks_per_epoch if regaining else 1, start)
        if training.epochs and not self.stop():
            classifier = self.bench.classifier(self.model, *training.purpose)
            callbacks = [*([self.pruning] if self.pruning else []), self.best, epochs]
            fit(classifier, self.bench.device, training.epochs, training.clip_norm, callbacks, self.checkpoint)
        rows = [*self.cut_rows, *epochs.rows] or [self.untrained()]
        self.save(rows)

    def untrained(self):
        """The row of a network that is neither cut nor trained."""
        columns, judged = self.bench.row(self.model, Score(), *self.training.purpose, 0)
        self.best.offer(judged, 0, self.model)
        return {"epoch": 0, **columns, "seconds": self.seconds()}

    def stop(self):
        regaining = self.training.regaining
        return bool(self.pruning and regaining.stop and not self.pruning.regain.censored)

    def look(self, epoch, step, classifier):
        """Between the ends of epochs."""
        if self.pruning and self.pruning.regain.censored:
            now = self.bench.score(self.model, self.bench.judge, *self.training.purpose, epoch, step)
            self.pruning.record(now.accuracy, epoch, step)

    def end_of_epoch(self, epoch, step, classifier):
        training, bench = self.training, self.bench
        last = epoch == training.epochs
        if training.looks == "epochs" or last:
            moment = (*training.purpose, epoch) if training.looks == "epochs" else training.purpose
            columns, judged = bench.row(self.model, classifier.train_score(), *moment)
        else:
            columns, judged = classifier.train_score().columns("train") | Score().columns("val") | Score().columns("test"), None
        if self.pruning is None and training.looks == "epochs":
            self.refuse_divergence(epoch, columns, judged)
        if judged:
            self.best.offer(judged, epoch, self.model)
        if self.pruning:
            self.pruning.record(judged.accuracy, epoch, step)
        row = {"epoch": epoch, **columns, "seconds": self.seconds()}
        self.board.row(row)
        log.info("epoch %d: %s", epoch, columns)
        if self.label:
            now = f"{self.label}, epoch {epoch}/{training.epochs}, {bench.judge} accuracy {judged.accuracy:.4f}"
            progress.current.advance(1, now, line=self.lines and (epoch % 10 == 0 or last))
        return row

    def refuse_divergence(self, epoch, columns, judged):
        if not math.isfinite(columns["train_loss"]) or not math.isfinite(judged.loss):
            optimizer = self.training.optimizer
            raise InputError(
                f"training diverged in epoch {epoch} (loss {columns['train_loss']:g}); "
                f"lower optimizer.lr={optimizer['lr']:g} or trainer.clip_norm={self.training.clip_norm:g}"
            )

    def save(self, rows):
        bench, model, run = self.bench, self.model, self.run
        about = {"cell": getattr(model, "cell", None), "sizes": getattr(model, "sizes", None)}
        about |= {"masks": self.masks.state_dict()} if self.masks else {}
        files.save_tensors(run / "best.pt", {**about, "epoch": self.best.epoch, "state_dict": self.best.weights})
        files.save_tensors(run / "last.pt", {**about, "epoch": rows[-1]["epoch"], "state_dict": weights_of(model)})
        regain = self.pruning and self.pruning.regain
        result = {
            "rows": rows, "judge": bench.judge, "best_epoch": self.best.epoch, "baselines": bench.host.baselines,
            "data": bench.facts,
            "parameters": sum(parameter.numel() for parameter in model.parameters()), "active": getattr(model, "active", None),
            "kept": self.masks and self.masks.kept, "total": self.masks and self.masks.total,
            "regain": regain and {"epoch": regain.epoch, "step": regain.step},
            "before": self.base and self.base[0], "base": self.base and self.base[1].accuracy,
            "starts": self.digests,
        }  # fmt: skip
        run.finish(result, FILES)
        self.checkpoint.unlink(missing_ok=True)
        if self.own_board:
            row = next(row for row in rows if row["epoch"] == self.best.epoch)
            scores = {name: row[name] for name in ("val_accuracy", "test_accuracy")}
            self.board.finish({"training": run.name, "seed": self.runner.seed}, scores)


def weights_of(model):
    """The model's state dict, copied to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

"""Run a training: find it, or train it, going on where it was interrupted. The only place that trains."""

import contextlib
import dataclasses
import hashlib
import logging
import math
from dataclasses import dataclass

import pytorch_lightning as pl
import torch

from espalier.errors import InputError
from espalier.learning.bases import load_base, load_own, rebuild
from espalier.learning.bench import Bench, load_data
from espalier.learning.board import Board, Clock
from espalier.learning.evaluation import Score
from espalier.learning.feeds import Feed
from espalier.learning.fit import Epochs, fit
from espalier.learning.growing import Growing
from espalier.learning.training import Training, place
from espalier.pruning.callback import Pruning
from espalier.runs import files, progress
from espalier.runs.device import device
from espalier.runs.run import Run
from espalier.runs.seeds import kept

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
    """Remembers the weights of the epoch that was judged best (of equals, with the lowest loss)."""

    def __init__(self):
        self.rank, self.epoch, self.weights = None, None, None

    def offer(self, score, epoch, model):
        if self.rank is None or score.rank > self.rank:
            self.rank, self.epoch, self.weights = score.rank, epoch, weights_of(model)

    def state_dict(self):
        return {"rank": self.rank, "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict):
        self.rank, self.epoch, self.weights = (state_dict[name] for name in ("rank", "epoch", "weights"))


class Runner:
    """Finds or trains trainings, all with one seed: `runner(training)` is a `Trained`.

    outputs: root of all runs; device: `auto`, `cpu`, `cuda` or `cuda:N`, held only while there is something to train; logger:
    what trainings that are given no `Board` write beside their weights, as for `Board`.
    """

    def __init__(self, outputs, seed, threads=1, device="auto", logger=None):
        self.outputs, self.seed, self.threads, self.device, self.logger = outputs, seed, threads, device, logger
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
            if bench.ours:
                return load_base(file, bench.training.model, bench.host.sizes).to(bench.device)
            return load_own(file, bench.network())
        content = files.load_tensors(file, "base")
        if content["sizes"] and bench.ours:  # those of a base file may be others than are configured
            return rebuild(content).to(bench.device)
        model = bench.network()
        model.load_state_dict(content["state_dict"])
        return model

    def before(self, bench, reference):
        """The columns and the judged `Score` of a reference as it is, which many levels share."""
        file = str(self.weights_file(reference))
        if file not in self._before:
            self._before[file] = bench.row(self.network(bench, reference), Score(bench.task), "base")
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
        self.seconds, self.best, self.pruning, self.growing, self.base = Clock(), Best(), None, None, None
        self.cut_rows, self.masks = [], None
        run.start()
        self.model = self.start()
        self.own_board = board is None
        self.board = board or Board(run.directory, runner.logger, bench.task.metric)

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
        training, cut, bench = self.training, self.training.cut, self.bench
        metric, base = bench.task.metric, self.base[1].value
        ranked = self.runner.network(bench, cut.ranked) if cut.ranked else model
        self.masks = bench.masks(ranked, cut, cut.percent)
        before = weights_of(model)
        self.masks.weights(model)
        columns, judged = bench.row(model, Score(bench.task), *training.purpose, 0)
        self.cut_rows = [{"epoch": 0, **columns, "seconds": self.seconds()}]
        self.pruning = Pruning(
            masks=bench.within(self.masks), base=base, tolerance=metric.allowed(base, training.regaining.tolerance),
            higher=metric.higher,
        )  # fmt: skip
        if training.during:  # the row says what the same cut costs at once
            model.load_state_dict(before)
            self.growing = Growing(self.pruning, lambda percent: bench.within(bench.masks(model, cut, percent)), cut.percent,
                                   training.during, training.epochs)  # fmt: skip
        else:
            self.pruning.record(judged.value, 0, 0)
            self.best.offer(judged, 0, model)

    @property
    def whole(self):
        """Whether nothing is left to be cut."""
        return self.growing is None or self.growing.done

    def train(self):
        training, regaining, bench = self.training, self.training.regaining, self.bench
        self.board.start(self.cut_rows)

        def start(rows):
            self.seconds.after(rows)
            self.board.start(rows)

        epochs = Epochs(self.end_of_epoch, self.stop, self.look, regaining.checks_per_epoch if regaining else 1, start)
        if training.epochs and not self.stop():
            learner, needed, self.train_score = bench.learner(self.model)
            own = [callback for callback in (self.pruning, self.growing) if callback]
            feed = Feed(bench.epoch_batches(*training.purpose))
            with kept():
                callbacks = [*own, *needed, self.best, epochs]
                fit(learner, feed, bench.device, training.epochs, training.clip_norm, callbacks, self.checkpoint)
        self.save([*self.cut_rows, *epochs.rows] or [self.untrained()])

    def untrained(self):
        """The row of a network that is neither cut nor trained."""
        columns, judged = self.bench.row(self.model, Score(self.bench.task), *self.training.purpose, 0)
        self.best.offer(judged, 0, self.model)
        return {"epoch": 0, **columns, "seconds": self.seconds()}

    def stop(self):
        regaining = self.training.regaining
        return bool(self.pruning and regaining.stop and not self.pruning.regain.censored)

    def look(self, epoch, step):
        """Between the ends of epochs."""
        if self.pruning and self.pruning.regain.censored and self.whole:
            now = self.bench.score(self.model, self.bench.judge, *self.training.purpose, epoch, step)
            self.pruning.record(now.value, epoch, step)

    def end_of_epoch(self, epoch, step):
        training, bench, train_score = self.training, self.bench, self.train_score()
        last = epoch == training.epochs
        if training.looks == "epochs" or last:
            moment = (*training.purpose, epoch) if training.looks == "epochs" else training.purpose
            columns, judged = bench.row(self.model, train_score, *moment)
        else:
            nothing = Score(bench.task)
            columns, judged = train_score.columns("train") | nothing.columns("val") | nothing.columns("test"), None
        if self.pruning is None and training.looks == "epochs":
            self.refuse_divergence(epoch, columns, judged)
        if judged and self.whole:
            self.best.offer(judged, epoch, self.model)
        if self.pruning and self.whole:
            self.pruning.record(judged.value, epoch, step)
        row = {"epoch": epoch, **columns, "seconds": self.seconds()}
        self.board.row(row)
        log.info("epoch %d: %s", epoch, columns)
        if self.label:
            now = f"{self.label}, epoch {epoch}/{training.epochs}, {bench.judge} {bench.task.metric.name} {judged.value:.4f}"
            progress.current.advance(1, now, line=self.lines and (epoch % 10 == 0 or last))
        return row

    def refuse_divergence(self, epoch, columns, judged):
        loss = columns["train_loss"]
        if not all(math.isfinite(value) for value in (loss, judged.loss, judged.value) if value is not None):
            if self.bench.task.logged:
                raise InputError(f"training diverged in epoch {epoch} (loss {loss}); lower the learning rate of the model")
            optimizer = self.training.optimizer
            raise InputError(
                f"training diverged in epoch {epoch} (loss {loss:g}); "
                f"lower optimizer.lr={optimizer['lr']:g} or trainer.clip_norm={self.training.clip_norm:g}"
            )

    def save(self, rows):
        bench, model, run = self.bench, self.model, self.run
        about = {"cell": getattr(model, "cell", None), "sizes": getattr(model, "sizes", None)}
        if self.growing and self.growing.masks:
            self.masks = bench.without(self.growing.masks)
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
            "before": self.base and self.base[0], "base": self.base and self.base[1].value,
            "task": dataclasses.asdict(bench.task.metric),
            "starts": self.digests,
        }  # fmt: skip
        run.finish(result, FILES)
        self.checkpoint.unlink(missing_ok=True)
        if self.own_board:
            row = next(row for row in rows if row["epoch"] == self.best.epoch)
            scores = {name: row[name] for name in (f"{split}_{bench.task.metric.name}" for split in ("val", "test"))}
            self.board.finish({"training": run.name, "seed": self.runner.seed}, scores)


def weights_of(model):
    """The model's state dict, copied to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

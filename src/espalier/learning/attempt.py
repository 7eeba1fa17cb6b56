"""One attempt at a training that is not done. The only place that trains."""

import dataclasses
import hashlib
import logging
import math

import pytorch_lightning as pl

from espalier.errors import InputError
from espalier.learning.board import Board, Clock
from espalier.learning.evaluation import Score
from espalier.learning.feeds import Feed
from espalier.learning.fit import Epochs, fit
from espalier.learning.growing import Growing
from espalier.learning.patience import Falling, fallen, since
from espalier.learning.training import short
from espalier.pruning.callback import Pruning
from espalier.pruning.redrawn import rescale
from espalier.runs import files, progress
from espalier.runs.seeds import kept

log = logging.getLogger(__name__)

#: A level and a base keep the same files.
FILES = ("best.pt", "last.pt")


class Best(pl.Callback):
    """Remembers the weights of the moment that was judged best (of equals, with the lowest loss): the end of an epoch, or when
    regain was confirmed, of which it keeps the row.
    """

    def __init__(self):
        self.rank, self.epoch, self.weights, self.confirmed = None, None, None, None

    def offer(self, score, epoch, model):
        if self.rank is None or score.rank > self.rank:
            self.rank, self.epoch, self.weights = score.rank, epoch, weights_of(model)

    def state_dict(self):
        return {name: getattr(self, name) for name in ("rank", "epoch", "weights", "confirmed")}

    def load_state_dict(self, state_dict):
        self.rank, self.epoch, self.weights = (state_dict[name] for name in ("rank", "epoch", "weights"))
        self.confirmed = state_dict.get("confirmed")


class Attempt:
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
        self.cut_rows, self.masks, self.zeros = [], None, None
        run.start()
        self.model = self.start()
        self.own_board = board is None
        self.board = board or Board(run.directory, None if training.cut else runner.logger, bench.task.metric)

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
        brought = self.runner.network(bench, training.regaining.reference) if training.regaining.reference.file else None

        def masks_of(network, percent):
            masks = bench.masks(network, cut, percent)
            if brought is not None and cut.structure != "unit":  # what somebody pruned before stays so
                masks, self.zeros = masks.besides(brought)
            return masks

        self.masks = masks_of(ranked, cut.percent)
        before = weights_of(model)
        if cut.ranked:  # whose weights, not these, would make up for what goes
            self.masks.weights(model)
            if training.start.rescaled:
                rescale(model, self.masks)
        else:
            self.masks.cut(model)
        columns, judged = bench.row(model, Score(bench.task), *training.purpose, 0)
        self.cut_rows = [{"epoch": 0, **columns, "seconds": self.seconds()}]
        self.pruning = Pruning(
            masks=bench.within(self.masks), base=base, tolerance=metric.allowed(base, training.regaining.tolerance),
            higher=metric.higher, patience=training.regaining.patience or 1,
        )  # fmt: skip
        if training.during:  # the row says what the same cut costs at once
            model.load_state_dict(before)
            self.growing = Growing(self.pruning, lambda percent: bench.within(masks_of(model, percent)), cut.percent,
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

        looks = regaining.checks_per_epoch if regaining else 1
        self.epochs = epochs = Epochs(self.end_of_epoch, self.stop, self.look, looks, start)
        if training.epochs and not self.stop():
            learner, needed, self.train_score = bench.learner(self.model)
            own = [callback for callback in (self.pruning, self.growing) if callback]
            own += [Falling(self.judged, training.plateau, training.optimizer["lr"])] if training.plateau else []
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
        return bool(self.pruning and regaining.stop and not self.pruning.regain.censored) or self.stalled()

    def stalled(self):
        """Whether the last epochs of all brought nothing, after which patience is at an end."""
        patience, plateau = self.training.patience, self.training.plateau
        if plateau is not None and fallen(self.judged(), plateau, self.training.optimizer["lr"])[1]:
            return True
        return patience is not None and self.whole and since(self.judged(), patience) >= patience.epochs

    def judged(self):
        """What judged every epoch, more is better, from the one on at whose end all of the cut was done."""
        metric = self.bench.task.metric
        column = f"{'val' if self.bench.judge == 'validation' else 'test'}_{metric.name}"
        first = math.ceil(self.training.during.ramp * self.training.epochs) if self.training.during else 0
        rows = [*self.cut_rows, *self.epochs.rows]
        return [metric.better(row[column]) for row in rows if row["epoch"] >= first]

    def look(self, epoch, step):
        """Between the ends of epochs.  Where regain is confirmed by several looks, training ends there (True) or the moment is
        noted down; with one look, as it was before there were several, it goes on to the end of the epoch.
        """
        if not (self.pruning and self.pruning.regain.censored and self.whole):
            return False
        bench, regaining, moment = self.bench, self.training.regaining, (*self.training.purpose, epoch, step)
        now = bench.score(self.model, bench.judge, *moment)
        if not self.pruning.record(now.value, epoch, step) or regaining.patience is None:
            return False
        if not regaining.stop:
            columns, judged = bench.row(self.model, Score(bench.task), *moment)
            self.best.offer(judged, epoch, self.model)
            self.best.confirmed = {"epoch": epoch, "step": step, **columns}
        return regaining.stop

    def end_of_epoch(self, epoch, step, of_step):
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
        row = {"epoch": epoch, **columns, "seconds": self.seconds(), **of_step}
        self.board.row(row)
        log.info("epoch %d: %s", epoch, columns)
        if self.label:
            now = f"{self.label}, epoch {epoch}/{training.epochs}, {bench.judge} {bench.task.metric.name} {judged.value:.4f}"
            of = "levels" if training.cut else "base"
            progress.current.advance(1, now, line=self.lines and (epoch % 10 == 0 or last), of=of)
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
            "rows": rows, "judge": bench.judge, "best_epoch": self.best.epoch, "baselines": bench.baselines,
            "judge_baselines": bench.judge_baselines, "bounds": bench.bounds,
            "data": bench.facts,
            "parameters": sum(parameter.numel() for parameter in model.parameters()), "active": getattr(model, "active", None),
            "kept": self.masks and self.masks.kept, "total": self.masks and self.masks.total,
            "zeros": self.zeros,
            "regain": regain and {"epoch": regain.epoch, "step": regain.step}, "confirmed": self.best.confirmed,
            "before": self.base and self.base[0], "base": self.base and self.base[1].value, "error": self.base and self.base[2],
            "task": dataclasses.asdict(bench.task.metric),
            "starts": self.digests,
        }  # fmt: skip
        run.finish(result, FILES)
        self.checkpoint.unlink(missing_ok=True)
        if self.own_board:
            row = next(row for row in rows if row["epoch"] == self.best.epoch)
            scores = {name: row[name] for name in (f"{split}_{bench.task.metric.name}" for split in ("val", "test"))}
            self.board.finish(self.parameters(), scores)

    def parameters(self):
        """What a logger is told of a training, under the names of the configuration."""
        training = self.training
        told = {"cell": training.model.get("cell") or short(training.model), "seed": self.runner.seed}
        told |= {"model": {"hidden": training.model["hidden"]}} if "hidden" in training.model else {}
        told |= {"optimizer": {key: training.optimizer.get(key) for key in ("name", "lr")}}
        return told | {"trainer": {"max_epochs": training.epochs}}


def weights_of(model):
    """The model's state dict, copied to the CPU."""
    return {name: value.detach().cpu().clone() for name, value in model.state_dict().items()}

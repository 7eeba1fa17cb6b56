"""Prune: cut the base at every level, see what it costs, retrain, see when it is regained."""

import itertools
import logging
import shutil
from pathlib import Path

from torch.nn import functional as F

from espalier import published
from espalier.analysis import figures
from espalier.errors import InputError
from espalier.experiments.common import Board, Clock, bench_of, weights_of
from espalier.experiments.config import Model
from espalier.experiments.plan import base_run, label, prune_run
from espalier.experiments.train import train
from espalier.learning.evaluation import Score
from espalier.learning.fit import Epochs, fit
from espalier.pruning import make_masks, recurrent_weights
from espalier.pruning.callback import Pruning
from espalier.runs import files, progress
from espalier.runs.seeds import generator

log = logging.getLogger(__name__)

JOB = ("cell", "target", "score", "scope")
COLUMNS = (
    *JOB, "percent", "seed", "epoch", "train_loss", "train_accuracy", "val_loss", "val_accuracy", "test_loss",
    "test_accuracy", "kept", "total", "seconds",
)  # fmt: skip
SUMMARY = (
    *JOB, "percent", "seed", "judge", "kept", "total", "base_val_accuracy", "base_test_accuracy", "cut_val_accuracy",
    "cut_test_accuracy", "regain_epoch", "regain_step", "censored", "best_epoch", "best_val_accuracy",
    "best_test_accuracy", "epochs", "seconds",
)  # fmt: skip
CURVE = (*JOB, "seed", "percent", "judge", "accuracy", "loss")
SURVIVORS = (*JOB, "seed", "percent", "layer", "kind", "gate", "kept", "total")
#: Batches of training strings that scores of units look at.
SCORE_BATCHES = 16
FILES = ("results.csv", "summary.csv", "curve.csv", "survivors.csv")


def job(config, experiment=None):
    """One job of prune.py: all levels of one cell, target, score, scope and seed."""
    base = base_run(config)
    needs_base = base is not None and not base.result()
    units = needs_base * config.trainer.max_epochs + len(config.percent) * (1 + config.retrain.max_epochs) + 5
    with progress.current.job(f"{config.cell} {label(config)}", units):
        study(config)


def study(config):
    """The same without a place of its own in the progress. Waits for whoever is at the same run."""
    run = prune_run(config)
    with run.alone():
        if config.force or not run.result():
            with run.logging("prune"):
                model, path = base_network(config)  # a job that waits for its base holds no device
                with bench_of(config) as bench:
                    _Study(config, run, bench, model, path).run_all()


def base_network(config):
    """(the base on the CPU, its file): from the file `base`, or trained, here or by whoever was first."""
    if config.base is not None:
        return load_base(config), Path(config.base)
    path = train(config) / f"{config.base_weights.name}.pt"
    content = files.load_tensors(path, "base")
    return published.build(content["state_dict"], config.cell, config.model.readout.name), path


def load_base(config):
    """The network in the file `base`: a checkpoint of ours, a state dict of `SequenceClassifier`, or a published one.

    Raises: InputError naming the file: missing, truncated, carrying code, of another cell, sizes that do not fit.
    """
    path = config.base
    content = files.load_tensors(path, "base")
    readout = config.model.readout.name
    try:
        if not isinstance(content, dict):
            raise InputError("not a state dict")
        if isinstance(content.get("state_dict"), dict):
            if content.get("cell", config.cell) != config.cell:
                raise InputError(f"holds cell {content['cell']}, asked for cell={config.cell}")
            sizes = content.get("sizes")
            trained = sizes.get("readout", readout) if isinstance(sizes, dict) else readout
            if trained != readout:
                raise InputError(f"was trained with model.readout={trained}, asked for {readout}")
            content = content["state_dict"]
        content, wrapper = published.without_wrapper(content)
        if wrapper:
            progress.current.say(f"note: base {path}: all its keys begin with {wrapper!r}, which is left out")
        if published.is_published(content):
            if readout != "last_step":
                progress.current.say(f"note: published networks were trained with model.readout=last_step; {readout} is read")
            model = published.sequence_classifier(content, config.cell, readout)
        else:
            model = published.build(content, config.cell, readout)
        asked = [config.model.hidden, config.model.embedding]
        found = [model.sizes["hidden"], model.sizes["embedding"]]
        if asked[0] not in (Model().hidden, found[0]) or asked[1] not in (None, found[1]):
            raise InputError(
                f"has hidden={found[0]}, embedding={found[1]}; model asks for hidden={asked[0]}, embedding={asked[1]}"
            )
        return model
    except InputError as error:
        raise InputError(f"base {path}: {error}") from None


class _Study:
    """What the levels of one job have in common."""

    def __init__(self, config, run, bench, model, base_file):
        self.config, self.run, self.bench, self.base_file = config, run, bench, base_file
        self.model = model.to(bench.device)
        self.weights, self.base_digest = weights_of(model), files.digest(base_file)
        self.job = {"cell": config.cell, "target": label(config), "score": config.score, "scope": config.scope.name}

    def run_all(self):
        config, run = self.config, self.run
        if config.force:
            shutil.rmtree(run / "levels", ignore_errors=True)
        run.start()
        self.check_data_fits()

        base = self.base_row()
        levels = [self.level(percent) for percent in config.percent]
        curve = self.curve() if config.curve else []

        rows = [*([] if 0 in config.percent else [base]), *(row for level in levels for row in level["rows"])]
        summaries = [level["summary"] for level in levels]
        survivors = [row for level in levels for row in level["survivors"]]
        files.write_rows(run / "results.csv", COLUMNS, rows)
        files.write_rows(run / "summary.csv", SUMMARY, summaries)
        files.write_rows(run / "curve.csv", CURVE, curve)
        files.write_rows(run / "survivors.csv", SURVIVORS, survivors)
        baselines = self.bench.baselines
        figures.pruning(run / "figures", summaries, curve, rows, survivors, baselines)
        result = {
            **self.job, "seed": config.seed, "judge": self.bench.judge, "baselines": baselines, "data": self.bench.facts,
            "base": str(self.base_file), "base_accuracy": self.base.accuracy,
        }  # fmt: skip
        run.finish(result, (*FILES, *(f"levels/{percent}.pt" for percent in config.percent)))

    def check_data_fits(self):
        highest = max(int(getattr(self.bench.host, split).tokens.max()) for split in ("train", "test"))
        sizes = self.model.sizes
        if highest >= sizes["codes"] or sizes["classes"] != 2:
            raise InputError(
                f"base {self.base_file}: {sizes['codes']} codes and {sizes['classes']} classes; "
                f"the data needs {highest + 1} codes and 2 classes"
            )

    def restore(self):
        self.model.load_state_dict(self.weights)

    def row(self, percent, epoch, columns, kept, total, seconds):
        return {
            **self.job, "percent": percent, "seed": self.config.seed, "epoch": epoch, **columns, "kept": kept,
            "total": total, "seconds": seconds,
        }  # fmt: skip

    def base_row(self):
        """Percent 0: the base as it is."""
        seconds = Clock()
        columns, self.base = self.bench.row(self.model, Score(), "base")
        self.base_columns = columns
        self.total = self.masks(0).total
        return self.row(0, 0, columns, self.total, self.total, seconds())

    def masks(self, percent):
        """The masks of a level of the base, which is in `self.model`."""
        config = self.config
        if config.score == "taylor":
            self.model.zero_grad()
            for tokens, lengths, labels in self.some_batches():
                F.cross_entropy(self.model(tokens, lengths), labels, reduction="sum").backward()
        masks = make_masks(
            self.model, target=config.target.name, percent=percent, score=config.score, scope=config.scope.name,
            rule=config.rule.name, generator=generator(config.seed, "score", percent), structure=config.structure.name,
            block=tuple(config.block),
            data=[batch[:2] for batch in self.some_batches()] if config.score == "activation" else None,
        )  # fmt: skip
        self.model.zero_grad()
        return masks

    def some_batches(self):
        """Training batches for scores that look at data, the same at every level."""
        return list(itertools.islice(self.bench.classifier(self.model, "score").epoch_batches(0), SCORE_BATCHES))

    def level(self, percent):
        """Cut the base to `percent` and retrain: rows by epoch, the summary and the survivors. Kept once it is done."""
        path = self.run / "levels" / f"{percent}.json"
        known = files.read_json(path)
        whole = isinstance(known, dict) and path.with_name(f"{percent}.pt").exists()
        if path.exists() and not whole:
            log.warning("%s is damaged; the level is done again", path)
        if not whole or known.get("base") != self.base_digest:
            known = self.cut_and_retrain(percent, self.run / "levels" / f"{percent}-{self.base_digest[:8]}.ckpt")
            files.write_json(path, {**known, "base": self.base_digest})
        self.progress(known["summary"])
        return known

    def cut_and_retrain(self, percent, checkpoint):
        config, bench, model = self.config, self.bench, self.model
        seconds = Clock()
        self.restore()
        masks = self.masks(percent)
        masks.weights(model)
        survivors = self.survivors(percent, masks)
        board = Board(self.run / "tensorboard" / f"percent_{percent}", config.logger.tensorboard)
        pruning = Pruning(masks=masks.within("model"), base=self.base.accuracy, tolerance=config.regain.tolerance)

        def start(rows):
            seconds.after(rows)
            board.start(rows)

        columns, judged = bench.row(model, Score(), "prune", percent, 0)
        cut = self.row(percent, 0, columns, masks.kept, masks.total, seconds())
        board.row(cut)
        pruning.record(judged.accuracy, 0, 0)

        def regained():
            return config.retrain.mode.name == "until_regained" and not pruning.regain.censored

        def check(epoch, step, classifier):
            if pruning.regain.censored:
                now = bench.score(model, bench.judge, "prune", percent, epoch, step)
                pruning.record(now.accuracy, epoch, step)

        def end(epoch, step, classifier):
            columns, judged = bench.row(model, classifier.train_score(), "prune", percent, epoch)
            pruning.record(judged.accuracy, epoch, step)
            row = self.row(percent, epoch, columns, masks.kept, masks.total, seconds())
            board.row(row)
            progress.current.advance(1, f"level {percent} %, epoch {epoch}, {bench.judge} accuracy {judged.accuracy:.4f}")
            return row

        epochs = Epochs(end, regained, check, config.retrain.checks_per_epoch, start)
        if config.retrain.max_epochs and not regained():
            classifier = bench.classifier(model, "prune", percent)
            callbacks = [pruning, epochs]
            fit(classifier, bench.device, config.retrain.max_epochs, config.trainer.clip_norm, callbacks, checkpoint)
        rows = [cut, *epochs.rows]
        summary = self.summary(percent, rows, pruning.regain)
        board.finish(
            {**self.job, "percent": percent, "seed": config.seed},
            {name: summary[name] for name in ("cut_val_accuracy", "cut_test_accuracy", "best_val_accuracy",
                                              "best_test_accuracy", "regain_epoch", "regain_step")},
        )  # fmt: skip
        about = {"cell": config.cell, "sizes": model.sizes, "percent": percent}
        files.save_tensors(
            self.run / "levels" / f"{percent}.pt", {**about, "state_dict": weights_of(model), "masks": masks.state_dict()}
        )
        checkpoint.unlink(missing_ok=True)
        return {"rows": rows, "summary": summary, "survivors": survivors}

    def summary(self, percent, rows, regain):
        judged = "val" if self.bench.judge == "validation" else "test"
        best = max(rows, key=lambda row: (row[f"{judged}_accuracy"], -row["epoch"]))
        return {
            **self.job, "percent": percent, "seed": self.config.seed, "judge": self.bench.judge,
            "kept": rows[0]["kept"], "total": rows[0]["total"],
            "base_val_accuracy": self.base_columns["val_accuracy"],
            "base_test_accuracy": self.base_columns["test_accuracy"],
            "cut_val_accuracy": rows[0]["val_accuracy"], "cut_test_accuracy": rows[0]["test_accuracy"],
            "regain_epoch": regain.epoch, "regain_step": regain.step, "censored": int(regain.censored),
            "best_epoch": best["epoch"], "best_val_accuracy": best["val_accuracy"],
            "best_test_accuracy": best["test_accuracy"], "epochs": rows[-1]["epoch"], "seconds": rows[-1]["seconds"],
        }  # fmt: skip

    def survivors(self, percent, masks):
        """What is left in every gate of every pruned weight."""
        rows = []
        for weight in recurrent_weights(self.model):
            if weight.name in masks:
                for gate, block in enumerate(masks[weight.name].chunk(weight.gates)):
                    rows.append({
                        **self.job, "seed": self.config.seed, "percent": percent, "layer": weight.layer, "kind": weight.kind,
                        "gate": gate, "kept": int(block.sum()), "total": block.numel(),
                    })  # fmt: skip
        return rows

    def progress(self, summary):
        column = "val" if summary["judge"] == "validation" else "test"
        cut, epoch = summary[f"cut_{column}_accuracy"], summary["regain_epoch"]
        told = f"level {summary['percent']} %: {cut:.4f} after the cut, "
        if summary["censored"]:
            told += f"not regained in {summary['epochs']} epochs" if summary["epochs"] else "not retrained"
        else:
            told += "nothing to regain" if epoch == 0 else f"regained in epoch {epoch}, step {summary['regain_step']}"
        log.info("%s", told)
        progress.current.advance(1 + self.config.retrain.max_epochs - summary["epochs"], told, line=True)

    def possible(self, percent):
        """Whether a level leaves every layer a unit."""
        if self.config.structure.name != "unit":
            return True
        sizes = self.model.sizes["hidden"]
        sizes = [sum(sizes)] if self.config.scope.name == "global" else sizes
        return all(round(percent / 100 * size) < size for size in sizes)

    def curve(self):
        """Accuracy right after the cut at every whole percent, without retraining."""
        config, bench, rows = self.config, self.bench, []
        for percent in range(101):
            self.restore()
            if not self.possible(percent):
                break
            self.masks(percent).weights(self.model)
            score = bench.score(self.model, bench.judge, "prune", percent, 0)
            rows.append({
                **self.job, "seed": config.seed, "percent": percent, "judge": bench.judge, "accuracy": score.accuracy,
                "loss": score.loss,
            })  # fmt: skip
        progress.current.advance(5, "curve")
        return rows

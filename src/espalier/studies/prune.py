"""Prune: cut the base by a schedule of levels, see what each costs, retrain, see when it is regained."""

import logging
import shutil
from dataclasses import replace

from espalier import names, tasks
from espalier.analysis import figures, tables
from espalier.errors import InputError
from espalier.learning import looks
from espalier.learning.bases import load_base
from espalier.learning.bench import load_data
from espalier.learning.board import Board
from espalier.learning.training import Start
from espalier.pruning import recurrent_weights
from espalier.pruning.selection import other_weights
from espalier.pruning.structures import hidden_units
from espalier.runs import files, progress
from espalier.runs.identity import plain
from espalier.settings.model import Model
from espalier.studies.plan import CURVE, base_start, base_training, label, level, prune_run, series_of, work
from espalier.studies.train import columns, given, runner_of, without_watching

log = logging.getLogger(__name__)

JOB = ("cell", "target", "score", "scope")
SURVIVORS = (*JOB, "seed", "percent", "layer", "kind", "gate", "kept", "total")
FILES = ("results.csv", "summary.csv", "curve.csv", "survivors.csv")


def job(config, experiment=None):
    """One job of prune.py: all levels of one cell, target, score, scope and seed."""
    with progress.current.job(f"{config.cell} {label(config)}", work(config)):
        study(config)


def study(config):
    """The same without a place of its own in the progress. Waits for whoever is at the same run."""
    run = prune_run(config)
    with run.alone():
        if config.force or not run.result():
            with run.logging("prune"):
                _Study(config, run).run_all()


class _Study:
    """What the levels of one job have in common."""

    def __init__(self, config, run):
        self.config, self.run, self.runner = config, run, runner_of(config)
        self.job = series_of(config)
        self.metric = tasks.load(config.task).metric
        self.base = base_start(config)

    def run_all(self):
        config, run = self.config, self.run
        if config.force:
            shutil.rmtree(run / "levels", ignore_errors=True)
        if config.base is not None and isinstance(config.model, Model):
            load_base(config.base, base_training(config), load_data(plain(config.data)).sizes)
        run.start()
        self.board = Board(run.directory, config.logger, self.metric)
        name = config.schedule.get("name")
        schedule = names.load(names.SCHEDULES[name] if name else config.schedule["_target_"])

        def training_of(percent, start, **changes):
            return level(config, percent, start, **changes)

        levels = {}
        run_level = (lambda training: self.runner(training, again=config.force)) if config.fresh else self.level
        for trained in schedule(training_of, self.base, config.percent, run_level, config.schedule):
            levels[trained.training.cut.percent] = self.anew(trained) if config.fresh else trained
        if not levels:
            raise InputError(f"schedule: {name or config.schedule['_target_']} asked for no level")
        levels = dict(sorted(levels.items()))
        self.write(levels, self.measured(levels))

    def anew(self, trained):
        """The same masks on weights that were drawn anew, trained as long as the base: what is zero in a level goes first."""
        base = self.base.training
        start = Start(replace(base, epochs=0, init=("fresh",)))
        percent, ranked = trained.training.cut.percent, Start(trained.training)
        return self.level(level(self.config, percent, start, ranked=ranked, epochs=base.epochs, rule="exact"))

    def write(self, levels, measured):
        config, run = self.config, self.run
        curve, survivors, found = measured
        first = next(iter(levels.values())).result
        before = {"epoch": 0, **first["before"], "seconds": 0.0}
        rows = [] if 0 in levels else [self.row(0, before, first["total"], first["total"])]
        for percent, trained in levels.items():
            rows += [self.row(percent, row, trained.result["kept"], trained.total) for row in trained.rows]
            self.keep(percent, trained)
        summaries = [self.summary(trained) for trained in levels.values()]
        about = (*JOB, "percent", "seed", "epoch")
        files.write_rows(run / "results.csv", (*about, *columns(self.metric), "kept", "total", "seconds"), rows)
        files.write_rows(run / "summary.csv", tuple(summaries[0]), summaries)
        files.write_rows(run / "curve.csv", (*JOB, "seed", "percent", "judge", self.metric.name, "loss"), curve)
        files.write_rows(run / "survivors.csv", SURVIVORS, survivors)
        figures.pruning(run / "figures", summaries, curve, rows, survivors, first.get("judge_baselines", {}), self.metric)
        self.show(summaries, survivors, curve)
        result = {
            **self.job, "seed": config.seed, "judge": first["judge"], "baselines": first["baselines"],
            "judge_baselines": first.get("judge_baselines", {}), "bounds": first.get("bounds", []), "data": first["data"],
            "base": str(self.runner.weights_file(self.base)), f"base_{self.metric.name}": first["base"],
            "percents": list(levels), "task": first["task"], **found,
        }  # fmt: skip
        run.finish(result, (*FILES, *(f"levels/{percent}.pt" for percent in levels)))

    def show(self, summaries, survivors, curve):
        """Levels for a logger: what they came to against percent, the figures, and what the job came to beside its settings."""
        name = self.metric.name
        # A step is a whole number: of levels between whole percents, hundredths of a percent.
        unit = 1 if all(row["percent"] == int(row["percent"]) for row in summaries) else 100
        levels = "levels" if unit == 1 else "levels_by_hundredths_of_a_percent"
        for row in summaries:
            percent = round(unit * row["percent"])
            reached = [f"{what}_{split}_{name}" for what in ("cut", "best") for split in ("val", "test")]
            values = {f"{levels}/{column}": row[column] for column in ("regain_epoch", "regain_step", *reached)}
            parts = {}
            for one in survivors:
                if one["percent"] == row["percent"]:
                    kept, total = parts.get((one["layer"], one["kind"]), (0, 0))
                    parts[one["layer"], one["kind"]] = kept + one["kept"], total + one["total"]
            values |= {f"kept/{layer} {kind}": kept / total for (layer, kind), (kept, total) in parts.items()}
            self.board.values(values | {"kept/all": row["kept"] / row["total"]}, percent)
        self.board.pictures(self.run / "figures", (name, "regain", "survivors"))
        frame = tables.as_series(summaries)
        curve = curve if self.config.safe.by.name == "curve" else None
        safe = tables.safe_percents(frame, self.config.safe.tolerance, self.metric, curve)["safe"].item()
        regained = [row["percent"] for row in summaries if not row["censored"]]
        first = summaries[0]
        final = {"safe_percent": safe, "regained_percent": max(regained, default=0)}
        final |= {f"{split}_{name}": first[f"base_{split}_{name}"] for split in ("val", "test")}
        self.board.finish({**self.job, "seed": self.config.seed, **given(self.config)}, final)

    def row(self, percent, row, kept, total):
        return {**self.job, "percent": percent, "seed": self.config.seed, **without_watching(row), "kept": kept, "total": total}

    def keep(self, percent, trained):
        """Weights and masks of a level, in the run's own folder."""
        content = trained.load("last")
        chosen = {name: content[name] for name in ("cell", "sizes", "state_dict", "masks")}
        files.save_tensors(self.run / "levels" / f"{percent}.pt", {**chosen, "percent": percent})

    def level(self, training):
        """Find or train one level, and say what came out; not of a cut that a schedule only wants to look at."""
        if training.epochs == 0 and self.config.retrain.max_epochs:
            return self.runner(training, again=self.config.force)
        percent = training.cut.percent
        board = self.board.part(f"level_{percent}")
        trained = self.runner(training, again=self.config.force, board=board, label=f"level {percent:g} %")
        if not board.written:
            board.start(trained.rows)
        self.progress(self.summary(trained))
        return trained

    def summary(self, trained):
        result, rows = trained.result, trained.rows
        judged, name = "val" if result["judge"] == "validation" else "test", self.metric.name
        moments = [*rows, *filter(None, [result.get("confirmed")])]
        best = max(moments, key=lambda row: (self.metric.better(row[f"{judged}_{name}"]), -row["epoch"]))
        regain, before = result["regain"], result["before"]
        splits = (f"val_{name}", f"test_{name}")
        return {
            **self.job, "percent": trained.training.cut.percent, "seed": self.config.seed, "judge": result["judge"],
            "kept": result["kept"], "total": trained.total, "base_zeros": result.get("zeros"),
            "from_base": int(self.from_base(trained.training)),
            **{f"base_{split}": before[split] for split in splits}, **{f"cut_{split}": rows[0][split] for split in splits},
            "regain_epoch": regain["epoch"], "regain_step": regain["step"], "censored": int(not trained.regained),
            "best_epoch": best["epoch"], **{f"best_{split}": best[split] for split in splits}, "epochs": rows[-1]["epoch"],
            "spent": self.spent(trained), "seconds": rows[-1]["seconds"], "judge_error": result.get("error"),
        }  # fmt: skip

    def from_base(self, training):
        """Whether a level was cut from the base by the rule of the curve, so that the curve speaks of it too."""
        return training.start == self.base and training.cut.ranked is None and training.cut.rule == self.config.rule.name

    def spent(self, trained):
        """Epochs of retraining since the base, those of the levels that it started from too."""
        epochs, start = trained.rows[-1]["epoch"], trained.training.start.training
        while start is not None and start.cut:
            epochs += self.runner.find(start).rows[-1]["epoch"]
            start = start.start.training
        return epochs

    def progress(self, summary):
        column = "val" if summary["judge"] == "validation" else "test"
        cut, epoch = summary[f"cut_{column}_{self.metric.name}"], summary["regain_epoch"]
        told = f"level {summary['percent']:g} %: {cut:.4f} after the cut, "
        if tables.idle(summary):
            told += f"changes nothing, {100 * summary['base_zeros'] / summary['total']:.3g} % of the base are zero already, "
        if summary["censored"]:
            told += f"not regained in {tables.plural(summary['epochs'])}" if summary["epochs"] else "not retrained"
        else:
            told += "nothing to regain" if epoch == 0 else f"regained in epoch {epoch}, step {summary['regain_step']}"
        log.info("%s", told)
        progress.current.advance(1 + self.config.retrain.max_epochs - summary["epochs"], told, line=True, of="levels")

    def measured(self, levels):
        """(the curve: accuracy right after the cut of the base at every whole percent; the survivors of every level; for
        result.json: the sizes of the data, weights `removed` of how many in every level, of units its `widths`).
        """
        training = next(iter(levels.values())).training
        with self.runner.bench(training) as bench:
            model = self.runner.network(bench, self.base)
            survivors = [row for percent, trained in levels.items() for row in self.survivors(model, percent, trained)]
            looks.draw(self.run / "figures", bench, lambda: self.networks(bench, levels), self.config.score)
            units = hidden_units(model) if self.config.structure.name == "unit" else []
            found = {"sizes": dict(bench.host.sizes), **self.counts(levels, units)}
            return self.curve(bench, model, training.cut) if self.config.curve else [], survivors, found

    def networks(self, bench, levels):
        """Title -> network of the base and of every level."""
        networks = {"base": self.runner.network(bench, self.base)}
        for percent, trained in levels.items():
            networks[f"{percent:g} % removed"] = one = self.runner.network(bench, self.base)
            one.load_state_dict(trained.load("last")["state_dict"])
        return networks

    @staticmethod
    def counts(levels, units):
        """What goes from every level: `removed`, weights of how many; of units `base_widths` and `widths`."""
        found = {"removed": {}} | ({"base_widths": [one.hidden for one in units], "widths": {}} if units else {})
        for percent, trained in levels.items():
            masks = {name: mask for name, mask in trained.load("last")["masks"].items() if "weight" in name}
            removed = sum(int((~mask).sum()) for mask in masks.values())
            found["removed"][str(percent)] = [removed, sum(mask.numel() for mask in masks.values())]
            if units:
                found["widths"][str(percent)] = [_width(one, masks) for one in units]
        return found

    def curve(self, bench, model, cut):
        cut = replace(cut, rule=self.config.rule.name)  # a schedule may have had another one
        weights, rows = {name: value.clone() for name, value in model.state_dict().items()}, []
        memory = {}
        for percent in range(101):
            model.load_state_dict(weights)
            if not self.possible(model, percent):
                break
            bench.masks(model, cut, percent, memory).cut(model)
            score = bench.score(model, bench.judge, "prune", percent, 0)
            rows.append({
                **self.job, "seed": self.config.seed, "percent": percent, "judge": bench.judge, self.metric.name: score.value,
                "loss": score.loss,
            })  # fmt: skip
        progress.current.advance(CURVE, "curve", of="curve")
        return rows

    def possible(self, model, percent):
        """Whether a level leaves every layer a unit."""
        if self.config.structure.name != "unit":
            return True
        sizes = [one.hidden for one in hidden_units(model, self.config.modules)]
        sizes = [sum(sizes)] if self.config.scope.name == "global" else sizes
        return all(round(percent / 100 * size) < size for size in sizes)

    def survivors(self, model, percent, trained):
        """What is left in every gate of every pruned weight."""
        masks, rows = trained.load("last")["masks"], []
        recurrent = recurrent_weights(model)
        units = recurrent and self.config.structure.name == "unit"  # whose readers lose columns, not weights of their own
        for weight in recurrent if units else (*recurrent, *other_weights(model)):
            if weight.name in masks:
                for gate, block in enumerate(masks[weight.name].chunk(weight.gates)):
                    rows.append({
                        **self.job, "seed": self.config.seed, "percent": percent, "layer": weight.layer, "kind": weight.kind,
                        "gate": gate, "kept": int(block.sum()), "total": block.numel(),
                    })  # fmt: skip
        return rows


def _width(one, masks):
    """How many units of a layer masks keep."""
    mask = masks.get(one.rows[0])
    return one.hidden if mask is None else int(mask.view(one.gates, one.hidden, -1).any(2).any(0).sum())

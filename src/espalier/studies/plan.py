"""Which runs and trainings a configuration stands for. Imports no torch, so that finished jobs are told apart before anything
starts.
"""

import os
from dataclasses import replace
from pathlib import Path

from espalier.learning.training import Cut, Growth, Patience, Plateau, Regaining, Start, Training, place
from espalier.names import MODELS
from espalier.runs import files, progress
from espalier.runs.identity import identity, plain
from espalier.runs.run import Run
from espalier.settings import PruneConfig, StructureConfig, TrainConfig
from espalier.settings.checks import is_own, keys
from espalier.settings.model import FeedForward
from espalier.settings.training import short_name

#: Units of work that a curve counts as, beside an epoch.
CURVE = 5
#: Format of an export -> how its files end.
SUFFIX = {"onnx": ".onnx", "torch": ".pt", "int8": ".int8.onnx", "c": ".c", "c_int8": ".int8.c"}


def train_run(config):
    """The `Run` of train.py: the base network that a configuration of any door speaks of, with its tables and figures."""
    own = as_train(config)
    return Run("train", f"{config.cell}-{short_name(config.data)}", plain(own))


def as_train(config, **changes):
    """The configuration of train.py that one of any door holds."""
    return TrainConfig(
        **{name: getattr(config, name) for name in keys(TrainConfig)} | {"objective": None, "list": None} | changes
    )


def base_training(config):
    """The training of the base network."""
    falls = config.trainer.plateau
    plateau = falls and Plateau(falls.factor, falls.least, falls.min_delta, falls.against.name, falls.momentum)
    return Training(
        data=plain(config.data), model=model_of(config), optimizer=plain(config.optimizer), clip_norm=config.trainer.clip_norm,
        epochs=config.trainer.max_epochs, task=config.task, plateau=plateau,
    )  # fmt: skip


def model_of(config, **more):
    """What is called, and its keywords."""
    keywords = plain(config.model)
    if is_own(keywords):
        return keywords
    cell = {} if isinstance(config.model, FeedForward) else {"cell": config.cell}
    return {"_target_": MODELS[keywords.pop("name")], **cell, **keywords, **more}


def base_start(config):
    """The weights that all levels of a pruning configuration go back to."""
    if config.base is not None:
        return Start(file=config.base)
    return Start(base_training(config), config.base_weights.name)


def level(config, percent, start, ranked=None, epochs=None, growth=None, rule=None):
    """The training of a level: cut to `percent`, from `start`.

    ranked: whose weights are ranked, by default those of `start`.  epochs: so many, whatever `retrain` says.
    growth: shape, ramp and updates of masks that grow while it trains.  rule: instead of the configured one.
    """
    percent = int(percent) if percent == int(percent) else float(percent)  # 50.0 is the level 50
    cut = Cut(
        percent, config.target.name, config.structure.name, config.score, config.scope.name, rule or config.rule.name,
        tuple(config.block), ranked, config.modules and tuple(config.modules),
        config.gates and tuple(sorted(config.gates.items())), config.keep_diagonal or None,
    )  # fmt: skip
    retrain = config.retrain
    stop = epochs is None and retrain.mode.name == "until_regained"
    patience = None
    if epochs is None and retrain.mode.name == "while_improving":
        patience = Patience(retrain.patience, retrain.min_delta, retrain.against.name)
    looks = config.regain.patience if config.regain.patience > 1 else None  # one is none, as it was before there were several
    regaining = Regaining(base_start(config), config.regain.tolerance, retrain.checks_per_epoch, stop, looks)
    return replace(
        base_training(config), epochs=retrain.max_epochs if epochs is None else epochs, purpose=("prune", percent), start=start,
        cut=cut, regaining=regaining, during=growth and Growth(**growth), patience=patience, plateau=None,
    )  # fmt: skip


def prune_run(config):
    """The `Run` of all levels of one cell, target, score, scope and seed."""
    return Run("prune", f"{config.cell}-{label(config)}-{config.score_name}-{config.scope.name}", plain(config))


def label(config):
    """What goes, in one word for tables: the target, `unit`, or the target's blocks."""
    return {"weight": config.target.name, "unit": "unit", "block": f"{config.target.name}-block"}[config.structure.name]


def series_of(config):
    """What tells the series of a pruning job in tables."""
    return {"cell": config.cell, "target": label(config), "score": config.score_name, "scope": config.scope.name}


def work(config, done=()):
    """What a job has to do, for the progress: kind of work -> units, or None where that shows only in it.

    done: directories of base runs that another job will have made by then.
    """
    if isinstance(config, StructureConfig):
        return None
    training = base_training(config)
    kind = f"{config.cell} {identity({'data': training.data, 'model': training.model, 'threads': config.threads})}"
    if not isinstance(config, PruneConfig):
        return {f"{kind} base": config.trainer.max_epochs}
    base = base_run(config)
    needed = base is not None and base.directory not in done and not base.result()
    levels = len(config.percent) * (1 + config.retrain.max_epochs)
    return {f"{kind} base": needed * config.trainer.max_epochs, f"{kind} levels": levels, f"{kind} curve": CURVE * config.curve}


def cores(config):
    """Processes that a search may use: as configured, one beside other workers, else one per core."""
    if config.processes is not None:
        return config.processes
    if isinstance(progress.current, progress.Remote):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def base_run(config):
    """The `Run` of the training that a pruning job needs first, or None if it brings its own base."""
    return None if config.base is not None else place(base_training(config), config.outputs, config.seed)


def shipped(config):
    """Whether the exports and costs that a pruning configuration asks for are there, of the weights that its run ended with."""
    if not (getattr(config, "export", None) or getattr(config, "costs", False)):
        return True
    run = prune_run(config)
    told, result = ships(run.directory), run.result()
    if not result or told is None:
        return False
    for percent in result.get("percents", config.percent):
        own = told["levels"].get(str(percent), {})
        if own.get("level") != files.digest(run / "levels" / f"{percent}.pt"):
            return False
        if not own.get("nothing_left") and not all(f"export/{percent}{SUFFIX[f]}" in told["files"] for f in config.export):
            return False
    return True


def ships(directory):
    """What export/done.json in a run says (`levels`, `files`) if all that it vouches for is as it was, else None."""
    told = files.read_json(Path(directory) / "export" / "done.json")
    whole = isinstance(told, dict) and {"levels", "files"} <= told.keys() and files.untouched(told)
    return told if whole and files.vouched(directory, told["files"]) is None else None


def structure_run(config):
    """The `Run` of one search: all its graphs, trained with one cell and seed, and the analysis of them."""
    return Run("structure_search", f"{config.cell}-{config.model.skip.name}-{short_name(config.data)}", plain(config))


#: door -> the run of one of its jobs
RUNS = {"train": train_run, "prune": prune_run, "structure_search": structure_run}

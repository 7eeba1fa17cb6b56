"""Which runs a configuration stands for. Imports no torch, so that finished jobs are told apart before anything starts."""

import dataclasses

from espalier.experiments.config import Graph, Predictor, TrainConfig
from espalier.runs import files
from espalier.runs.run import Run

#: Format of an export -> how its files end.
SUFFIX = {"onnx": ".onnx", "torch": ".pt"}


def train_run(config):
    """The `Run` of training the base network that a configuration of any story speaks of."""
    own = TrainConfig(**{name: getattr(config, name) for name in TrainConfig.__dataclass_fields__})
    return Run("train", f"{config.cell}-{config.data.name}", own)


def prune_run(config):
    """The `Run` of all levels of one cell, target, score, scope and seed."""
    return Run("prune", f"{config.cell}-{label(config)}-{config.score}-{config.scope.name}", config)


def label(config):
    """What goes, in one word for tables: the target, `unit`, or the target's blocks."""
    return {"weight": config.target.name, "unit": "unit", "block": f"{config.target.name}-block"}[config.structure.name]


def base_run(config):
    """The training run that a pruning job needs first, or None if it brings its own base."""
    return None if config.base is not None else train_run(config)


def shipped(config):
    """Whether the exports and costs that a pruning configuration asks for are there, of the weights that its run ended with."""
    if not (getattr(config, "export", None) or getattr(config, "costs", False)):
        return True
    run = prune_run(config)
    told = files.read_json(run / "export" / "done.json")
    if not run.result() or not isinstance(told, dict) or not (run / "costs.csv").exists():
        return False
    for percent in config.percent:
        own = told.get(str(percent), {})
        if own.get("level") != files.digest(run / "levels" / f"{percent}.pt"):
            return False
        if not own.get("nothing_left") and not all((run / "export" / f"{percent}{SUFFIX[f]}").exists() for f in config.export):
            return False
    return True


def structure_run(config):
    """The `Run` of one search: all its graphs, trained with one cell and seed, and the analysis of them."""
    return Run("structure_search", f"{config.cell}-{config.model.skip.name}-{config.data.name}", config)


def rows_run(config):
    """The `Run` that keeps the trained graphs of every search that trains its graphs like this one, whatever their number and
    whatever is made of them.
    """
    counts = {family: getattr(Graph, family) for family in ("barabasi_albert", "watts_strogatz", "erdos_renyi")}
    shared = dataclasses.replace(config, graph=dataclasses.replace(config.graph, **counts), predictor=Predictor(), dense=0)
    return Run("graphs", f"{config.cell}-{config.model.skip.name}-{config.data.name}", shared)


#: door -> the run of one of its jobs
RUNS = {"train": train_run, "prune": prune_run, "structure_search": structure_run}

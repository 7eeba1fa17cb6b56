"""Which runs a configuration stands for. Imports no torch, so that finished jobs are told apart before anything starts."""

import dataclasses

from espalier.experiments.config import Graph, Predictor, TrainConfig
from espalier.runs.run import Run


def train_run(config):
    """The `Run` of training the base network that a configuration of any story speaks of."""
    own = TrainConfig(**{name: getattr(config, name) for name in TrainConfig.__dataclass_fields__})
    return Run("train", f"{config.cell}-{config.data.name}", own)


def prune_run(config):
    """The `Run` of all levels of one cell, target, score, scope and seed."""
    return Run("prune", f"{config.cell}-{config.target.name}-{config.score}-{config.scope.name}", config)


def base_run(config):
    """The training run that a pruning job needs first, or None if it brings its own base."""
    return None if config.base is not None else train_run(config)


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

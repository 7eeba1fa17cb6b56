"""Which runs a configuration stands for. Imports no torch, so that finished jobs are told apart before anything starts."""

from espalier.experiments.config import TrainConfig
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


#: door -> the run of one of its jobs
RUNS = {"train": train_run, "prune": prune_run}

"""What is looked at before the first job of a sweep starts: files, places of the user's, one batch through their networks."""

import dataclasses

from espalier import names
from espalier.settings.checks import is_own
from espalier.settings.model import Model
from espalier.studies.plan import base_start, base_training, level


def check(configs):
    """Read the files that jobs need, and try their networks on one batch, before any of them starts.  Raises: InputError."""
    for config in configs:
        if hasattr(config, "graph") and (is_own(config.graph) or config.graph.folder):
            from espalier.graphs.pool import search_graphs

            search_graphs(config.graph)
    trials = {}
    for config in configs:
        for place in own_places(config):
            names.load(place)
        if not needs_no_trial(config):
            training = trial_training(config)
            trials.setdefault(str([training.plain(), trial_cuts(config)]), (config, training))
    if trials:
        from espalier.learning.trial import try_out

        for config, training in trials.values():
            try_out(training, config.seed, trial_cuts(config))
    for config in configs:
        if getattr(config, "base", None) and isinstance(config.model, Model):
            from espalier.learning.bases import load_base

            load_base(config.base, base_training(config))


def own_places(config):
    """Import paths of what would only be used later in a job."""
    members = (getattr(config, "schedule", None), config.logger.own)
    regressors = getattr(getattr(config, "predictor", None), "regressors", ())
    return [one["_target_"] for one in members if is_own(one)] + [name for name in regressors if "." in name]


def trial_training(config):
    """The base; of a search, which has none, a dense network of one unit on the same data."""
    training = base_training(config)
    if not hasattr(config, "graph"):
        return training
    model = {"_target_": names.MODELS["recurrent"], "cell": config.cell, "hidden": [1], "readout": config.model.readout.name}
    return dataclasses.replace(training, model=model)


def needs_no_trial(config):
    """Whether nothing can be wrong that would only show in a job: then there is no reason to load torch here."""
    own = (config.data, config.task, config.model, getattr(config, "score", None))
    generated = getattr(config.data, "name", None) == "reber" and config.task == {"name": "classify"}
    return generated and not any(map(is_own, own)) and not getattr(config, "modules", None)


def trial_cuts(config):
    """The cut of the lowest level, where the user's network, task or score, or names of modules, are tried."""
    if not hasattr(config, "percent") or not (any(map(is_own, (config.model, config.task, config.score))) or config.modules):
        return []
    return [level(config, min(config.percent), base_start(config)).cut]

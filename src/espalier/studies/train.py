"""Train: the base model that every level of pruning starts from, with its table and figures."""

import shutil

from hydra.core.hydra_config import HydraConfig

from espalier.analysis import figures
from espalier.learning.attempt import FILES
from espalier.learning.bench import load_data
from espalier.learning.runner import Runner
from espalier.runs import files, progress
from espalier.runs.identity import OUTSIDE, flat, plain
from espalier.studies.plan import base_training, train_run, work
from espalier.tasks import metric_of


def columns(metric):
    """The columns of results.csv that hold an epoch, for a task that measures `metric`."""
    return tuple(f"{split}_{what}" for split in ("train", "val", "test") for what in ("loss", metric.name))


def given(config):
    """The settings that the command line of a job sets, a sweep's among them, by dotted key; of a job that was started without
    one, those that are not the usual ones.
    """
    settings = {key: value for key, value in flat(plain(config)) if key.split(".")[0] not in OUTSIDE}
    if HydraConfig.initialized():
        keys = {override.partition("=")[0].lstrip("+~").partition("@")[0] for override in HydraConfig.get().overrides.task}
        return {key: value for key, value in settings.items() if any(f"{key}.".startswith(f"{one}.") for one in keys)}
    usual = dict(flat(plain(type(config)())))
    return {key: value for key, value in settings.items() if value != usual.get(key)}


def without_watching(row):
    """What tables tell of a row of a training: not the learning rate and the gradient, which loggers show."""
    return {name: value for name, value in row.items() if name not in ("lr", "gradient_norm")}


def runner_of(config):
    """The `Runner` of a job."""
    return Runner(config.outputs, config.seed, config.threads, config.device, config.logger)


def train(config, force=False):
    """Train the network that the configuration describes, unless that run is done; go on if it was interrupted.

    force: start over although it is done.  Returns: the `Run`, whose `best.pt` and `last.pt` hold the weights.
    """
    run = train_run(config)
    with run.alone():
        if force or not run.result():
            with run.logging("train"):
                run.start()
                _tell(config, run, runner_of(config)(base_training(config), again=force, label="base", lines=True))
    return run


def _tell(config, run, trained):
    """Table, weights and figures of a finished training."""
    result, rows = trained.result, [{"cell": config.cell, "seed": config.seed, **without_watching(row)} for row in trained.rows]
    for name in FILES:
        shutil.copyfile(trained.run / name, run / name)
    metric = metric_of(result)
    files.write_rows(run / "results.csv", ("cell", "seed", "epoch", *columns(metric), "seconds"), rows)
    data = load_data(plain(config.data))
    figures.training(run / "figures", rows, config.cell, data.baselines, metric)
    figures.examples(run / "figures", data)
    chosen = rows[result["best_epoch"] - 1]
    told = {
        "cell": config.cell, "seed": config.seed, "judge": result["judge"], "best_epoch": result["best_epoch"],
        **{f"{split}_{metric.name}": chosen[f"{split}_{metric.name}"] for split in ("val", "test")},
        f"last_test_{metric.name}": rows[-1][f"test_{metric.name}"], "baselines": data.baselines, "data": result["data"],
        "parameters": result["parameters"], "task": result["task"],
    }  # fmt: skip
    run.finish(told, ("results.csv", *FILES))


def job(config, experiment=None):
    """One job of train.py."""
    if not config.force and train_run(config).result():
        return
    with progress.current.job(f"{config.cell} base", work(config)):
        train(config, force=config.force)

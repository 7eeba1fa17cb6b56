"""The number that a job returns, for sweepers that look for settings: `objective=safe` and the like."""

from pathlib import Path

from espalier.runs.run import read_result
from espalier.tasks import metric_of


def value(story, config, directory):
    """The number that `config.objective` names, of the finished run in a directory.

    Of training, `best`: what judges, at its best epoch.  Of pruning, at its highest level: `best`, what judges after
    retraining; `regain_epoch`, the epoch in which it is regained, one more than there were where it is not; of all levels:
    `safe`, the safe percent; `regained`, the largest percent that is regained.  Of a search: `best` and `mean` on test, `r2`
    in cross-validation.
    """
    result = read_result(Path(directory))
    metric = metric_of(result)
    if story == "train":
        return float(result[f"{'val' if result['judge'] == 'validation' else 'test'}_{metric.name}"])
    if story == "structure_search":
        names = {"best": f"best_{metric.test}", "mean": f"mean_{metric.test}", "r2": "prediction_r2"}
        return float(result[names[config.objective]])
    return pruned(config, Path(directory), metric)


def pruned(config, directory, metric):
    """The same of a pruning job, from its tables."""
    from espalier.analysis import tables  # here, for pandas takes a second

    summary = tables.read(directory / "summary.csv").sort_values("percent")
    if config.objective == "safe":
        curve = tables.read(directory / "curve.csv") if config.safe.by.name == "curve" else None
        return float(tables.safe_percents(summary, config.safe.tolerance, metric, curve)["safe"].item())
    if config.objective == "regained":
        return float(summary.loc[summary["censored"] == 0, "percent"].max()) if (summary["censored"] == 0).any() else 0.0
    highest = summary.tail(1)
    if config.objective == "best":
        return float(tables.judged(highest, "best", metric).item())
    epoch = highest["regain_epoch"].item()
    return float(highest["epochs"].item() + 1 if highest["censored"].item() else epoch)

"""What "good" means: one file per task, each with a function that makes its `Task`. Imports no torch: `load` does."""

from espalier import names
from espalier.errors import InputError
from espalier.tasks.task import ACCURACY, Metric, Task

__all__ = ["ACCURACY", "Metric", "Task", "load", "metric_of"]


def metric_of(result):
    """The `Metric` that a result.json was judged by; runs of before tasks were judged by accuracy."""
    return Metric(**result["task"]) if result and result.get("task") else ACCURACY


def load(settings):
    """The `Task` of a configuration: the `name` of one of ours, or the `_target_` of a function, and its keywords.

    Raises: InputError.
    """
    keywords = dict(settings)
    name = keywords.pop("name", None)
    place = names.TASKS[name] if name else keywords.pop("_target_")
    task = names.call(place, keywords, "task")
    if not isinstance(task, Task):
        raise InputError(f"task: {place} returned {type(task).__name__}, it must return an espalier.tasks.Task")
    return task

"""What a task is, and how what it measures is told. Imports no torch."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Metric:
    """A measure by which networks are judged: its name and its direction.

    name: suffix of the columns (`test_accuracy`).  higher: whether more is better.
    tolerance: what regain and safe percents allow where nobody says otherwise; relative: it is a share of the base's value.
    label: of axes, with the unit; by default the name.  limits: the least and the most that it can be, or None.
    short: the word in tables of structure searches (`test_acc`), by default the name.
    """

    name: str
    higher: bool
    tolerance: float
    relative: bool = False
    label: str | None = None
    limits: tuple = (None, None)
    short: str | None = None

    def __post_init__(self):
        for name in ("label", "short"):
            object.__setattr__(self, name, getattr(self, name) or self.name)
        object.__setattr__(self, "limits", tuple(self.limits))

    @property
    def test(self):
        """The column of a structure search that holds it: `test_acc`."""
        return f"test_{self.short}"

    def better(self, value):
        """A number of which more is better: the value, or its negative."""
        return value if self.higher else -value

    def worse(self, base, value):
        """By how much a value is worse than the base; also of columns."""
        return self.better(base) - self.better(value)

    def allowed(self, base, tolerance=None):
        """What may be missing to a base, from a tolerance in the metric's own terms (None: its own); also of columns."""
        tolerance = self.tolerance if tolerance is None else tolerance
        return tolerance * abs(base) if self.relative else tolerance

    @property
    def title(self):
        """The label at the start of a sentence."""
        return self.label[:1].upper() + self.label[1:]

    def told(self, tolerance=None):
        """A tolerance in words: `0.01`, or `1 %`."""
        tolerance = self.tolerance if tolerance is None else tolerance
        return f"{100 * tolerance:g} %" if self.relative else f"{tolerance:g}"

    def inside(self, values):
        """Values cut to the limits, an array."""
        low, high = (end if end is not None else side * math.inf for end, side in zip(self.limits, (-1, 1)))
        return values.clip(low, high)


ACCURACY = Metric("accuracy", True, 0.01, limits=(0, 1), short="acc")


def _mean(total, count):
    return total / count


@dataclass(frozen=True)
class Task:
    """How outputs are held against targets. Called with what the model returned and the targets of its batch.

    loss: the mean loss, which training lowers; None where the model is a LightningModule, which has its own.
    score: (sum, count) of what the metric is the mean of, tensors or numbers; both are added up over batches.
    finish: from (sum, count) to the metric's value, by default the mean.
    total: the sum of the losses of a batch, by default the mean times the count of the score.
    proportional: whether the value is in the unit of the targets, so that other units multiply it.
    curvature: for scores that need it, which loss it is in the outputs: `cross_entropy` or `squared_error`; None: another.
    logged: for LightningModules, the name under which the metric is logged in validation.
    """

    metric: Metric
    loss: Callable | None = None
    score: Callable | None = None
    finish: Callable = _mean
    total: Callable | None = None
    logged: str | None = None
    curvature: str | None = None
    proportional: bool = False

    def in_unit(self, unit):
        """The task with its value told in another unit."""
        if unit == 1 or not self.proportional:
            return self
        finish = self.finish
        return replace(self, finish=lambda total, count: unit * finish(total, count))

"""What a training is: plain values, which identify it without importing what they name. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from espalier.runs.identity import identity, plain
from espalier.runs.run import Run


@dataclass(frozen=True)
class Start:
    """Weights to start from: those of a file, or of another training, `best` by what judges or `last`.

    rescaled: weights as they were drawn, made after the cut of units what is drawn for so narrow a network.
    """

    training: Training | None = None
    weights: str = "last"
    file: str | None = None
    rescaled: bool = False

    def plain(self):
        if self.training is None:
            return {"file": self.file}
        own = {"training": identity(self.training.plain()), "weights": self.weights}
        return own | ({"rescaled": True} if self.rescaled else {})


@dataclass(frozen=True)
class Cut:
    """What goes before training, as `espalier.prune` takes it.

    score: the name of one of ours, or the `_target_` of a function and its keywords.
    ranked: whose weights are ranked, by default those that are cut.  modules: names of those to stay inside; None: all.
    gates: (letter, percent) pairs; diagonal: whether that of `h2h` stays; None: as without.
    """

    percent: float
    target: str = "both"
    structure: str = "weight"
    score: str | dict = "magnitude"
    scope: str = "global"
    rule: str = "exact"
    block: tuple = (4, 4)
    ranked: Start | None = None
    modules: tuple | None = None
    gates: tuple | None = None
    diagonal: bool | None = None


@dataclass(frozen=True)
class Regaining:
    """When the score counts as back, how often one looks within an epoch, and whether training then ends.

    reference: the weights whose score is to be regained.  tolerance: what may be missing, in the terms of the task's metric;
    None: the metric's own.  patience: looks in a row that have to be back; None: one.
    """

    reference: Start
    tolerance: float | None
    checks_per_epoch: int = 1
    stop: bool = False
    patience: int | None = None


@dataclass(frozen=True)
class Growth:
    """Masks that grow while a network trains, from none of its weights to the percent of the cut.

    shape: `cubic` or `linear`.  ramp: share of the epochs that it takes.  updates: how often the masks change in an epoch.
    """

    shape: str
    ramp: float
    updates: int


@dataclass(frozen=True)
class Patience:
    """Training ends after so many epochs in a row that are not better than the `best` before, or than the `previous` one, by
    more than `delta`, in the terms of the task's metric.
    """

    epochs: int
    delta: float
    against: str = "best"


@dataclass(frozen=True)
class Plateau:
    """After an epoch that is not better (as `Patience` has it) the learning rate falls to its `factor`; training ends where it
    is at `least` already.  momentum: from the first fall on; None: as it is.
    """

    factor: float
    least: float
    delta: float
    against: str = "best"
    momentum: float | None = None


@dataclass(frozen=True)
class Training:
    """One training: this model, on these data, for this task, starting there, after this cut, for so many epochs.

    data, task, optimizer: as configured.  model: `_target_`, the place of what is called, and its keywords.
    purpose: words that name the random streams of its batches; init: those of its initial weights.
    looks: whether validation and test are scored after all `epochs`, or at the `end` alone.
    during: how the masks of the cut grow; None: they are there from the start.
    patience: when training ends early; None: it does not.  plateau: when the learning rate falls; None: never.
    """

    data: dict
    model: dict
    optimizer: dict
    clip_norm: float
    epochs: int
    purpose: tuple = ("train",)
    init: tuple = ()
    looks: str = "epochs"
    start: Start | None = None
    cut: Cut | None = None
    regaining: Regaining | None = None
    during: Growth | None = None
    task: dict = field(default_factory=lambda: {"name": "classify"})
    patience: Patience | None = None
    plateau: Plateau | None = None

    def plain(self):
        """Nested plain values; a start is told by its own identity, and what is None is left out."""
        values = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if value is not None:
                values[one.name] = _plain(value)
        return values

    @property
    def name(self):
        """Readable: the cell or the place of the model, the data, and what for."""
        model = self.model.get("cell") or short(self.model)
        purpose = "_".join(str(part) for part in self.purpose)
        return f"{model}-{short(self.data)}-{purpose}".replace("/", "_")


def short(settings):
    """One word for a member of a group: its name, or the last word of its import path."""
    return settings.get("name") or settings["_target_"].replace(":", ".").rpartition(".")[2]


def _plain(value: Any):
    if isinstance(value, Start):
        return value.plain()
    if isinstance(value, (Cut, Regaining, Growth, Patience, Plateau)):
        values = {one.name: _plain(getattr(value, one.name)) for one in fields(value)}
        return {name: item for name, item in values.items() if item is not None or name == "tolerance"}
    return plain(value)


def place(training, outputs, seed):
    """The `Run` of a training: where it is kept, whether it is done."""
    return Run("trainings", training.name, {**training.plain(), "outputs": str(outputs), "seed": seed})


def starts_of(training):
    """What a training needs: the starts of its weights, of its ranks and of its reference, as far as it has them."""
    starts = training.start, training.cut and training.cut.ranked, training.regaining and training.regaining.reference
    return [start for start in starts if start]

"""What a training is: plain values, which identify it without importing what they name. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from espalier.runs.identity import identity, plain
from espalier.runs.run import Run

#: Units per recurrent layer where nobody asked for others: those of the studies.
USUAL = [50, 50, 50]


@dataclass(frozen=True)
class Start:
    """Weights to start from: those of a file, or of another training, `best` by what judges or `last`."""

    training: Training | None = None
    weights: str = "last"
    file: str | None = None

    def plain(self):
        if self.training is None:
            return {"file": self.file}
        return {"training": identity(self.training.plain()), "weights": self.weights}


@dataclass(frozen=True)
class Cut:
    """What goes before training, as `espalier.prune` takes it.

    ranked: whose weights are ranked, by default those that are cut.
    """

    percent: float
    target: str = "both"
    structure: str = "weight"
    score: str = "magnitude"
    scope: str = "global"
    rule: str = "exact"
    block: tuple = (4, 4)
    ranked: Start | None = None


@dataclass(frozen=True)
class Regaining:
    """When the score counts as back, how often one looks within an epoch, and whether training then ends.

    reference: the weights whose score is to be regained.
    """

    reference: Start
    tolerance: float
    checks_per_epoch: int = 1
    stop: bool = False


@dataclass(frozen=True)
class Training:
    """One training: this model, on these data, starting there, after this cut, for so many epochs.

    data, optimizer: as configured.  model: `_target_`, the place of what is called, and its keywords.
    purpose: words that name the random streams of its batches; init: those of its initial weights.
    looks: whether validation and test are scored after all `epochs`, or at the `end` alone.
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

    def plain(self):
        """Nested plain values; a start is told by its own identity, and what is None is left out."""
        told = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if value is not None:
                told[field.name] = _plain(value)
        return told

    @property
    def name(self):
        """Readable: the cell or the place of the model, the data, and what for."""
        model = self.model.get("cell") or self.model["_target_"].rpartition(":")[2]
        purpose = "_".join(str(part) for part in self.purpose)
        return f"{model}-{self.data['name']}-{purpose}".replace("/", "_")


def _plain(value: Any):
    if isinstance(value, Start):
        return value.plain()
    if isinstance(value, (Cut, Regaining)):
        told = {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
        return {name: item for name, item in told.items() if item is not None}
    return plain(value)


def place(training, outputs, seed):
    """The `Run` of a training: where it is kept, whether it is done."""
    return Run("trainings", training.name, {**training.plain(), "outputs": str(outputs), "seed": seed})

"""The keys of prune.py."""

import importlib
import importlib.util
import math
import numbers
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, List, Optional

from espalier.errors import InputError
from espalier.learning.training import short
from espalier.names import GATE_LETTERS, GATES, SCHEDULES, UNIT_SCORES, WEIGHT_SCORES
from espalier.settings.checks import checked, is_own, mapping, not_negative, own, positive
from espalier.settings.model import FeedForward, Model
from espalier.settings.training import Against, TrainConfig

Target = Enum("Target", {name: name for name in ("i2h", "h2h", "both", "linear", "all")})
Scope = Enum("Scope", {name: name for name in ("global", "layer", "tensor", "gate")})
Structure = Enum("Structure", {name: name for name in ("weight", "unit", "block")})
Rule = Enum("Rule", {name: name for name in ("exact", "percentile")})
Weights = Enum("Weights", {name: name for name in ("best", "last")})
Mode = Enum("Mode", {name: name for name in ("until_regained", "while_improving", "fixed")})
FORMATS = ("c", "c_int8", "int8", "onnx", "torch")


@dataclass
class Retrain:
    mode: Mode = Mode.until_regained
    max_epochs: int = 10
    checks_per_epoch: int = 4

    def __post_init__(self):
        not_negative("retrain.max_epochs", self.max_epochs)
        positive("retrain.checks_per_epoch", self.checks_per_epoch)


@dataclass
class Improving(Retrain):
    mode: Mode = Mode.while_improving
    max_epochs: int = 25
    patience: int = 2
    min_delta: float = 0.0
    against: Against = Against.best

    def __post_init__(self):
        super().__post_init__()
        positive("retrain.patience", self.patience)
        not_negative("retrain.min_delta", self.min_delta)


def retrain_settings(settings):
    """The checked settings of retraining, from a dict (or as they are); patience has its keys.  Raises: InputError."""
    if settings is None or isinstance(settings, Retrain):
        return settings or Retrain()
    mode = getattr(settings.get("mode"), "name", settings.get("mode", "until_regained"))
    return checked("retrain", mode, Improving if mode == "while_improving" else Retrain, mapping("retrain", settings))


@dataclass
class Tolerance:
    """tolerance: in the terms of the task's metric; None: the metric's own."""

    tolerance: Optional[float] = None


By = Enum("By", {name: name for name in ("curve", "levels")})


@dataclass
class Regain(Tolerance):
    """patience: looks in a row that have to be back within the tolerance."""

    patience: int = 2

    def __post_init__(self):
        positive("regain.patience", self.patience)


@dataclass
class Safe(Tolerance):
    """by: whether every whole percent is looked at, where there is a curve of them, or the levels alone."""

    by: By = By.curve


@dataclass
class PruneConfig(TrainConfig):
    target: Optional[Target] = None
    modules: Optional[List[str]] = None
    percent: Any = None
    gates: Any = None
    keep_diagonal: bool = False
    structure: Structure = Structure.weight
    block: List[int] = field(default_factory=lambda: [4, 4])
    score: Any = "magnitude"
    scope: Optional[Scope] = None
    rule: Rule = Rule.exact
    base: Optional[str] = None
    base_weights: Weights = Weights.best
    schedule: Any = None
    retrain: Any = None
    regain: Regain = field(default_factory=Regain)
    safe: Safe = field(default_factory=Safe)
    curve: bool = True
    controls: bool = False
    fresh: bool = False
    export: Any = None
    costs: bool = False
    report: Optional[str] = None

    objectives: ClassVar[tuple] = ("safe", "best", "regained", "regain_epoch")

    def __post_init__(self):
        super().__post_init__()
        self.retrain = retrain_settings(self.retrain)
        units = self.structure == Structure.unit
        linear = isinstance(self.model, FeedForward) and not units
        self.target = self.target or Target["linear" if linear else "both"]
        if isinstance(self.model, FeedForward):
            self.check_feedforward_cut()
        # Of weights all may go, of units never all.
        self.schedule = schedule(self.schedule)
        rounds = self.schedule.get("of") == "left"  # of what is left: in the order given, repeats too
        self.percent = list(range(10, 100 if units else 101, 10)) if self.percent is None else levels(self.percent, rounds)
        self.scope = self.scope or Scope["tensor" if units else "layer" if self.score == "obs" else "global"]
        self.export = formats(self.export)
        if units:
            self.check_units()
        self.score = self.checked_score()
        if units and "smallest" in self.schedule and self.schedule["name"] != "redundant":
            raise InputError("schedule.smallest counts weights: leave it away with structure=unit, or take schedule=redundant")
        if self.schedule.get("name") == "fixed_number" and self.structure != Structure.weight:
            raise InputError("schedule=fixed_number counts single weights: leave structure away, or take another schedule")
        self.modules = self.modules and sorted(set(self.modules))
        if self.schedule.get("name") == "redundant" and self.score != "variation":
            raise InputError(
                "schedule=redundant drops what score=variation calls redundant: add score=variation structure=unit"
            )
        scratch = self.schedule.get("weights") == "scratch"
        for asked, why in (
            (self.schedule.get("name") == "rewind", "schedule=rewind"), (self.fresh, "fresh=true"),
            (scratch, "schedule.weights=scratch"),
        ):  # fmt: skip
            if asked and self.base is not None:
                raise InputError(f"{why} needs the epochs of the base: leave base=FILE away")
        if self.schedule.get("name") == "gradual" and not self.retrain.max_epochs:
            raise InputError("schedule=gradual cuts while it retrains: retrain.max_epochs must be at least 1")
        if self.schedule.get("epoch", 0) > self.trainer.max_epochs:
            raise InputError(
                f"schedule.epoch={self.schedule['epoch']} is after the last epoch of the base, {self.trainer.max_epochs}"
            )
        self.gates = self.checked_gates()
        if self.modules is not None and not self.modules:
            raise InputError("modules must name at least one module; leave it away for all")
        if len(self.block) != 2 or min(self.block) < 1:
            raise InputError(f"block must be [rows, columns], both positive, got {list(self.block)}")
        looks = self.retrain.max_epochs * self.retrain.checks_per_epoch
        if 0 < looks < self.regain.patience:
            raise InputError(
                f"regain.patience={self.regain.patience} looks in a row can never be back in {looks} of them: raise "
                "retrain.max_epochs or retrain.checks_per_epoch, or say regain.patience=1"
            )
        for name in ("regain", "safe"):
            if getattr(self, name).tolerance is not None:
                not_negative(f"{name}.tolerance", getattr(self, name).tolerance)

    def checked_gates(self):
        """`gates` as a dict of letters and percents, or None.  Raises: InputError."""
        if self.gates is None and not self.keep_diagonal:
            return None
        if self.structure == Structure.unit or not isinstance(self.model, Model):
            raise InputError("gates and keep_diagonal are of single weights and blocks of model=recurrent")
        gates = mapping("gates", self.gates or {})
        known = [letter for letter in GATE_LETTERS[GATES[self.cell]] if letter]
        for letter, percent in gates.items():
            if letter not in known:
                raise InputError(f"gates: cell={self.cell} has no gate {letter!r}; it has {', '.join(known) or 'none'}")
            levels(percent)
        return gates or None

    def check_feedforward_cut(self):
        """Raise InputError about what only recurrent networks have, or can be shipped."""
        if self.target not in (Target.linear, Target.all) and self.structure != Structure.unit:
            raise InputError(f"target={self.target.name} names recurrent weights, model=feedforward has none: target=linear")
        if not set(formats(self.export)) <= {"c", "c_int8"}:
            raise InputError("export writes recurrent networks, of model=feedforward only in C: export=c")

    def checked_score(self):
        """The name of a score of ours, or the plain keys of one of the user's.  Raises: InputError."""
        if isinstance(self.score, dict) or "." in str(self.score):
            return own("score", dict(self.score) if isinstance(self.score, dict) else {"_target_": self.score})
        known, others = (UNIT_SCORES, WEIGHT_SCORES) if self.structure == Structure.unit else (WEIGHT_SCORES, UNIT_SCORES)
        if self.score not in known and self.score in others:
            ranked, remedy = ("hidden units", "unit") if others is UNIT_SCORES else ("single weights", "weight")
            raise InputError(f"score={self.score} ranks {ranked}: add structure={remedy}")
        if self.score not in known:
            raise InputError(f"score must be one of {', '.join(known)}, got {self.score!r}")
        return self.score

    @property
    def score_name(self):
        """One word for the score."""
        return short(self.score) if is_own(self.score) else self.score

    def check_units(self):
        """Raise InputError if the settings do not fit whole hidden units."""
        if self.target != Target.both or self.rule != Rule.exact:
            raise InputError("a unit goes as a whole: structure=unit takes target=both and rule=exact")
        if self.scope.name == "gate":
            raise InputError("scope of units must be one of tensor, layer, global, got gate")
        percents = self.percent
        if self.schedule.get("of") == "left":
            left = math.prod(1 - percent / 100 for percent in percents)
            percents = [round(100 * (1 - left), 10)]
        for percent in percents if self.base is None and isinstance(self.model, (Model, FeedForward)) else ():
            sizes = [sum(self.model.hidden)] if self.scope.name == "global" else self.model.hidden
            for hidden in sizes:
                if round(percent / 100 * hidden) >= hidden:
                    raise InputError(f"percent={percent} would remove all {hidden} units of a layer; lower it")


def formats(export):
    """`export` as a sorted list of names from `FORMATS`: None, `onnx`, `onnx,torch` and lists are understood.

    Raises: InputError.
    """
    if export is None:
        return []
    names = export.split(",") if isinstance(export, str) else list(export) if isinstance(export, Iterable) else [export]
    unknown = [str(name) for name in names if name not in FORMATS]
    wanted = next((name for name in ("onnx", "int8") if name in names), None)
    missing = [name for name in ("onnx", "onnxruntime") if wanted and importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"export={wanted} needs {' and '.join(missing)}: pip install 'espalier[onnx]'")
    if unknown:
        raise InputError(f"export must be among {', '.join(FORMATS)}, got {', '.join(unknown)}")
    return sorted(set(names))


def schedule(settings):
    """The keys of a schedule as a plain dict, checked.  Raises: InputError."""
    settings = {"name": "one_shot"} if settings is None else mapping("schedule", settings)
    if "_target_" in settings:
        return own("schedule", settings)
    name = settings.pop("name", None)
    if name not in SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
    keys = getattr(importlib.import_module(SCHEDULES[name].partition(":")[0]), "KEYS", {})
    unknown = [str(key) for key in settings if key not in keys]
    if unknown:
        raise InputError(f"schedule={name} has no key {', '.join(unknown)}; it has {', '.join(keys) or 'none'}")
    for key, (usual, check) in keys.items():
        settings.setdefault(key, usual)
        check(f"schedule.{key}", settings[key])
    return {"name": name, **{key: settings[key] for key in keys if settings[key] is not None}}


def levels(percent, rounds=False):
    """`percent` as a sorted list of distinct numbers from 0 to 100 (whole ones as int): 10, 10.0 and [10] are the same.

    rounds: in the order given, repeats too.  Raises: InputError.
    """
    values = list(percent) if isinstance(percent, (list, tuple)) else [percent]
    if not values:
        raise InputError("percent must name at least one level")
    values = [value.item() if getattr(value, "ndim", None) == 0 else value for value in values]  # of numpy, or a tensor
    for value in values:
        if isinstance(value, bool) or not isinstance(value, numbers.Real):
            raise InputError(f"percent must be a number from 0 to 100 or a list of them, got {value!r}")
        if not 0 <= value <= 100:
            raise InputError(f"percent must be from 0 to 100, got {value}")
    values = [int(value) if value == int(value) else float(value) for value in values]
    return values if rounds else sorted(set(values))

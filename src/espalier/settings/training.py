"""The keys of train.py, which all doors share."""

import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, Optional

from espalier.errors import InputError
from espalier.learning.training import short
from espalier.names import OPTIMIZERS, TASKS, usual_hidden, usual_task
from espalier.settings.checks import checked, is_own, mapping, member, not_negative, own, positive, share
from espalier.settings.data import data_settings, usual
from espalier.settings.model import FeedForward, Model, Readout

#: What task=logged reads.
LOGGED = ("metric", "higher", "tolerance", "relative", "column", "label")


@dataclass
class Optimizer:
    name: str = "adam"
    lr: Optional[float] = None
    weight_decay: float = 0.0

    def __post_init__(self):
        if self.name not in OPTIMIZERS:
            raise InputError(f"optimizer.name must be one of {', '.join(OPTIMIZERS)}, got {self.name!r}")
        if self.lr is not None:
            positive("optimizer.lr", self.lr)
        not_negative("optimizer.weight_decay", self.weight_decay)


Against = Enum("Against", {name: name for name in ("best", "previous")})


@dataclass
class Plateau:
    factor: float = 0.1
    least: float = 1e-4
    min_delta: float = 0.0
    against: Against = Against.best
    momentum: Optional[float] = None

    def __post_init__(self):
        if not 0 < self.factor < 1:
            raise InputError(f"trainer.plateau.factor must be above 0 and below 1, got {self.factor}")
        positive("trainer.plateau.least", self.least)
        not_negative("trainer.plateau.min_delta", self.min_delta)
        if self.momentum is not None:
            share("trainer.plateau.momentum", self.momentum)


@dataclass
class Trainer:
    max_epochs: int = 50
    clip_norm: float = 5.0
    plateau: Any = None

    def __post_init__(self):
        positive("trainer.max_epochs", self.max_epochs)
        not_negative("trainer.clip_norm", self.clip_norm)
        if self.plateau is not None and not isinstance(self.plateau, Plateau):
            self.plateau = checked("trainer", "plateau", Plateau, mapping("trainer.plateau", self.plateau))


@dataclass
class Logger:
    """tensorboard: whether TensorBoard events are written; own: `_target_` and keys of another Lightning logger, or None."""

    tensorboard: bool = True
    own: Any = None


def logger_settings(logger):
    """The checked logger, from a dict (or as it is).  Raises: InputError."""
    if logger is None or isinstance(logger, Logger):
        return logger or Logger()
    logger = mapping("logger", logger)
    if "_target_" in logger:
        return Logger(False, own("logger", logger))
    if isinstance(logger.get("own"), dict):  # of a config.yaml
        own("logger", logger["own"])
    return checked("logger", "tensorboard", Logger, logger)


@dataclass
class TrainConfig:
    cell: str = "lstm"
    data: Any = None
    task: Any = None
    model: Any = None
    optimizer: Optimizer = field(default_factory=Optimizer)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Any = None
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    outputs: str = "outputs"
    force: bool = False
    objective: Optional[str] = None
    list: Optional[str] = None

    models: ClassVar[dict] = {"recurrent": Model, "feedforward": FeedForward}
    objectives: ClassVar[tuple] = ("best",)

    def __post_init__(self):
        self.data = data_settings(self.data)
        self.task = task_settings(self.task, self.data)
        self.model = member("model", self.model, self.models, next(iter(self.models)))
        self.logger = logger_settings(self.logger)
        if self.task.get("name") == "logged":
            self.refuse_optimizer()
        elif self.optimizer.lr is None:
            self.optimizer.lr = usual(self.data, "lr")
        name, falls = self.optimizer.name, self.trainer.plateau
        if falls and falls.momentum is not None and name not in ("sgd", "rmsprop"):
            raise InputError(f"trainer.plateau.momentum: {name} has none; leave it away, or take optimizer.name=sgd")
        if is_own(self.model):
            self.name_own_model()
        elif isinstance(self.model, FeedForward):
            self.check_feedforward()
        else:
            self.complete_model()
        not_negative("seed", self.seed)
        positive("threads", self.threads)
        if not self.outputs:
            raise InputError("outputs must name a folder; outputs=. is this one")
        if self.objective is not None and self.objective not in self.objectives:
            raise InputError(f"objective must be one of {', '.join(self.objectives)}, got {self.objective!r}")
        if self.device not in ("auto", "cpu", "cuda") and not re.fullmatch(r"cuda:(0|[1-9]\d{0,2})", self.device):
            raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {self.device!r}")

    def refuse_optimizer(self):
        """Raise InputError about keys of an optimizer that nothing would read."""
        if self.trainer.plateau:
            raise InputError("trainer.plateau: a LightningModule configures its own learning rates; leave it away")
        for name, usual_value in (("name", "adam"), ("lr", None), ("weight_decay", 0.0)):
            if getattr(self.optimizer, name) != usual_value:
                raise InputError(
                    f"optimizer.{name}: a LightningModule configures its own optimizer; give it a key of the model"
                )
        if not is_own(self.model):
            raise InputError("task=logged judges by what a LightningModule logs: name one with model._target_")

    def name_own_model(self):
        """The user's model stands for the cell in tables, unless it is one of its keys."""
        name = short(self.model)
        if "cell" not in self.model:
            if self.cell not in ("lstm", name):
                raise InputError(
                    f"cell={self.cell}: {self.model['_target_']} does not read it; say cell: ${{cell}} in its file"
                )
            self.cell = name

    def check_feedforward(self):
        """A feed-forward network has no cell; its name stands for it in tables."""
        if self.cell not in ("lstm", self.model.name):
            raise InputError(f"cell={self.cell}: model=feedforward has no recurrent cell; leave cell away")
        if not is_own(self.data) and not usual(self.data, "images"):
            raise InputError(
                f"model=feedforward reads examples of one size (data=digits, data=mnist), data={short_name(self.data)} has "
                "sequences: leave model=feedforward away"
            )
        self.cell = self.model.name

    def complete_model(self):
        if usual(self.data, "images"):
            raise InputError(f"data={short_name(self.data)} has images, no sequences: add model=feedforward")
        if self.model.readout is None:
            readout = usual(self.data, "readout")
            graph = not isinstance(self.model, Model)
            self.model.readout = Readout["last_token" if graph and readout == "all_steps" else readout]
        if self.model.readout == Readout.all_steps:
            if not isinstance(self.model, Model):
                raise InputError("model.readout=all_steps is of model=recurrent")
            if not is_own(self.data) and usual(self.data, "readout") != "all_steps":
                raise InputError(
                    "model.readout=all_steps needs sequences of one length (data=sine, data=series_csv), "
                    f"data={short_name(self.data)} has others"
                )
        if getattr(self.model, "hidden", ()) is None:
            self.model.hidden = usual_hidden(named(self.data))
        if self.model.embedding is not None and usual(self.data, "values"):
            raise InputError(f"model.embedding is of tokens; data={short_name(self.data)} has values")


def short_name(data):
    """One word for the data."""
    return short(named(data))


def named(data):
    """The settings of data as far as they tell its kind, plain."""
    return data if is_own(data) else {"name": data.name}


def task_settings(task, data):
    """The checked settings of a task as a plain dict; None: the usual one of the data.  Raises: InputError."""
    if task is None or isinstance(task, str):
        task = {"name": usual_task(named(data)) if task is None else task}
    task = mapping("task", task)
    if "_target_" in task:
        return own("task", task)
    name = task.get("name")
    if name not in TASKS:
        raise InputError(f"task must be one of {', '.join(TASKS)}, got {name!r}")
    known = LOGGED if name == "logged" else ()
    unknown = [str(key) for key in task if key not in ("name", *known)]
    if unknown:
        raise InputError(f"task={name} has no key {', '.join(unknown)}; it has {', '.join(known) or 'none'}")
    if name == "logged" and (not isinstance(task.get("metric"), str) or not isinstance(task.get("higher"), bool)):
        raise InputError(
            "task=logged needs task.metric=NAME, as the model logs it in validation, and task.higher=true or false"
        )
    return {key: value for key, value in task.items() if value is not None}

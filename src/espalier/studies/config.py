"""The schema of the configuration: every key with its type, default and range. Imports neither torch nor Lightning.

`conf/` composes values for it; where a study did otherwise, `conf/experiment/thesis_*.yaml` says so.
"""

import importlib.util
import math
import numbers
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, List, Optional

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from espalier.errors import InputError, doubt
from espalier.learning.training import USUAL
from espalier.names import OPTIMIZERS, REGRESSORS, SCHEDULES, UNIT_SCORES, WEIGHT_SCORES


class Target(Enum):
    i2h = "i2h"
    h2h = "h2h"
    both = "both"


# "global" cannot be the name of a member in a class body.
Scope = Enum("Scope", {name: name for name in ("global", "layer", "tensor", "gate")})


class Structure(Enum):
    weight = "weight"
    unit = "unit"
    block = "block"


class Rule(Enum):
    exact = "exact"
    percentile = "percentile"


class Readout(Enum):
    last_token = "last_token"
    last_step = "last_step"


class Init(Enum):
    orthogonal = "orthogonal"
    uniform = "uniform"


class Batching(Enum):
    stratified = "stratified"
    random = "random"


class Weights(Enum):
    best = "best"
    last = "last"


class Mode(Enum):
    until_regained = "until_regained"
    fixed = "fixed"


class Skip(Enum):
    summed = "summed"
    separate = "separate"


class GateMask(Enum):
    tiled = "tiled"
    interleaved = "interleaved"


class H2h(Enum):
    dense = "dense"
    diagonal = "diagonal"


class Sinks(Enum):
    last_layer = "last_layer"
    all = "all"


class Initial(Enum):
    isolated = "isolated"
    star = "star"


FORMATS = ("onnx", "torch")


def _positive(name, value):
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"{name} must be positive, got {value}")


def _not_negative(name, value):
    if not (math.isfinite(value) and value >= 0):
        raise InputError(f"{name} must not be negative, got {value}")


@dataclass
class Shares:
    near: float = 0.4
    altered: float = 0.3
    foreign: float = 0.3

    def __post_init__(self):
        for name in ("near", "altered", "foreign"):
            _not_negative(f"data.shares.{name}", getattr(self, name))
        if abs(self.near + self.altered + self.foreign - 1) > 1e-9:
            raise InputError(f"data.shares must sum to 1, got {self.near} + {self.altered} + {self.foreign}")


@dataclass
class Examples:
    """What every kind of data has."""

    name: str = ""
    train_size: Optional[int] = None
    test_size: Optional[int] = None
    validation_fraction: float = 0.1
    deduplicate: bool = True
    seed: int = 0
    batch_size: int = 32
    batching: Batching = Batching.stratified

    def __post_init__(self):
        _positive("data.batch_size", self.batch_size)
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                _positive(f"data.{name}", getattr(self, name))
        if not 0 <= self.validation_fraction < 1:
            raise InputError(f"data.validation_fraction must be from 0 to below 1, got {self.validation_fraction}")


@dataclass
class Reber(Examples):
    name: str = "reber"
    min_length: int = 11
    shares: Shares = field(default_factory=Shares)

    def __post_init__(self):
        super().__post_init__()
        if not 5 <= self.min_length <= 20:
            raise InputError(f"data.min_length must be from 5 (the shortest Reber string) to 20, got {self.min_length}")


@dataclass
class Files(Examples):
    """Data of two files."""

    train: Optional[str] = None
    test: Optional[str] = None


@dataclass
class ReberCsv(Files):
    name: str = "reber_csv"


@dataclass
class StringsCsv(Files):
    name: str = "strings_csv"
    string: str = "string"
    label: str = "label"


@dataclass
class Sequences(Files):
    name: str = "sequences"
    scale: bool = True


#: Kind of data -> the schema of its keys.
KINDS = {"reber": Reber, "reber_csv": ReberCsv, "strings_csv": StringsCsv, "sequences": Sequences}
#: Units per layer and learning rate that nobody asked for, by kind of data; measured (see benchmarks/RESULTS.md).
HIDDEN = {"sequences": [64]}
LR = {"sequences": 3e-3}


def data_settings(data):
    """The checked settings of a kind of data, from a dict (or as they are).  Raises: InputError."""
    if isinstance(data, Examples):
        return data
    data = {"name": "reber"} if data is None else dict(data)
    if data.get("name") not in KINDS:
        raise InputError(f"data.name must be one of {', '.join(KINDS)}, got {data.get('name')!r}")
    try:
        return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(KINDS[data["name"]]), data))
    except OmegaConfBaseException as error:
        first = str(error).splitlines()[0]
        key = getattr(error, "full_key", None)
        raise InputError(f"data.{key}: {first}" if key else f"data={data['name']}: {first}") from None


@dataclass
class Model:
    hidden: Optional[List[int]] = None
    embedding: Optional[int] = None
    readout: Readout = Readout.last_token
    init: Init = Init.orthogonal

    def __post_init__(self):
        if self.hidden is not None and not self.hidden:
            raise InputError("model.hidden must name at least one layer size")
        for size in self.hidden or ():
            _positive("model.hidden", size)
        if self.embedding is not None:
            _positive("model.embedding", self.embedding)


@dataclass
class Optimizer:
    name: str = "adam"
    lr: Optional[float] = None
    weight_decay: float = 0.0

    def __post_init__(self):
        if self.name not in OPTIMIZERS:
            raise InputError(f"optimizer.name must be one of {', '.join(OPTIMIZERS)}, got {self.name!r}")
        if self.lr is not None:
            _positive("optimizer.lr", self.lr)
        _not_negative("optimizer.weight_decay", self.weight_decay)


@dataclass
class Trainer:
    max_epochs: int = 50
    clip_norm: float = 5.0

    def __post_init__(self):
        _positive("trainer.max_epochs", self.max_epochs)
        _not_negative("trainer.clip_norm", self.clip_norm)


@dataclass
class Logger:
    tensorboard: bool = True


@dataclass
class TrainConfig:
    cell: str = "lstm"
    data: Any = None
    model: Model = field(default_factory=Model)
    optimizer: Optimizer = field(default_factory=Optimizer)
    trainer: Trainer = field(default_factory=Trainer)
    logger: Logger = field(default_factory=Logger)
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    outputs: str = "outputs"
    force: bool = False

    def __post_init__(self):
        self.data = data_settings(self.data)
        if self.optimizer.lr is None:
            self.optimizer.lr = LR.get(self.data.name, 1e-3)
        if getattr(self.model, "hidden", ()) is None:
            self.model.hidden = list(HIDDEN.get(self.data.name, USUAL))
        if self.model.embedding is not None and self.data.name == "sequences":
            raise InputError("model.embedding is of tokens; data=sequences has values")
        _not_negative("seed", self.seed)
        _positive("threads", self.threads)
        if self.device not in ("auto", "cpu", "cuda") and not self.device.removeprefix("cuda:").isdigit():
            raise InputError(f"device must be auto, cpu, cuda or cuda:N, got {self.device!r}")


@dataclass
class Retrain:
    mode: Mode = Mode.until_regained
    max_epochs: int = 10
    checks_per_epoch: int = 4

    def __post_init__(self):
        _not_negative("retrain.max_epochs", self.max_epochs)
        _positive("retrain.checks_per_epoch", self.checks_per_epoch)


@dataclass
class Tolerance:
    tolerance: float = 0.01


@dataclass
class PruneConfig(TrainConfig):
    target: Target = Target.both
    percent: Any = None
    structure: Structure = Structure.weight
    block: List[int] = field(default_factory=lambda: [4, 4])
    score: str = "magnitude"
    scope: Optional[Scope] = None
    rule: Rule = Rule.exact
    base: Optional[str] = None
    base_weights: Weights = Weights.best
    schedule: Any = None
    retrain: Retrain = field(default_factory=Retrain)
    regain: Tolerance = field(default_factory=Tolerance)
    safe: Tolerance = field(default_factory=Tolerance)
    curve: bool = True
    controls: bool = False
    export: Any = None
    costs: bool = False
    report: Optional[str] = None

    def __post_init__(self):
        super().__post_init__()
        units = self.structure == Structure.unit
        # Of weights all may go, of units never all.
        self.schedule = schedule(self.schedule)
        rounds = self.schedule.get("of") == "left"  # of what is left: in the order given, repeats too
        self.percent = list(range(10, 100 if units else 101, 10)) if self.percent is None else levels(self.percent, rounds)
        self.scope = self.scope or Scope["tensor" if units else "global"]
        self.export = formats(self.export)
        if units:
            self.check_units()
        self.check_score()
        if self.schedule["name"] == "rewind" and self.base is not None:
            raise InputError("schedule=rewind needs the epochs of the base: leave base=FILE away")
        if self.schedule.get("epoch", 0) > self.trainer.max_epochs:
            raise InputError(
                f"schedule.epoch={self.schedule['epoch']} is after the last epoch of the base, {self.trainer.max_epochs}"
            )
        if len(self.block) != 2 or min(self.block) < 1:
            raise InputError(f"block must be [rows, columns], both positive, got {list(self.block)}")
        for name in ("regain", "safe"):
            _not_negative(f"{name}.tolerance", getattr(self, name).tolerance)

    def check_score(self):
        """Raise InputError if nothing ranks what goes by this score."""
        known, others = (UNIT_SCORES, WEIGHT_SCORES) if self.structure == Structure.unit else (WEIGHT_SCORES, UNIT_SCORES)
        if self.score not in known and self.score in others:
            ranked, remedy = ("hidden units", "unit") if others is UNIT_SCORES else ("single weights", "weight")
            raise InputError(f"score={self.score} ranks {ranked}: add structure={remedy}")
        if self.score not in known:
            raise InputError(f"score must be one of {', '.join(known)}, got {self.score!r}")

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
        for percent in percents if self.base is None else ():
            for hidden in self.model.hidden:
                if round(percent / 100 * hidden) >= hidden:
                    raise InputError(f"percent={percent} would remove all {hidden} units of a layer; lower it")


@dataclass
class GraphModel:
    skip: Skip = Skip.summed
    gate_mask: GateMask = GateMask.tiled
    h2h: H2h = H2h.dense
    sinks: Sinks = Sinks.last_layer
    embedding: Optional[int] = None
    readout: Readout = Readout.last_token
    init: Init = Init.orthogonal

    def __post_init__(self):
        if self.embedding is not None:
            _positive("model.embedding", self.embedding)


@dataclass
class Graph:
    barabasi_albert: int = 70
    watts_strogatz: int = 70
    erdos_renyi: int = 60
    nodes: List[int] = field(default_factory=lambda: [10, 50])
    attach: float = 0.1
    ba_initial: Initial = Initial.isolated
    neighbours: float = 0.2
    rewire: List[float] = field(default_factory=lambda: [0.1, 0.5, 1.0])
    probability: List[float] = field(default_factory=lambda: [0.2, 0.3])
    tries: int = 100
    folder: Optional[str] = None
    seed: int = 0

    def __post_init__(self):
        counts = [self.barabasi_albert, self.watts_strogatz, self.erdos_renyi]
        if min(counts) < 0 or (not any(counts) and not self.folder):
            raise InputError(f"graph needs a number of graphs, got {counts} (or graph.folder=DIR)")
        if len(self.nodes) != 2 or not 2 <= self.nodes[0] <= self.nodes[1]:
            raise InputError(f"graph.nodes must be [fewest, most] with at least 2, got {list(self.nodes)}")
        for name in ("attach", "neighbours", "tries"):
            _positive(f"graph.{name}", getattr(self, name))
        for name in ("rewire", "probability"):
            values = getattr(self, name)
            if not values or not all(0 <= value <= 1 for value in values):
                raise InputError(f"graph.{name} must be a list of numbers from 0 to 1, got {list(values)}")


@dataclass
class Predictor:
    regressors: List[str] = field(default_factory=lambda: list(REGRESSORS)[:3])
    folds: int = 5
    repeats: int = 4
    seed: int = 0

    def __post_init__(self):
        unknown = [name for name in self.regressors if name not in REGRESSORS]
        if unknown or not self.regressors:
            raise InputError(f"predictor.regressors must be among {', '.join(REGRESSORS)}, got {', '.join(unknown) or 'none'}")
        if self.folds < 2:
            raise InputError(f"predictor.folds must be at least 2, got {self.folds}")
        _positive("predictor.repeats", self.repeats)


@dataclass
class StructureConfig(TrainConfig):
    model: GraphModel = field(default_factory=GraphModel)
    graph: Graph = field(default_factory=Graph)
    predictor: Predictor = field(default_factory=Predictor)
    dense: int = 10
    processes: Optional[int] = None
    results: Optional[str] = None
    predict: Optional[int] = None
    predict_each: int = 5
    report: Optional[str] = None

    def __post_init__(self):
        super().__post_init__()
        _not_negative("dense", self.dense)
        _positive("predict_each", self.predict_each)
        if self.processes is not None:
            _positive("processes", self.processes)
        if self.predict is not None and self.predict < 4:
            raise InputError(f"predict must be at least 4 graphs, got {self.predict}")


def formats(export):
    """`export` as a sorted list of names from `FORMATS`: None, `onnx`, `onnx,torch` and lists are understood.

    Raises: InputError.
    """
    if export is None:
        return []
    names = export.split(",") if isinstance(export, str) else list(export)
    unknown = [str(name) for name in names if name not in FORMATS]
    missing = [name for name in ("onnx", "onnxruntime") if "onnx" in names and importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(f"export=onnx needs {' and '.join(missing)}: pip install 'espalier[onnx]'")
    if unknown:
        raise InputError(f"export must be among {', '.join(FORMATS)}, got {', '.join(unknown)}")
    return sorted(set(names))


#: Schedule -> its keys with their values where nothing is said.
SCHEDULE_KEYS = {
    "one_shot": {}, "iterative": {"of": "all"}, "fixed_number": {"weights": 1000}, "rewind": {"epoch": 0},
    "bisect": {"precision": 1},
}  # fmt: skip


def schedule(settings):
    """The keys of a schedule as a plain dict, checked.  Raises: InputError."""
    settings = {"name": "one_shot"} if settings is None else dict(settings)
    name = settings.pop("name", None)
    if name not in SCHEDULES:
        raise InputError(f"schedule must be one of {', '.join(SCHEDULES)}, got {name!r}")
    keys = SCHEDULE_KEYS.get(name, {})
    unknown = [str(key) for key in settings if key not in keys]
    if unknown:
        raise InputError(f"schedule={name} has no key {', '.join(unknown)}; it has {', '.join(keys) or 'none'}")
    settings = {"name": name, **keys, **settings}
    if settings.get("of", "all") not in ("all", "left"):
        raise InputError(f"schedule.of must be all or left, got {settings['of']!r}")
    for key in ("epoch", "weights"):
        value = settings.get(key, 1)
        if isinstance(value, bool) or not isinstance(value, int) or value < (key == "weights"):
            raise InputError(f"schedule.{key} must be a whole number, not negative, got {value!r}")
    precision = settings.get("precision", 1)
    if isinstance(precision, bool) or not isinstance(precision, numbers.Real) or not 0.001 <= precision <= 100:
        raise InputError(f"schedule.precision must be a number from 0.001 to 100 percent, got {precision!r}")
    return settings


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


def notes(config):
    """What is worth a line before work starts, though it is no mistake."""
    return [doubt(percent) for percent in getattr(config, "percent", ()) if doubt(percent)]


def to_config(composed):
    """The checked configuration object of a composed Hydra config.  Raises: InputError in one line."""
    try:
        config = OmegaConf.to_object(composed)
        refuse_unknown(composed, type(config))
        return config
    except InputError as error:
        raise InputError(str(error).splitlines()[0]) from None
    except OmegaConfBaseException as error:
        raise InputError(" ".join(str(error).split())) from None


def refuse_unknown(composed, kind):
    """Raise InputError about keys that were added with `+` and that nothing would read."""
    unknown = [str(key) for key in composed if key not in kind.__dataclass_fields__]
    if unknown:
        raise InputError(f"nothing reads {', '.join(unknown)}; there are {', '.join(kind.__dataclass_fields__)}")
    for key, field_ in kind.__dataclass_fields__.items():
        if hasattr(field_.type, "__dataclass_fields__"):
            refuse_unknown(composed[key], field_.type)


def from_yaml(path, kind):
    """The configuration object in a run's config.yaml. Runs of before the kinds of data had keys of their own had all of them:
    those that mean nothing are passed over.
    """
    stored = OmegaConf.load(path)
    own = KINDS[stored.data.name].__dataclass_fields__
    stored.data = {key: value for key, value in stored.data.items() if key in own}
    return OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), stored))


def register():
    """Put the schemas where the root files in `conf/` find them."""
    store = ConfigStore.instance()
    store.store(name="train_schema", node=TrainConfig)
    store.store(name="prune_schema", node=PruneConfig)
    store.store(name="structure_schema", node=StructureConfig)

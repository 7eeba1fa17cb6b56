"""Kinds of data and their keys. A kind says with what it is usually learned; its task and units stand in `espalier.names`."""

from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Optional

from espalier.errors import InputError
from espalier.settings.checks import checked, is_own, keys, member, not_negative, positive, share

Batching = Enum("Batching", {name: name for name in ("stratified", "random")})
TokenKind = Enum("TokenKind", {name: name for name in ("characters", "words", "bytes")})


@dataclass
class Shares:
    near: float = 0.4
    altered: float = 0.3
    foreign: float = 0.3

    def __post_init__(self):
        for name in ("near", "altered", "foreign"):
            not_negative(f"data.shares.{name}", getattr(self, name))
        if abs(self.near + self.altered + self.foreign - 1) > 1e-9:
            raise InputError(f"data.shares must sum to 1, got {self.near} + {self.altered} + {self.foreign}")


@dataclass
class Batched:
    """What every kind has. `lr` where nobody asks for another: measured (see benchmarks/RESULTS.md)."""

    name: str = ""
    batch_size: int = 32
    validation_fraction: float = 0.1

    readout: ClassVar[str] = "last_token"
    lr: ClassVar[float] = 1e-3
    values: ClassVar[bool] = False  # no tokens
    images: ClassVar[bool] = False  # examples of one size, no sequences
    files: ClassVar[bool] = False

    def __post_init__(self):
        positive("data.batch_size", self.batch_size)
        share("data.validation_fraction", self.validation_fraction)


@dataclass
class Sampled(Batched):
    """Examples of which there is a number."""

    train_size: Optional[int] = None
    test_size: Optional[int] = None
    seed: int = 0

    def __post_init__(self):
        super().__post_init__()
        for name in ("train_size", "test_size"):
            if getattr(self, name) is not None:
                positive(f"data.{name}", getattr(self, name))


@dataclass
class Examples(Sampled):
    deduplicate: bool = True
    batching: Batching = Batching.stratified


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

    files: ClassVar[bool] = True


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

    lr: ClassVar[float] = 3e-3
    values: ClassVar[bool] = True


@dataclass
class Text(Batched):
    name: str = "text"
    path: Optional[str] = None
    tokens: TokenKind = TokenKind.characters
    window: int = 64
    test_fraction: float = 0.05
    validation_fraction: float = 0.05

    readout: ClassVar[str] = "every_step"
    lr: ClassVar[float] = 2e-3
    files: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        positive("data.window", self.window)
        positive("data.test_fraction", self.test_fraction)
        if self.test_fraction + self.validation_fraction >= 1:
            raise InputError("data.test_fraction and data.validation_fraction leave nothing to train on; lower them")


@dataclass
class Generated(Sampled):
    train_size: int = 5000
    test_size: int = 1000


@dataclass
class Adding(Generated):
    name: str = "adding"
    steps: int = 30

    lr: ClassVar[float] = 2e-3
    values: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        if self.steps < 2:
            raise InputError(f"data.steps must be at least 2, got {self.steps}")


@dataclass
class Copy(Generated):
    name: str = "copy"
    symbols: int = 8
    length: int = 5
    delay: int = 10

    readout: ClassVar[str] = "every_step"
    lr: ClassVar[float] = 3e-3

    def __post_init__(self):
        super().__post_init__()
        for name in ("length", "delay"):
            positive(f"data.{name}", getattr(self, name))
        if not 2 <= self.symbols <= 200:
            raise InputError(f"data.symbols must be from 2 to 200, got {self.symbols}")


@dataclass
class EmbeddedReber(Generated):
    name: str = "embedded_reber"
    train_size: int = 4000

    readout: ClassVar[str] = "every_step"
    lr: ClassVar[float] = 3e-3


@dataclass
class Series(Batched):
    """A series of numbers, forecast by windows."""

    past: int = 20
    ahead: int = 20
    share: float = 0.8
    season: Optional[int] = None
    published: bool = False

    readout: ClassVar[str] = "all_steps"
    values: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        for name in ("past", "ahead"):
            positive(f"data.{name}", getattr(self, name))
        if not 0 < self.share < 1:
            raise InputError(f"data.share must be above 0 and below 1, got {self.share}")
        if self.season is not None:
            positive("data.season", self.season)
        if self.published:  # test judged
            self.validation_fraction = 0.0


@dataclass
class Sine(Series):
    name: str = "sine"
    length: int = 7000
    seed: int = 42

    def __post_init__(self):
        super().__post_init__()
        if not 1 <= self.length <= 7000:
            raise InputError(f"data.length must be from 1 to 7000, got {self.length}")


@dataclass
class SeriesCsv(Series):
    name: str = "series_csv"
    path: Optional[str] = None
    column: Optional[str] = None
    skip: int = 0
    past: int = 48
    ahead: int = 24

    files: ClassVar[bool] = True

    def __post_init__(self):
        super().__post_init__()
        not_negative("data.skip", self.skip)


@dataclass
class Images(Sampled):
    images: ClassVar[bool] = True
    values: ClassVar[bool] = True


@dataclass
class Digits(Images):
    name: str = "digits"
    side: int = 28

    def __post_init__(self):
        super().__post_init__()
        if not 8 <= self.side <= 64:
            raise InputError(f"data.side must be from 8 to 64 pixels, got {self.side}")


@dataclass
class Mnist(Images):
    name: str = "mnist"
    root: Optional[str] = None
    batch_size: int = 64

    files: ClassVar[bool] = True


@dataclass
class Own:
    """What we need of the user's data; their function gets it too, where it takes it."""

    batch_size: int = 32
    seed: int = 0
    batching: Batching = Batching.stratified


_KINDS = (
    Reber, ReberCsv, Sine, SeriesCsv, Digits, Mnist, StringsCsv, Sequences, Text, Adding, Copy, EmbeddedReber,
)  # fmt: skip
KINDS = {kind.name: kind for kind in _KINDS}


def data_settings(data):
    """The checked settings of a kind of data, from a dict (or as they are).  Raises: InputError."""
    data = member("data", data, KINDS, "reber")
    if is_own(data):
        ours = {name: data[name] for name in keys(Own) if name in data}
        ours = checked("data", data["_target_"], Own, ours)
        positive("data.batch_size", ours.batch_size)
        data = {**data, "batch_size": ours.batch_size, "seed": ours.seed, "batching": ours.batching.name}
    return data


def usual(data, what):
    """What a kind of data is usually learned with: its `readout` or `lr`; and whether it is of `values`, or of `images`."""
    return getattr(Batched if is_own(data) else type(data), what)

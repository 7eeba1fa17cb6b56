"""Models of ours and their keys."""

from dataclasses import dataclass, field
from enum import Enum
from typing import List, Optional

from espalier.errors import InputError
from espalier.settings.checks import positive, share

Readout = Enum("Readout", {name: name for name in ("last_token", "last_step", "every_step", "mean", "all_steps")})
Init = Enum("Init", {name: name for name in ("orthogonal", "uniform")})
Skip = Enum("Skip", {name: name for name in ("summed", "separate")})
GateMask = Enum("GateMask", {name: name for name in ("tiled", "interleaved")})
H2h = Enum("H2h", {name: name for name in ("dense", "diagonal")})
Sinks = Enum("Sinks", {name: name for name in ("last_layer", "all")})


@dataclass
class Model:
    name: str = "recurrent"
    hidden: Optional[List[int]] = None
    embedding: Optional[int] = None
    readout: Optional[Readout] = None
    init: Init = Init.orthogonal
    dropout: float = 0.0

    def __post_init__(self):
        if self.hidden is not None and not self.hidden:
            raise InputError("model.hidden must name at least one layer size")
        for size in self.hidden or ():
            positive("model.hidden", size)
        if self.embedding is not None:
            positive("model.embedding", self.embedding)
        share("model.dropout", self.dropout)


@dataclass
class FeedForward:
    name: str = "feedforward"
    hidden: List[int] = field(default_factory=lambda: [100])
    bias: bool = True
    dropout: float = 0.0

    def __post_init__(self):
        if not self.hidden:
            raise InputError("model.hidden must name at least one layer size")
        for size in self.hidden:
            positive("model.hidden", size)
        share("model.dropout", self.dropout)


@dataclass
class GraphModel:
    name: str = "graph"
    skip: Skip = Skip.summed
    gate_mask: GateMask = GateMask.tiled
    h2h: H2h = H2h.dense
    sinks: Sinks = Sinks.last_layer
    embedding: Optional[int] = None
    readout: Optional[Readout] = None
    init: Init = Init.orthogonal

    def __post_init__(self):
        if self.embedding is not None:
            positive("model.embedding", self.embedding)

"""The schema of the configuration: every key with its type, default and range. Imports neither torch nor Lightning.

`conf/` composes values for it; where a study did otherwise, `conf/experiment/thesis_*.yaml` says so.
"""

from espalier.settings.compose import from_yaml, notes, register, to_config
from espalier.settings.data import (
    Adding,
    Batching,
    Copy,
    Digits,
    EmbeddedReber,
    Mnist,
    Reber,
    ReberCsv,
    Sequences,
    SeriesCsv,
    Shares,
    Sine,
    StringsCsv,
    Text,
    TokenKind,
)  # fmt: skip
from espalier.settings.model import FeedForward, GateMask, GraphModel, H2h, Init, Model, Readout, Sinks, Skip
from espalier.settings.pruning import By, Mode, PruneConfig, Regain, Retrain, Rule, Safe, Scope, Structure, Target, Weights
from espalier.settings.search import Graph, Initial, Predictor, StructureConfig
from espalier.settings.training import Logger, Optimizer, TrainConfig, Trainer

__all__ = [
    "Adding",
    "Batching",
    "By",
    "Copy",
    "Digits",
    "EmbeddedReber",
    "FeedForward",
    "GateMask",
    "Graph",
    "GraphModel",
    "H2h",
    "Init",
    "Initial",
    "Logger",
    "Mnist",
    "Mode",
    "Model",
    "Optimizer",
    "Predictor",
    "PruneConfig",
    "Readout",
    "Reber",
    "ReberCsv",
    "Regain",
    "Retrain",
    "Rule",
    "Safe",
    "Scope",
    "Sequences",
    "SeriesCsv",
    "Shares",
    "Sine",
    "Sinks",
    "Skip",
    "StringsCsv",
    "Structure",
    "StructureConfig",
    "Target",
    "Text",
    "TokenKind",
    "TrainConfig",
    "Trainer",
    "Weights",
    "from_yaml",
    "notes",
    "register",
    "to_config",
]  # fmt: skip

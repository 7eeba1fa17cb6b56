"""The keys of structure_search.py."""

from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar, List, Optional

from espalier.errors import InputError
from espalier.names import REGRESSORS
from espalier.settings.checks import checked, is_own, keys, mapping, not_negative, own, positive
from espalier.settings.model import GraphModel
from espalier.settings.training import TrainConfig

Initial = Enum("Initial", {name: name for name in ("isolated", "star")})


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
        check_nodes(self.nodes)
        for name in ("attach", "neighbours", "tries"):
            positive(f"graph.{name}", getattr(self, name))
        for name in ("attach", "neighbours"):
            if getattr(self, name) > 1:
                raise InputError(f"graph.{name} is a share of the nodes, at most 1, got {getattr(self, name):g}")
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
        unknown = [name for name in self.regressors if name not in REGRESSORS and "." not in name]
        if unknown or not self.regressors:
            raise InputError(
                f"predictor.regressors must be among {', '.join(REGRESSORS)}, or import paths, "
                f"got {', '.join(unknown) or 'none'}"
            )
        if len(set(self.regressors)) < len(self.regressors):
            raise InputError(f"predictor.regressors names one twice: {', '.join(self.regressors)}")
        if not 0 <= self.seed < 2**32:  # as scikit-learn has it
            raise InputError(f"predictor.seed must be from 0 to {2**32 - 1}, got {self.seed}")
        if self.folds < 2:
            raise InputError(f"predictor.folds must be at least 2, got {self.folds}")
        positive("predictor.repeats", self.repeats)


@dataclass
class StructureConfig(TrainConfig):
    graph: Any = None
    predictor: Predictor = field(default_factory=Predictor)
    dense: int = 10
    processes: Optional[int] = None
    results: Optional[str] = None
    predict: Optional[int] = None
    predict_each: int = 5
    report: Optional[str] = None

    models: ClassVar[dict] = {"graph": GraphModel}
    objectives: ClassVar[tuple] = ("best", "mean", "r2")

    def __post_init__(self):
        super().__post_init__()
        self.graph = graph_settings(self.graph)
        if is_own(self.model) or self.task.get("name") == "logged":
            raise InputError(
                "structure_search.py wires networks of ours like graphs: leave model._target_ and task=logged away"
            )
        not_negative("dense", self.dense)
        positive("predict_each", self.predict_each)
        if self.processes is not None:
            positive("processes", self.processes)
        if self.predict is not None and self.predict < 4:
            raise InputError(f"predict must be at least 4 graphs, got {self.predict}")


@dataclass
class OwnFamily:
    """What we need of a family of graphs of the user's: how many, of how many nodes, and the seed that they are drawn from."""

    graphs: int = 200
    nodes: List[int] = field(default_factory=lambda: [10, 50])
    seed: int = 0


def graph_settings(graph):
    """The checked settings of the graphs: our families, or one of the user's.  Raises: InputError."""
    if graph is None or isinstance(graph, Graph):
        return graph or Graph()
    graph = mapping("graph", graph)
    if "_target_" not in graph:
        return checked("graph", "random", Graph, graph)
    graph = own("graph", graph)
    ours = checked("graph", graph["_target_"], OwnFamily, {key: graph[key] for key in keys(OwnFamily) if key in graph})
    positive("graph.graphs", ours.graphs)
    check_nodes(ours.nodes)
    return {**graph, "graphs": ours.graphs, "nodes": list(ours.nodes), "seed": ours.seed}


def check_nodes(nodes):
    if len(nodes) != 2 or not 2 <= nodes[0] <= nodes[1]:
        raise InputError(f"graph.nodes must be [fewest, most] with at least 2, got {list(nodes)}")

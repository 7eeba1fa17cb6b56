"""The graphs of a search: drawn, read from a folder, or of a family of the user's (settings: a dict with `_target_`)."""

import dataclasses
import random

import networkx as nx
import numpy as np

from espalier import names
from espalier.errors import InputError
from espalier.graphs.files import read_folder
from espalier.graphs.layered import layered
from espalier.graphs.random import FAMILIES, barabasi_albert, erdos_renyi, watts_strogatz
from espalier.runs.seeds import stream


@dataclasses.dataclass(frozen=True)
class Named:
    """A graph with its place: family and number within it."""

    family: str
    number: int
    graph: nx.Graph

    @property
    def name(self):
        return f"{self.family}_{self.number}"


def draw(config, family, number, purpose="graph"):
    """The graph at this place of a family, from a stream of its own."""
    own = random.Random(stream(config.seed, purpose, family, number))
    n = own.randint(*config.nodes)
    if family == "barabasi_albert":
        graph = barabasi_albert(n, config.attach, own.getrandbits(32), config.ba_initial.name)
    elif family == "watts_strogatz":
        rewire = own.choice(list(config.rewire))
        graph = watts_strogatz(n, config.neighbours, rewire, own.getrandbits(32), config.tries)
    else:
        graph = erdos_renyi(n, own.choice(list(config.probability)), own.getrandbits(31), config.tries)
    return Named(family, number, graph)


def draw_own(config, number, purpose="graph"):
    """The graph at this place of a family of the user's: what their function of (nodes, seed, keys) returns.

    Raises: InputError.
    """
    keywords = {name: value for name, value in config.items() if name not in ("_target_", "graphs", "nodes", "seed")}
    place, family = config["_target_"], _family(config)
    own = random.Random(stream(config["seed"], purpose, family, number))
    graph = names.call(place, {"nodes": own.randint(*config["nodes"]), "seed": own.getrandbits(32), **keywords}, "graph")
    if not isinstance(graph, nx.Graph):
        raise InputError(f"graph: {place} returned {type(graph).__name__}, it must return a networkx graph")
    layered(graph)  # which says what no network can be wired like
    return Named(family, number, graph)


def search_graphs(config):
    """The graphs of a search, in order: from its folder, or drawn.  Raises: InputError."""
    if isinstance(config, dict):
        return [draw_own(config, number) for number in range(config["graphs"])]
    if config.folder:
        return [Named(*found) for found in read_folder(config.folder)]
    return [draw(config, family, number) for family in FAMILIES for number in range(getattr(config, family))]


def unseen_graphs(config, count, known):
    """`count` graphs that are not among the known ones, the families in the proportions of the search."""
    if isinstance(config, dict):
        counts = {_family(config): config["graphs"]}
    else:
        counts = {family: getattr(config, family) for family in FAMILIES if getattr(config, family)}
    shares = np.diff(np.round(np.cumsum([0, *counts.values()]) / sum(counts.values()) * count).astype(int))
    seen, found = {_signature(named.graph) for named in known}, []
    for family, share in zip(counts, shares):
        number, tries = 0, 0
        while number < share:
            named = draw_own(config, tries, "unseen") if isinstance(config, dict) else draw(config, family, tries, "unseen")
            tries += 1
            if _signature(named.graph) not in seen:
                seen.add(_signature(named.graph))
                found.append(Named(f"unseen_{family}", number, named.graph))
                number += 1
            elif tries > 100 * share + 1000:
                raise InputError(f"predict={count}: there are not so many different {family} graphs; raise graph.nodes")
    return found


def _signature(graph):
    return len(graph), frozenset(map(frozenset, graph.edges))


def _family(config):
    """The name of a family of the user's: the last word of its import path."""
    return config["_target_"].replace(":", ".").rpartition(".")[2]

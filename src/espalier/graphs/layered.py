"""A graph as layers: which vertices a recurrent network has in each layer, and which of them feed which."""

import numbers
from dataclasses import dataclass

import networkx as nx

from espalier.errors import InputError


def check(graph, name="the graph"):
    """Raise InputError, in one line, unless a network can be wired like `graph`: simple, connected, at least one edge."""
    if not isinstance(graph, nx.Graph):
        raise InputError(f"{name} must be a networkx graph, got {type(graph).__name__}")
    if graph.is_multigraph():
        raise InputError(f"{name} is a multigraph; make it simple with networkx.Graph(graph)")
    if len(graph) < 2:
        raise InputError(f"{name} has {len(graph)} node{'' if len(graph) == 1 else 's'}; it needs at least two")
    loops = [node for node in graph if graph.has_edge(node, node)]
    if loops:
        raise InputError(f"{name} has a self-loop at node {loops[0]!r}; remove self-loops, recurrence is the cells' own")
    if graph.number_of_edges() == 0:
        raise InputError(f"{name} has no edge")
    parts = nx.number_connected_components(graph.to_undirected(as_view=True))
    if parts > 1:
        raise InputError(f"{name} is disconnected ({parts} parts); take its largest connected part")
    if graph.is_directed() and not nx.is_directed_acyclic_graph(graph):
        cycle = " -> ".join(str(edge[0]) for edge in nx.find_cycle(graph))
        raise InputError(f"{name} has the cycle {cycle}; a directed graph must be acyclic")


def ordered(graph):
    """The nodes in order: by number where all are whole numbers (also of numpy), else as the graph has them."""
    return sorted(graph) if all(isinstance(node, numbers.Integral) for node in graph) else list(graph)


def to_dag(graph):
    """The `networkx.DiGraph` of a graph: every undirected edge leads from the node that comes first (see `ordered`) to the
    other one; a directed acyclic graph keeps its edges.  Raises: InputError, as `check`.
    """
    check(graph)
    place = {node: k for k, node in enumerate(ordered(graph))}
    dag = nx.DiGraph()
    dag.add_nodes_from(place)
    if graph.is_directed():
        dag.add_edges_from(graph.edges)
        return dag
    dag.add_edges_from((u, v) if place[u] < place[v] else (v, u) for u, v in graph.edges)
    return dag


@dataclass(frozen=True)
class Layered:
    """A directed acyclic graph in layers.

    layers: tuples of vertices, in order within each (see `ordered`); a vertex without predecessors is in layer 0, every other
    one layer above the highest of its predecessors (its longest path).  dag: the graph.
    """

    dag: nx.DiGraph
    layers: tuple

    @property
    def sizes(self):
        """Vertices per layer."""
        return [len(layer) for layer in self.layers]

    @property
    def index(self):
        """Vertex -> its layer."""
        return {vertex: k for k, layer in enumerate(self.layers) for vertex in layer}

    def edges(self):
        """(source layer, target layer) -> list of (row, column): places in the target and in the source layer."""
        place = {vertex: (k, i) for k, layer in enumerate(self.layers) for i, vertex in enumerate(layer)}
        found = {}
        for u, v in self.dag.edges:
            (source, column), (target, row) = place[u], place[v]
            found.setdefault((source, target), []).append((row, column))
        return {pair: sorted(found[pair]) for pair in sorted(found, key=lambda pair: (pair[1], pair[0]))}

    @property
    def sinks(self):
        """Per layer, the places of the vertices that feed no other one."""
        return [[i for i, vertex in enumerate(layer) if not self.dag.out_degree(vertex)] for layer in self.layers]


def layered(graph):
    """The `Layered` of a graph, in time linear in its edges.  Raises: InputError, as `check`."""
    dag = to_dag(graph)
    index = {}
    for vertex in nx.topological_sort(dag):
        index[vertex] = 1 + max((index[before] for before in dag.predecessors(vertex)), default=-1)
    layers = [[] for _ in range(1 + max(index.values()))]
    for vertex in dag:
        layers[index[vertex]].append(vertex)
    return Layered(dag, tuple(map(tuple, layers)))

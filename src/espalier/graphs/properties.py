"""What can be said of a graph before a network is wired like it."""

import math
import statistics

import networkx as nx

from espalier.graphs.layered import layered

_SPREADS = ("eccentricity", "degree", "closeness", "nodes_betweenness", "edge_betweenness")
#: The study's 23 properties, under its column names and in its order.
STUDY = (
    "layers", "nodes", "edges", "source_nodes", "sink_nodes", "diameter", "density", "average_shortest_path_length",
    *(f"{name}_{what}" for name in _SPREADS for what in ("mean", "var", "std")),
)  # fmt: skip
#: Ours, of the acyclic graph that the network really follows.
DIRECTED = ("dead_ends", "reach", "skip_share", "skip_pairs", "paths")


def properties(graph):
    """The properties of a connected graph: dict of numbers, `STUDY` first, then `DIRECTED`.

    Of the acyclic graph in layers:
    layers: their number; source_nodes, sink_nodes: vertices in the first and in the last of them;
    dead_ends: vertices outside the last layer that feed no other one;
    reach: share of vertices with a directed path to the last layer (its own included), 0 to 1; the others are not heard by a
    head on the last layer, except through the h2h weights within their layer;
    skip_share: share of the edges that pass over at least one layer, 0 to 1; skip_pairs: pairs of layers they connect;
    paths: natural logarithm of the number of directed paths from the first to the last layer.

    Of the undirected graph, with networkx's defaults (centralities normalised to 0..1):
    nodes, edges: their number; diameter: edges of the longest shortest path; density: edges / (n (n - 1)), as the study
    defined it, half of the usual; average_shortest_path_length: mean over pairs, in edges;
    eccentricity (edges), degree, closeness, nodes_betweenness, edge_betweenness: mean, sample variance (divided by n - 1) and
    its square root over all nodes, or all edges; of a single value the spread is 0.

    Raises: InputError for a graph no network can be wired like (see `check`).
    """
    structure = layered(graph)
    flat = graph.to_undirected() if graph.is_directed() else graph
    n, edges = len(flat), flat.number_of_edges()
    eccentricity = nx.eccentricity(flat)
    values = {
        "eccentricity": eccentricity, "degree": nx.degree_centrality(flat), "closeness": nx.closeness_centrality(flat),
        "nodes_betweenness": nx.betweenness_centrality(flat), "edge_betweenness": nx.edge_betweenness_centrality(flat),
    }  # fmt: skip
    found = {
        "layers": len(structure.layers), "nodes": n, "edges": edges,
        "source_nodes": structure.sizes[0], "sink_nodes": structure.sizes[-1],
        "diameter": nx.diameter(flat, eccentricity), "density": edges / (n * (n - 1)),
        "average_shortest_path_length": nx.average_shortest_path_length(flat),
    }  # fmt: skip
    for name in _SPREADS:
        numbers = list(values[name].values())
        spread = len(numbers) > 1
        found[f"{name}_mean"] = statistics.mean(numbers)
        found[f"{name}_var"] = statistics.variance(numbers) if spread else 0.0
        found[f"{name}_std"] = statistics.stdev(numbers) if spread else 0.0
    return found | _directed(structure)


def _directed(structure):
    dag, index = structure.dag, structure.index
    last = len(structure.layers) - 1
    backwards = [vertex for layer in reversed(structure.layers) for vertex in layer]
    paths = {}  # to the last layer
    for vertex in backwards:
        paths[vertex] = 1 if index[vertex] == last else sum(paths[after] for after in dag.successors(vertex))
    skips = [(index[u], index[v]) for u, v in dag.edges if index[v] - index[u] > 1]
    return {
        "dead_ends": sum(len(places) for places in structure.sinks[:-1]),
        "reach": sum(count > 0 for count in paths.values()) / len(dag),
        "skip_share": len(skips) / dag.number_of_edges(), "skip_pairs": len(set(skips)),
        "paths": math.log(sum(paths[vertex] for vertex in structure.layers[0])),
    }  # fmt: skip

"""Graphs in files: node-link JSON, and GraphML to read."""

import json
import numbers
import re
from pathlib import Path

import networkx as nx

from espalier.errors import InputError
from espalier.graphs.layered import check
from espalier.runs.files import write_text

SUFFIXES = (".json", ".graphml")


def write(path, graph):
    """Write a graph as node-link JSON, the whole file or nothing of it; numbers of numpy become plain ones."""
    write_text(path, json.dumps(nx.node_link_data(graph, edges="edges"), default=_plain) + "\n")


def _plain(value):
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    raise TypeError(f"{value!r} of type {type(value).__name__} cannot be written to JSON")


def read(path):
    """The graph in a node-link JSON or GraphML file, checked.

    Nodes have the names and the order of the file; numbers in JSON become integers, and so do names in GraphML where all are
    whole numbers. JSON that does not say whether parallel edges may be is a simple graph where there are none.

    Raises: InputError naming the file: missing, not of these kinds, or unfit for a network (see `check`).
    """
    path = Path(path)
    try:
        if path.suffix == ".graphml":
            graph = _numbered(nx.read_graphml(path))
        elif path.suffix == ".json":
            graph = _from_node_link(json.loads(path.read_text(encoding="utf-8-sig")))
        else:
            raise InputError(f"{path}: a graph file ends in {' or '.join(SUFFIXES)}")
    except InputError:
        raise
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except Exception as error:  # the parsers raise whatever they trip over
        raise InputError(
            f"{path}: not a graph in {path.suffix[1:]} ({type(error).__name__}: {error})".splitlines()[0]
        ) from None
    check(graph, str(path))
    return graph


def _numbered(graph):
    """The graph with whole numbers for names, where all its names are such."""
    whole = all(re.fullmatch(r"-?[0-9]+", str(node)) for node in graph)
    names = {node: int(node) for node in graph} if whole else {}
    return nx.relabel_nodes(graph, names) if len(set(names.values())) == len(graph) else graph


def _from_node_link(content):
    graph = nx.node_link_graph(content, edges="links" if "links" in content else "edges")
    if graph.is_multigraph() and "multigraph" not in content:  # which networkx takes for one that is
        simple = nx.DiGraph(graph) if graph.is_directed() else nx.Graph(graph)
        return simple if simple.number_of_edges() == graph.number_of_edges() else graph
    return graph


def read_folder(folder):
    """The graphs in a folder: list of (family, number, graph), by file name.

    Files named `<family>_<number>` belong to that family, all others to the family `graph`, numbered from 0.
    """
    paths = sorted(path for path in Path(folder).glob("*") if path.suffix in SUFFIXES)
    if not paths:
        raise InputError(f"graph.folder={folder}: no {' or '.join(SUFFIXES)} file in it")
    found, others = [], 0
    for path in paths:
        match = re.fullmatch(r"(.+)_(\d+)", path.stem)
        found.append((match[1], int(match[2]), read(path)) if match else ("graph", others, read(path)))
        others += match is None
    if len({(family, number) for family, number, _ in found}) < len(found):
        raise InputError(f"graph.folder={folder}: two files share a family and a number; name them family_number.json")
    return sorted(found, key=lambda item: item[:2])

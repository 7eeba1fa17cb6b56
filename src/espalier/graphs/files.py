"""Graphs in files: node-link JSON, and GraphML to read."""

import json
import re
from pathlib import Path

import networkx as nx

from espalier.errors import InputError
from espalier.graphs.layered import check

SUFFIXES = (".json", ".graphml")


def write(path, graph):
    """Write a graph as node-link JSON, the whole file or nothing of it."""
    from espalier.runs.files import write_text

    write_text(path, json.dumps(nx.node_link_data(graph, edges="edges")) + "\n")


def read(path):
    """The graph in a node-link JSON or GraphML file, checked.

    Nodes have the names and the order of the file; numbers in JSON become integers, names in GraphML are text.

    Raises: InputError naming the file: missing, not of these kinds, or unfit for a network (see `check`).
    """
    path = Path(path)
    try:
        if path.suffix == ".graphml":
            graph = nx.read_graphml(path)
        elif path.suffix == ".json":
            content = json.loads(path.read_text())
            graph = nx.node_link_graph(content, edges="links" if "links" in content else "edges")
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

"""Graphs: random ones, made acyclic, in layers, measured, stored. Knows nothing of torch, Hydra or this project's models."""

from espalier.graphs.files import read, read_folder, write
from espalier.graphs.layered import Layered, check, layered, to_dag
from espalier.graphs.properties import DIRECTED, STUDY, properties
from espalier.graphs.random import FAMILIES, barabasi_albert, erdos_renyi, watts_strogatz

__all__ = [
    "DIRECTED", "FAMILIES", "STUDY", "Layered", "barabasi_albert", "check", "erdos_renyi", "layered", "properties", "read",
    "read_folder", "to_dag", "watts_strogatz", "write",
]  # fmt: skip

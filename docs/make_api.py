"""Writes docs/api.md, the reference of everything public, from the docstrings: python docs/make_api.py"""

import importlib
import inspect
from pathlib import Path

import espalier

PLACE = Path(__file__).with_name("api.md")
MODULES = ("espalier.graphs", "espalier.nn", "espalier.published", "espalier.pruning.costs", "espalier.pruning.csr")
KINDS = (
    ("Scores of weights", "espalier.pruning.scores", "SCORES"),
    ("Scores of units", "espalier.pruning.unit_scores", "UNIT_SCORES"),
)


def signature(value):
    try:
        return str(inspect.signature(value)).replace("collections.abc.", "")
    except (TypeError, ValueError):
        return ""


def entry(name, value):
    """A heading with the signature, and the docstring as it stands."""
    parts = [f"### `{name}{signature(value)}`", "", "```text", inspect.getdoc(value) or "", "```", ""]
    if inspect.isclass(value):
        own = [(n, v) for n, v in vars(value).items() if not n.startswith("_") and inspect.getdoc(v) and inspect.isfunction(v)]
        own = [(n, v) for n, v in own if not n.startswith(("on_", "configure_", "train_dataloader", "training_step"))]
        for method, function in own:
            parts += [f"`{name}.{method}{signature(function)}`", "", "```text", inspect.getdoc(function), "```", ""]
    return parts


def public(module):
    """Names of the functions and classes that a module defines for others."""
    names = getattr(module, "__all__", None) or [
        n for n, v in vars(module).items() if getattr(v, "__module__", "") == module.__name__
    ]
    return [
        n
        for n in names
        if not n.startswith("_") and (inspect.isfunction(getattr(module, n)) or inspect.isclass(getattr(module, n)))
    ]


def page():
    lines = ["# API reference", "", "Made from the docstrings by `python docs/make_api.py`.", "", "## `espalier`", ""]
    for name in espalier.__all__:
        value = getattr(espalier, name)
        if inspect.isfunction(value) or inspect.isclass(value):
            lines += entry(f"espalier.{name}", value)
    for path in MODULES:
        module = importlib.import_module(path)
        lines += [f"## `{path}`", "", (inspect.getdoc(module) or "").splitlines()[0], ""]
        for name in public(module):
            if name not in espalier.__all__:
                lines += entry(f"{path}.{name}", getattr(module, name))
    for title, path, registry in KINDS:
        lines += [f"## {title}", ""]
        for name, function in getattr(importlib.import_module(path), registry).items():
            lines += [f"### `{name}`", "", "```text", inspect.getdoc(inspect.getmodule(function)), "```", ""]
    return "\n".join(lines).rstrip() + "\n"


if __name__ == "__main__":
    PLACE.write_text(page())

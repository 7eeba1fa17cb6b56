"""espalier trains, prunes and structures recurrent networks.

Everything public is here: `espalier.prune`, `espalier.Masks`, `espalier.Pruning`, `espalier.nn`, `espalier.published`, ...
Names are imported when first used, so that the command line answers before torch is loaded.
"""

import importlib

from espalier.errors import InputError

__version__ = "0.1.0"

_FROM = {
    "Masks": "espalier.pruning",
    "make_masks": "espalier.pruning",
    "prune": "espalier.pruning",
    "shrink": "espalier.pruning",
    "readers": "espalier.pruning.found",
    "compress": "espalier.pruning.compress",
    "sensitivity": "espalier.learning.sensitivity",
    "NarrowQuery": "espalier.pruning.attention",
    "export": "espalier.pruning.export",
    "Pruning": "espalier.pruning.callback",
    "Regain": "espalier.pruning.regain",
    "report": "espalier.studies.elsewhere",
    "SequenceClassifier": "espalier.nn",
    "GraphClassifier": "espalier.nn",
}
_MODULES = ("data", "graphs", "nn", "published", "pruning")
__all__ = ["InputError", "__version__", *_FROM, *_MODULES]


def __getattr__(name):
    if name in _FROM:
        return getattr(importlib.import_module(_FROM[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"espalier.{name}")
    raise AttributeError(f"module 'espalier' has no attribute {name!r}")


def __dir__():
    return __all__

"""Scores of hidden units. Adding one = a file here, a line below, a file in `conf/score`.

Each takes (list of `Units`, `Context`) and returns Units -> tensor `(hidden,)`; low goes first.
"""

from espalier.pruning.unit_scores.activation import activation
from espalier.pruning.unit_scores.context import Context
from espalier.pruning.unit_scores.norms import incoming, magnitude, outgoing
from espalier.pruning.unit_scores.random import random
from espalier.pruning.unit_scores.taylor import taylor

UNIT_SCORES = {
    "magnitude": magnitude, "incoming": incoming, "outgoing": outgoing, "activation": activation, "taylor": taylor,
    "random": random,
}  # fmt: skip
__all__ = ["UNIT_SCORES", "Context"]

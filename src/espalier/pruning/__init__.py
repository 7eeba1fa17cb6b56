"""Score, scope, rule, masks: pure functions on any torch module."""

from espalier.pruning.masks import Masks
from espalier.pruning.prune import check_percent, make_masks, prune
from espalier.pruning.rules import RULES
from espalier.pruning.scopes import SCOPES
from espalier.pruning.scores import SCORES
from espalier.pruning.selection import TARGETS, recurrent_weights, select

__all__ = [
    "RULES", "SCOPES", "SCORES", "TARGETS", "Masks", "check_percent", "make_masks", "prune", "recurrent_weights", "select",
]  # fmt: skip

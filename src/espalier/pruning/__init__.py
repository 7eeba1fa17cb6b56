"""Score, scope, rule, masks, shrink: pure functions on any torch module."""

from espalier.pruning.masks import Masks
from espalier.pruning.prune import check_percent, make_masks, prune
from espalier.pruning.rules import RULES
from espalier.pruning.scopes import SCOPES
from espalier.pruning.scores import SCORES
from espalier.pruning.selection import TARGETS, recurrent_weights, select
from espalier.pruning.shrink import plan, shrink
from espalier.pruning.structures import STRUCTURES
from espalier.pruning.unit_scores import UNIT_SCORES

__all__ = [
    "RULES", "SCOPES", "SCORES", "STRUCTURES", "TARGETS", "UNIT_SCORES", "Masks", "check_percent", "make_masks", "plan",
    "prune", "recurrent_weights", "select", "shrink",
]  # fmt: skip

"""Scores of hidden units. A new one is a file here, a line in `espalier.names` and a file in `conf/score`.

Each takes (list of `Units`, `espalier.pruning.context.Context`) and returns Units -> tensor `(hidden,)`; low goes first.
"""

from espalier import names

UNIT_SCORES = {name: names.load(place) for name, place in names.UNIT_SCORES.items()}

"""Scores: how much a weight is worth. One file per score; a new one is that file, a line in `espalier.names` and a file in
`conf/score`.

Each takes (name -> tensor, `espalier.pruning.context.Context`) and returns name -> tensor of the same shape; low goes first.
"""

from espalier import names

SCORES = {name: names.load(place) for name, place in names.WEIGHT_SCORES.items()}

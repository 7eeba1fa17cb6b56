"""Scores: how much a weight is worth. One file per score; a new one is that file, a line here and a file in conf/score."""

from espalier.pruning.scores.magnitude import magnitude
from espalier.pruning.scores.random import random

SCORES = {"magnitude": magnitude, "random": random}

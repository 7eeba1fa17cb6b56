"""Recurrent networks as people write them: `ZOO`, name -> (class, example: a function from batch and time)."""

from zoo import between, sequences, signals
from zoo.entries import ZOO, values

__all__ = ["ZOO", "between", "sequences", "signals", "values"]

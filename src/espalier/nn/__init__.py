"""What learns: recurrent stacks and the networks around them. Sequence models are called as `model(tokens, lengths)`."""

from espalier.nn.cells import CELLS, gates, layer
from espalier.nn.classifier import SequenceClassifier, Stack
from espalier.nn.graph import GraphClassifier

__all__ = ["CELLS", "GraphClassifier", "SequenceClassifier", "Stack", "gates", "layer"]

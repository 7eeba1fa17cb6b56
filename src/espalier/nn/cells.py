"""The four cells, as torch's own one-layer modules."""

from torch import nn

from espalier.errors import InputError
from espalier.names import GATES

#: cell -> (torch module, its further arguments)
CELLS = {
    "rnn_tanh": (nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}),
    "gru": (nn.GRU, {}),
    "lstm": (nn.LSTM, {}),
}


def layer(cell, inputs, hidden):
    """A one-layer recurrent module of torch: `(T, N, inputs)` -> `(T, N, hidden)`.

    Raises: InputError for a name that is not in `CELLS`.
    """
    kind, arguments = CELLS[check(cell)]
    return kind(inputs, hidden, **arguments)


def gates(cell):
    """Number of gates stacked along the rows of a weight of this cell: 1, 3 (r, z, n) or 4 (i, f, g, o)."""
    return GATES[check(cell)]


def check(cell):
    if cell not in CELLS:
        raise InputError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
    return cell

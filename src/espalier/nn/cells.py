"""The four cells, as torch's own one-layer modules."""

from torch import nn

from espalier.errors import InputError

#: cell -> (torch module, its further arguments, number of gates stacked in its weights)
CELLS = {
    "rnn_tanh": (nn.RNN, {"nonlinearity": "tanh"}, 1),
    "rnn_relu": (nn.RNN, {"nonlinearity": "relu"}, 1),
    "gru": (nn.GRU, {}, 3),
    "lstm": (nn.LSTM, {}, 4),
}


def layer(cell, inputs, hidden):
    """A one-layer recurrent module of torch: `(T, N, inputs)` -> `(T, N, hidden)`.

    Raises: InputError for a name that is not in `CELLS`.
    """
    kind, arguments, _ = entry(cell)
    return kind(inputs, hidden, **arguments)


def gates(cell):
    """Number of gates stacked along the rows of a weight of this cell: 1, 3 (r, z, n) or 4 (i, f, g, o)."""
    return entry(cell)[2]


def entry(cell):
    if cell not in CELLS:
        raise InputError(f"cell must be one of {', '.join(CELLS)}, got {cell!r}")
    return CELLS[cell]

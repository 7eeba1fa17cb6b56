"""What the study of sparse recurrent networks published, to set beside ours.

thesis.csv: accuracy on test right after the cut (`cut`) and after 1 and 10 epochs of retraining, by cell, target and percent,
read from its result tables; `regain` is the first epoch within 0.01 of the base by our definition (0: the cut itself).
thesis_structure.csv: its tables 6.1 to 6.5, by cell: `pearson`, correlation of a property with the accuracy on test, and `r2`
of a regressor.
"""

from pathlib import Path

import pandas as pd

#: Safe percents of its section 7.2.
SAFE = {
    ("rnn_tanh", "both"): 80, ("rnn_relu", "both"): 70, ("lstm", "both"): 60, ("gru", "both"): 80,
    ("rnn_tanh", "i2h"): 70, ("rnn_relu", "i2h"): 70, ("lstm", "i2h"): 70, ("gru", "i2h"): 80,
    ("rnn_tanh", "h2h"): 80, ("rnn_relu", "h2h"): 70, ("lstm", "h2h"): 90, ("gru", "h2h"): 90,
}  # fmt: skip


def published():
    """The table as a DataFrame, indexed by (cell, target, percent)."""
    return pd.read_csv(Path(__file__).with_suffix(".csv")).set_index(["cell", "target", "percent"])


def structure():
    """Tables 6.1 to 6.5: {(kind, cell, name): value} with kind `pearson` or `r2`."""
    table = pd.read_csv(Path(__file__).with_name("thesis_structure.csv"))
    return {(kind, cell, name): value for kind, cell, name, value in table.itertuples(index=False)}

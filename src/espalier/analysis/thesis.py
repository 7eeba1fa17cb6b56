"""What the studies published, to set beside ours.

thesis.csv: accuracy on test right after the cut (`cut`) and after 1 and 10 epochs of retraining, by cell, target and percent,
read from its result tables; `regain` is the first epoch within 0.01 of the base by our definition (0: the cut itself).
thesis_structure.csv: its tables 6.1 to 6.5, by cell: `pearson`, correlation of a property with the accuracy on test, and `r2`
of a regressor.
thesis_methods.csv: of the study of methods, accuracy on test of 784-100-10 after retraining, means of 25 runs: `rate`, percent
of what is left that each round takes (from 80 on: of all, once), `retrain`, `weights` left.
"""

from pathlib import Path

import pandas as pd

#: Safe percents of its section 7.2.
SAFE = {
    ("rnn_tanh", "both"): 80, ("rnn_relu", "both"): 70, ("lstm", "both"): 60, ("gru", "both"): 80,
    ("rnn_tanh", "i2h"): 70, ("rnn_relu", "i2h"): 70, ("lstm", "i2h"): 70, ("gru", "i2h"): 80,
    ("rnn_tanh", "h2h"): 80, ("rnn_relu", "h2h"): 70, ("lstm", "h2h"): 90, ("gru", "h2h"): 90,
}  # fmt: skip

#: Of weights and units: (structure, percentile) -> (weights left, accuracy on test right after the cut).
STRUCTURES = {
    ("weight", 0): (2_386_000, 0.9730), ("weight", 1): (None, 0.9730), ("weight", 5): (None, 0.9729),
    ("weight", 10): (None, 0.9731), ("weight", 15): (None, 0.9732), ("weight", 25): (None, 0.9731),
    ("weight", 50): (None, 0.9754), ("weight", 80): (None, 0.9726), ("weight", 95): (None, 0.8624),
    ("unit", 0): (2_386_000, 0.9730), ("unit", 1): (2_346_300, 0.9730), ("unit", 5): (2_190_700, 0.9731),
    ("unit", 10): (2_003_400, 0.9731), ("unit", 15): (1_824_100, 0.9730), ("unit", 25): (1_489_500, 0.9736),
    ("unit", 50): (793_000, 0.9686), ("unit", 80): (221_200, 0.7042), ("unit", 95): (43_300, 0.1378),
}  # fmt: skip
#: Of redundant units: data -> (units, root mean squared error) of every pass after the first, of 256 units.
REDUNDANT = {
    "sine": ((80, 0.1884), (35, 0.1902), (15, 0.1883), (6, 0.1916), (4, 0.1902), (2, 0.1920)),
    "series_csv": ((35, 3.0066), (11, 2.9482), (6, 2.9671), (5, 2.9667), (3, 2.9907), (2, 2.9582)),
}


def methods():
    """thesis_methods.csv as {(rate, retrain, score, scope, weights): accuracy}."""
    table = pd.read_csv(Path(__file__).with_name("thesis_methods.csv"))
    return {tuple(key): accuracy for *key, accuracy in table.itertuples(index=False)}


def beside(experiment, config, result):
    """Level -> what the study of an experiment published there, in words; of a finished job with this configuration and
    result.json. Empty where it published nothing of the kind, or on other data.
    """
    removed, data = result.get("removed", {}), config.data
    if experiment == "thesis_redundant_units" and getattr(data, "published", False):
        passes = REDUNDANT.get(data.name, ()) if config.schedule.get("name") == "redundant" else ()
        return {percent: f"{units} units: {error:.4f}" for percent, (units, error) in zip(result["percents"], passes)}
    if result.get("data", {}).get("source") != "train and t10k":
        return {}
    if experiment == "thesis_weights_vs_units":
        told = {percent: STRUCTURES.get((config.structure.name, percent)) for percent in result["percents"]}
        words = {percent: (f"{one[0]:,} left: " if one[0] else "") + f"{one[1]:.4f}" for percent, one in told.items() if one}
        return words
    if experiment != "thesis_ffn_methods" or len(config.percent) != 1:
        return {}
    table, found = methods(), {}
    for percent, (gone, total) in ((percent, removed[str(percent)]) for percent in result["percents"]):
        for weights in (total - gone, total - gone - 1, total - gone + 1):  # its table rounds thirds
            key = config.percent[0], config.retrain.mode.name, config.score, config.scope.name, weights
            if key in table:
                found[percent] = f"{table[key]:.4f}"
    return found


def published():
    """The table as a DataFrame, indexed by (cell, target, percent)."""
    return pd.read_csv(Path(__file__).with_suffix(".csv")).set_index(["cell", "target", "percent"])


def structure():
    """Tables 6.1 to 6.5: {(kind, cell, name): value} with kind `pearson` or `r2`."""
    table = pd.read_csv(Path(__file__).with_name("thesis_structure.csv"))
    return {(kind, cell, name): value for kind, cell, name, value in table.itertuples(index=False)}

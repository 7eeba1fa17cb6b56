"""What can be chosen by name, and where it stands. Imports nothing heavy, so that a wrong name is told before torch is loaded.

A new score, optimizer or regressor of the project is a line here, beside its file (and, for a score, a file in `conf/score`).
"""

import importlib

#: Cell -> number of gates stacked along the rows of its weights.
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
#: Number of gates -> their letters, in torch's order.
GATE_LETTERS = {1: [""], 3: ["r", "z", "n"], 4: ["i", "f", "g", "o"]}

#: Scores of single weights, and of tiles of them.
WEIGHT_SCORES = {
    "magnitude": "espalier.pruning.scores.magnitude:magnitude",
    "random": "espalier.pruning.scores.random:random",
}
#: Scores of whole hidden units.
UNIT_SCORES = {
    "magnitude": "espalier.pruning.unit_scores.norms:magnitude",
    "incoming": "espalier.pruning.unit_scores.norms:incoming",
    "outgoing": "espalier.pruning.unit_scores.norms:outgoing",
    "activation": "espalier.pruning.unit_scores.activation:activation",
    "taylor": "espalier.pruning.unit_scores.taylor:taylor",
    "random": "espalier.pruning.unit_scores.random:random",
}
#: Which trainings follow from a base and a cut.
SCHEDULES = {
    "one_shot": "espalier.schedules.one_shot:one_shot",
    "iterative": "espalier.schedules.iterative:iterative",
    "fixed_number": "espalier.schedules.fixed_number:fixed_number",
    "rewind": "espalier.schedules.rewind:rewind",
    "bisect": "espalier.schedules.bisect:bisect",
}
#: Kinds of data: functions from their settings to `espalier.data.Data`.
DATA = {
    "reber": "espalier.data.reber:load",
    "reber_csv": "espalier.data.reber_csv:load",
    "strings_csv": "espalier.data.strings_csv:load",
    "sequences": "espalier.data.sequences:load",
}
OPTIMIZERS = {
    "adam": "torch.optim:Adam",
    "adamw": "torch.optim:AdamW",
    "sgd": "torch.optim:SGD",
    "rmsprop": "torch.optim:RMSprop",
}
#: Functions from a seed to a regressor; the study's three first.
REGRESSORS = {
    "bayesian_ridge": "espalier.analysis.regressors:bayesian_ridge",
    "random_forest": "espalier.analysis.regressors:random_forest",
    "ada_boost": "espalier.analysis.regressors:ada_boost",
    "ridge": "espalier.analysis.regressors:ridge",
    "gradient_boosting": "espalier.analysis.regressors:gradient_boosting",
    "support_vector": "espalier.analysis.regressors:support_vector",
    "nearest_neighbours": "espalier.analysis.regressors:nearest_neighbours",
    "mean": "espalier.analysis.regressors:mean",
}


def load(place):
    """What stands at `module:name`."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)

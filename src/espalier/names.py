"""What can be chosen by name, and where it stands. Imports nothing heavy, so that a wrong name is told before torch is loaded.

Something new of the project is a line here, beside its file and, where it is a member of a group, its file in `conf/`. What is
the user's own needs no line: its import path stands in its place.
"""

import importlib

from espalier.errors import InputError

#: Cell -> number of gates stacked along the rows of its weights.
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}
#: Number of gates -> their letters, in torch's order.
GATE_LETTERS = {1: [""], 3: ["r", "z", "n"], 4: ["i", "f", "g", "o"]}

#: Scores of single weights, and of tiles of them.
WEIGHT_SCORES = {
    "magnitude": "espalier.pruning.scores.magnitude:magnitude",
    "random": "espalier.pruning.scores.random:random",
    "class_distributed": "espalier.pruning.scores.class_distributed:class_distributed",
    "obd": "espalier.pruning.scores.obd:obd",
    "obs": "espalier.pruning.scores.obs:obs",
}
#: Scores of whole hidden units.
UNIT_SCORES = {
    "magnitude": "espalier.pruning.unit_scores.norms:magnitude",
    "incoming": "espalier.pruning.unit_scores.norms:incoming",
    "outgoing": "espalier.pruning.unit_scores.norms:outgoing",
    "activation": "espalier.pruning.unit_scores.activation:activation",
    "taylor": "espalier.pruning.unit_scores.taylor:taylor",
    "variation": "espalier.pruning.unit_scores.variation:variation",
    "correlation": "espalier.pruning.unit_scores.correlation:correlation",
    "random": "espalier.pruning.unit_scores.random:random",
}
#: Which trainings follow from a base and a cut.
SCHEDULES = {
    "one_shot": "espalier.schedules.one_shot:one_shot",
    "iterative": "espalier.schedules.iterative:iterative",
    "fixed_number": "espalier.schedules.fixed_number:fixed_number",
    "rewind": "espalier.schedules.rewind:rewind",
    "bisect": "espalier.schedules.bisect:bisect",
    "gradual": "espalier.schedules.gradual:gradual",
    "redundant": "espalier.schedules.redundant:redundant",
}
#: Tasks: functions that return an `espalier.tasks.Task`.
TASKS = {
    "classify": "espalier.tasks.classify:classify",
    "regress": "espalier.tasks.regress:regress",
    "next_token": "espalier.tasks.next_token:next_token",
    "logged": "espalier.tasks.logged:logged",
}
#: Kind of data -> the task that it is for, where that is not `classify`.
USUAL_TASKS = {
    "text": "next_token",
    "embedded_reber": "next_token",
    "adding": "regress",
    "sine": "regress",
    "series_csv": "regress",
}
#: Kind of data -> units per recurrent layer where nobody asked for others, where these are not the studies' 50, 50, 50.
USUAL_HIDDEN = {
    "sequences": [64],
    "text": [128],
    "adding": [64],
    "copy": [64],
    "embedded_reber": [32],
    "sine": [64],
    "series_csv": [64],
}
#: Models: what is called with the data's sizes and the keys of the model.
MODELS = {
    "recurrent": "espalier.nn:SequenceClassifier", "graph": "espalier.nn.graph:wired",
    "feedforward": "espalier.nn.feedforward:FeedForward",
}  # fmt: skip
#: Kinds of data: functions from their settings to `espalier.data.Data`.
DATA = {
    "reber": "espalier.data.reber:load",
    "reber_csv": "espalier.data.reber_csv:load",
    "strings_csv": "espalier.data.strings_csv:load",
    "sequences": "espalier.data.sequences:load",
    "text": "espalier.data.text:load",
    "adding": "espalier.data.adding:load",
    "copy": "espalier.data.copy:load",
    "embedded_reber": "espalier.data.embedded_reber:load",
    "sine": "espalier.data.sine:load",
    "series_csv": "espalier.data.series_csv:load",
    "digits": "espalier.data.digits:load",
    "mnist": "espalier.data.mnist:load",
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


def usual_task(data):
    """The task that data are for.  data: plain settings."""
    return USUAL_TASKS.get(data.get("name"), "classify")


def usual_hidden(data):
    """Units per recurrent layer where nobody asked for others.  data: plain settings."""
    return list(USUAL_HIDDEN.get(data.get("name"), [50, 50, 50]))


def load(place):
    """What stands at `module:name`, or at the import path `module.name`.  Raises: InputError if nothing does."""
    module, _, name = place.partition(":") if ":" in place else place.rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise  # a module of the user's misses another one
        raise InputError(f"{place}: there is no module {error.name!r} in this folder, in that of -cd, or installed") from None
    except SyntaxError as error:
        raise InputError(f"{place}: {error.filename}, line {error.lineno}: {error.msg}") from None
    except (AttributeError, ValueError) as error:
        if (isinstance(error, AttributeError) and module in str(error)) or isinstance(error, ValueError):
            raise InputError(f"{place}: the module {module!r} has no {name}") from None
        raise


def call(place, keywords, what):
    """What `place` returns for these keywords.  Raises: InputError, naming `what`, if it does not take them."""
    function = load(place)
    try:
        return function(**keywords)
    except TypeError as error:
        if error.__traceback__.tb_next is not None:  # from within
            raise
        raise InputError(f"{what}: {place} cannot be called with {', '.join(keywords) or 'nothing'} ({error})") from None

"""What a pruned network must be held against. Each control is a run of a story we have, kept and found again like any other.

trained on: the base, trained on for as many epochs as retraining may take, without a cut (a cut of 0 %, fixed epochs);
dense: a small dense network of no more recurrent weights than the pruned one keeps, trained like the base;
fresh (of `schedule=rewind`): the same masks on weights that were drawn anew.
"""

import dataclasses

from espalier.names import GATES
from espalier.runs import progress
from espalier.settings import Mode, Retrain
from espalier.settings.checks import is_own
from espalier.settings.data import usual
from espalier.settings.model import Model
from espalier.studies.plan import as_train, prune_run, train_run


def trained_on(config):
    """The pruning configuration of the first control."""
    retrain = Retrain(Mode.fixed, config.retrain.max_epochs, config.retrain.checks_per_epoch)
    once = {"name": "one_shot"}
    return dataclasses.replace(config, percent=[0], retrain=retrain, schedule=once, curve=False, controls=False)


def fresh(config):
    """The pruning configuration of the control of lottery tickets, or None where there are none."""
    if config.schedule.get("name") != "rewind" or config.schedule["fresh"]:
        return None
    return dataclasses.replace(config, schedule={**config.schedule, "fresh": True}, curve=False, controls=False)


def recurrent_weights(cell, hidden, embedding):
    """(i2h, h2h) weights of a stack."""
    inputs = [embedding, *hidden[:-1]]
    return tuple(GATES[cell] * sum(h * w for h, w in zip(hidden, widths)) for widths in (inputs, hidden))


def dense(config, percent):
    """The training configuration of the small dense network beside a level, or None where not even one unit is left.

    All layers get the same number of units, the largest with which the recurrent weights are no more than those kept. Of values
    the first layer's weights are not known before the data are read: then only shrunk networks have such a control.
    """
    if not isinstance(config.model, Model) or is_own(config.data):  # whose sizes are not known here
        return None
    if config.target.name == "linear":  # of which recurrent units are no measure
        return None
    hidden, values = config.model.hidden, usual(config.data, "values")
    if config.structure.name == "unit":  # of the shrunk network's size
        kept = [size - round(percent / 100 * size) for size in hidden]
        embedding = None if values else config.model.embedding or hidden[0]
        model = dataclasses.replace(config.model, hidden=kept, embedding=embedding)
        return as_train(config, model=model) if all(kept) else None
    if values:
        return None
    width = config.model.embedding or hidden[0]
    i2h, h2h = recurrent_weights(config.cell, hidden, width)
    targeted = {"i2h": i2h, "h2h": h2h, "both": i2h + h2h}[config.target.name]
    kept = i2h + h2h - round(percent / 100 * targeted)
    units = 0
    while sum(recurrent_weights(config.cell, [units + 1] * len(hidden), width)) <= kept:
        units += 1
    if units == 0:
        return None
    return as_train(config, model=dataclasses.replace(config.model, hidden=[units] * len(hidden), embedding=width))


def percents(config):
    """The levels of a pruning job: those that its schedule came to, if it is done."""
    result = prune_run(config).result()
    return result.get("percents", config.percent) if result else config.percent


def runs(config):
    """[(story, configuration, run)] of the controls that a configuration of any story asks for."""
    if not getattr(config, "controls", False):
        return []
    longer = trained_on(config)
    found = [("prune", one, prune_run(one)) for one in (longer, fresh(config)) if one]
    if config.base is None:
        small = [dense(config, percent) for percent in percents(config)]
        found += [("train", one, train_run(one)) for one in small if one]
    return found


def done(config):
    return all(run.result() for _, _, run in runs(config))


def run(config):
    """Train every control of a pruning job that is not done yet."""
    from espalier.studies import prune, train  # here, for they load torch

    left = [(story, one) for story, one, its in runs(config) if not its.result()]
    units = sum(
        len(one.percent) * (one.retrain.max_epochs + 1) if story == "prune" else one.trainer.max_epochs for story, one in left
    )
    with progress.current.job(f"{config.cell} {config.target.name}, controls", units):
        for story, one in left:
            one = dataclasses.replace(one, force=False)
            prune.study(one) if story == "prune" else train.train(one)

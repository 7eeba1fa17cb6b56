"""What a pruned network must be held against. Each control is a run of a story we have, kept and found again like any other.

trained on: the base, trained on for as many epochs as retraining may take, without a cut (a cut of 0 %, fixed epochs);
dense: a small dense network of no more weights than the pruned one keeps (of units, of the same widths), trained like the base;
fresh: the masks of every level on weights that were drawn anew, trained like the base;
gradual (of units): single weights by magnitude, as many as the level keeps, gone while it trains as long as the base;
dropout, decay: other regularisers, the base trained with them and not pruned.
"""

import dataclasses

from espalier.runs import progress
from espalier.settings import Mode, Retrain
from espalier.settings.checks import is_own
from espalier.settings.data import usual
from espalier.settings.means import weights
from espalier.settings.model import FeedForward, Model
from espalier.settings.pruning import Scope, Structure, Target
from espalier.studies.plan import as_train, prune_run, train_run

#: What did best in the study of methods: of dropout 0.1 to 0.5, and its weight decay.
DROPOUT, DECAY = 0.1, 8e-5


def trained_on(config):
    """The pruning configuration of the first control."""
    retrain = Retrain(Mode.fixed, config.retrain.max_epochs, config.retrain.checks_per_epoch)
    once = {"name": "one_shot"}
    return dataclasses.replace(config, percent=[0], retrain=retrain, schedule=once, curve=False, controls=False, fresh=False)


def fresh(config):
    """The pruning configuration of the same masks on other weights; None of a base that was given, or of itself."""
    if config.base is not None or config.fresh:
        return None
    return dataclasses.replace(config, fresh=True, curve=False, controls=False)


def gradual(config):
    """The pruning configuration that takes single weights where the job took units; None of others, and before it is done."""
    removed = (prune_run(config).result() or {}).get("removed")
    if config.structure != Structure.unit or config.base is not None or not removed or is_own(config.model):
        return None
    linear = isinstance(config.model, FeedForward)
    return dataclasses.replace(
        config, structure=Structure.weight, score="magnitude", scope=Scope["global"], curve=False, controls=False, fresh=False,
        target=Target.linear if linear else Target.both, modules=None if linear else ["head", "recurrent"],
        percent=[gradual_percent(*counts) for counts in removed.values()], schedule={"name": "gradual"},
        retrain=Retrain(Mode.fixed, config.trainer.max_epochs, config.retrain.checks_per_epoch), costs=False, export=None,
    )  # fmt: skip


def gradual_percent(removed, total):
    """The level at which so many of so many weights go."""
    return round(100 * removed / total, 6)


def with_dropout(config):
    """The training configuration of the base with dropout, or None where it has some, or a model that knows none."""
    if is_own(config.model) or getattr(config.model, "dropout", None) != 0 or config.base is not None:
        return None
    return as_train(config, model=dataclasses.replace(config.model, dropout=DROPOUT))


def with_decay(config):
    """The training configuration of the base with weight decay, or None where it has some."""
    if config.optimizer.weight_decay or config.base is not None or config.task.get("name") == "logged":
        return None
    return as_train(config, optimizer=dataclasses.replace(config.optimizer, weight_decay=DECAY))


def dense(config, percent):
    """The training configuration of the small dense network beside a level, or None where not even one unit is left, or the
    sizes are not known here (of data or models of the user's).

    Beside single weights it has the largest widths, in the proportions of the base (recurrent layers all the same), with which
    its weights are no more than those kept.
    """
    if is_own(config.model) or is_own(config.data) or not isinstance(config.model, (Model, FeedForward)):
        return None
    recurrent, hidden = isinstance(config.model, Model), config.model.hidden
    if recurrent and config.target.name in ("linear", "all"):  # of which recurrent units are no measure
        return None
    result = prune_run(config).result() or {}
    sizes = result.get("sizes", {})
    embedding = None
    if recurrent and not usual(config.data, "values"):
        embedding = config.model.embedding or hidden[0]
    changes = {"embedding": embedding} if recurrent else {}
    if config.structure == Structure.unit:  # of the shrunk network's size
        kept = [size - round(percent / 100 * size) for size in hidden]
        kept = result.get("widths", {}).get(str(percent), kept)
        return as_train(config, model=dataclasses.replace(config.model, hidden=kept, **changes)) if all(kept) else None
    inputs, outputs = sizes.get("features", embedding), sizes.get("outputs", 0)
    if inputs is None or str(percent) not in result.get("removed", {}):
        return None
    kept = sum(weights(config.cell, hidden, inputs, outputs)) - result["removed"][str(percent)][0]
    narrower, units = None, 1
    while True:
        share = units / max(hidden)
        widths = [units if recurrent else max(1, round(share * size)) for size in hidden]
        if sum(weights(config.cell, widths, inputs, outputs)) > kept:
            break
        narrower, units = widths, units + 1
    return narrower and as_train(config, model=dataclasses.replace(config.model, hidden=narrower, **changes))


def percents(config):
    """The levels of a pruning job: those that its schedule came to, if it is done."""
    result = prune_run(config).result()
    return result.get("percents", config.percent) if result else config.percent


def runs(config):
    """[(story, configuration, run)] of the controls that a configuration of any story asks for."""
    if not getattr(config, "controls", False):
        return []
    pruned = [trained_on(config), fresh(config), gradual(config)]
    trained = [with_dropout(config), with_decay(config)]
    if config.base is None:
        trained += [dense(config, percent) for percent in percents(config)]
    return [("prune", one, prune_run(one)) for one in pruned if one] + [
        ("train", one, train_run(one)) for one in trained if one
    ]


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

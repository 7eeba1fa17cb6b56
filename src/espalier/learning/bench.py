"""The bench of a training: its data on a device, and what is made of them: networks, batches, scores."""

import contextlib
import functools
import inspect
import itertools
import logging

import pytorch_lightning as pl
import torch
from torch import nn

from espalier import data, names, tasks
from espalier.data.batching import evaluation_batches, training_batches
from espalier.errors import InputError
from espalier.learning.evaluation import Score, evaluate, standard_error, validate
from espalier.learning.feeds import Loaded, accepted, data_of
from espalier.learning.learner import Learner, Losses
from espalier.pruning import SCORES, UNIT_SCORES, Masks, make_masks
from espalier.pruning.units import known_readers
from espalier.runs import progress
from espalier.runs.identity import identity, source
from espalier.runs.seeds import generator, kept, seed_all, seeded, stream

log = logging.getLogger(__name__)

#: Batches of training data that scores look at.
SCORE_BATCHES = 16
#: Keys of a data configuration that are for us, and for the user's function only where it takes them.
OURS = ("seed", "batch_size", "batching")
_loaded = {}


def load_data(settings):
    """The `Data` of a data configuration as plain values, on the CPU; kept for the next training of this process that wants the
    same.
    """
    key = identity({"data": settings})
    if key not in _loaded:
        _loaded.clear()
        loaded = own_data(settings) if "_target_" in settings else data.load(settings)
        left = {name: loaded.facts[name] for name in ("duplicates", "also_in_test") if loaded.facts.get(name)}
        if left:
            told = " and ".join(f"{count} {name.replace('_', ' ')}" for name, count in left.items())
            progress.current.say(f"left out of train: {told}")
        _loaded[key] = loaded
    return _loaded[key]


def own_data(settings):
    """The `Data` that a function of the user's returns, or that a LightningDataModule of theirs loads.  Raises: InputError."""
    keywords = {name: value for name, value in settings.items() if name != "_target_"}
    place = settings["_target_"]
    ours = accepted(names.load(place), {name: keywords.pop(name) for name in OURS})
    with seeded(settings["seed"], "data"):
        loaded = names.call(place, {**keywords, **ours}, "data")
        if isinstance(loaded, pl.LightningDataModule):
            loaded = data_of(loaded)
    if not isinstance(loaded, data.Data):
        kind = type(loaded).__name__
        raise InputError(f"data: {place} returned {kind}, it must return an espalier.data.Data or be a LightningDataModule")
    for split in ("train", "test"):
        if not len(getattr(loaded, split)):
            raise InputError(f"data: the {split} split of {place} is empty")
    return loaded


class Bench:
    """What a `Training` works with, on one device. `judge` is `validation`, or `test` where there is no validation split."""

    def __init__(self, training, seed, device):
        self.training, self.seed, self.device = training, seed, device
        self.host = load_data(training.data)
        self.task = tasks.load(training.task).in_unit(self.host.unit)
        self.splits = self.host.to(device)
        self.judge = "validation" if len(self.host.validation) else "test"
        # Rules are told in the metric of the task that the data are for.
        fitting = "_target_" in training.data or training.task == {"name": names.usual_task(training.data)}
        self.baselines = self.host.baselines if fitting else {}
        self.bounds = list(self.host.bounds) if fitting else []
        own = self.host.validation_baselines if self.judge == "validation" else self.host.baselines
        self.judge_baselines = own if fitting else {}
        self.running = bool(getattr(self.host.train, "window", None))
        self._sorted, self._twin = {}, None

    @property
    def facts(self):
        """What the data are: numbers for result.json."""
        facts = dict(self.host.facts)
        for split in ("train", "validation", "test"):
            examples = getattr(self.host, split)
            for label, name in enumerate(self.host.labels):
                if examples.lengths is None:
                    facts[f"{split}_{name}"] = {"count": int((examples.targets == label).sum())}
                    continue
                lengths = examples.lengths[examples.targets == label].double()
                if len(lengths):
                    facts[f"{split}_{name}"] = {
                        "count": len(lengths), "shortest": int(lengths.min()), "longest": int(lengths.max()),
                        "mean_length": round(float(lengths.mean()), 4), "median_length": float(lengths.median()),
                    }  # fmt: skip
        return facts

    def network(self):
        """A fresh network, on the device; its weights depend on the seed and `init` alone.  Raises: InputError."""
        keywords = dict(self.training.model)
        place = keywords.pop("_target_")
        if source(place):
            log.info("%s: source %s", place, source(place)[:8])
        with seeded(self.seed, "init", *self.training.init):
            model = names.call(place, {**self.host.sizes, **keywords}, "model")
        self.refuse_other(model, place)
        return model.to(self.device)

    def refuse_other(self, model, place):
        """Raise InputError about what is no module, or no LightningModule where the task wants one."""
        if not hasattr(model, "state_dict"):
            raise InputError(f"model: {place} returned {type(model).__name__}, it must return a torch.nn.Module")
        if bool(self.task.logged) != isinstance(model, pl.LightningModule):
            if self.task.logged:
                raise InputError(f"task=logged judges by what a LightningModule logs, and {place} makes none")
            raise InputError(f"{place} makes a LightningModule, which has a loss of its own: add task=logged")
        if self.task.logged and not model.automatic_optimization:
            raise InputError(f"{place} has automatic_optimization=False: nobody could mask its gradients before they are used")

    def carried(self, model):
        """Whether states go from batch to batch: the texts run on, and the model takes them."""
        return self.running and "states" in inspect.signature(model.forward).parameters

    def learner(self, model):
        """(the LightningModule to fit, the callbacks that it needs, the function that tells its `Score` of the epoch)."""
        if self.task.logged:
            losses = Losses(self.task)
            return model, [losses], losses.train_score
        learner = Learner(model, self.task, self.training.optimizer, self.carried(model))
        return learner, [], learner.train_score

    def epoch_batches(self, *purpose):
        """A function from the epoch (0-based) to its training batches, drawn for (purpose, epoch)."""
        settings, train = self.training.data, self.host.train

        def batches(epoch):
            seed_all(self.seed, "chance", *purpose, epoch)  # dropout, and loaders that shuffle by themselves
            if isinstance(train, Loaded):
                loader = train.batches()
                for owner in (loader, getattr(loader, "sampler", None)):
                    if isinstance(getattr(owner, "generator", None), torch.Generator):
                        owner.generator.manual_seed(stream(self.seed, "chance", *purpose, epoch))
                return loader
            order = generator(self.seed, "order", *purpose, epoch)
            return training_batches(self.splits.train, settings.get("batching", "stratified"), settings["batch_size"], order)

        return batches

    def score(self, model, split, *moment):
        """`Score` on `validation` or `test`. moment: when, for the order of batches where it matters (`last_step`)."""
        if not len(getattr(self.splits, split)):
            return Score(self.task)
        batches = self.evaluated(model, split, moment)
        if self.task.logged:
            return validate(self.twin(model), self.task, batches, self.device)
        return evaluate(model, self.task, batches, self.device, self.carried(model))

    def error(self, model, *moment):
        """Standard error of what judges, or None where it cannot be told (of what a LightningModule logs)."""
        if self.task.logged:
            return None
        return standard_error(model, self.task, self.evaluated(model, self.judge, moment), self.device, self.carried(model))

    def evaluated(self, model, split, moment):
        """The batches that a network is evaluated on."""
        examples = getattr(self.splits, split)
        if self.ours and model.readout == "last_step" and not isinstance(examples, Loaded):  # which depends on the batch
            order = generator(self.seed, "evaluation", split, *moment)
            return evaluation_batches(examples, self.training.data["batch_size"], order)
        return self.batches(split)

    def batches(self, split):
        """The batches that a split is evaluated on."""
        examples = getattr(self.splits, split)
        if isinstance(examples, Loaded):
            return examples.batches()
        if split not in self._sorted:
            self._sorted[split] = evaluation_batches(examples)
        return self._sorted[split]

    def twin(self, model):
        """A LightningModule of its own with the same weights: one that is in training cannot be validated besides."""
        self._twin = self._twin or self.network()
        self._twin.load_state_dict(model.state_dict())
        return self._twin

    def row(self, model, train, *moment):
        """The loss and score columns of one row, and the `Score` that judges."""
        scores = {split: self.score(model, split, *moment) for split in ("validation", "test")}
        columns = train.columns("train") | scores["validation"].columns("val") | scores["test"].columns("test")
        return columns, scores[self.judge]

    @property
    def ours(self):
        """Whether the model is one of the project's that read sequences."""
        return self.training.model["_target_"] in names.MODELS.values() and "readout" in self.training.model

    def within(self, masks):
        """The masks of a network for the LightningModule that trains it."""
        return masks if self.task.logged else masks.within("model")

    def without(self, masks):
        """The way back."""
        return masks if self.task.logged else Masks({name.removeprefix("model."): mask for name, mask in masks.items()})

    def masks(self, model, cut, percent, memory=None):
        """The `Masks` of a cut of the weights in `model` to a percent. memory: a dict that cuts of the same weights share."""
        score = cut.score
        if not isinstance(score, str):
            keywords = dict(score)
            score = functools.partial(names.load(keywords.pop("_target_")), **keywords)
        known = UNIT_SCORES if cut.structure == "unit" else SCORES
        function = known.get(score) if isinstance(score, str) else score
        looked_at = functools.cache(lambda: self.looked_at(function))
        # A draw is shared by all percents, as a curve shares it, so that masks are nested; of scores of the user's, those that
        # look at data.
        drawn = ["data"] if isinstance(score, str) or hasattr(function, "batches") else [percent]
        model.zero_grad()
        masks = make_masks(
            model, target=cut.target, percent=percent, score=score, scope=cut.scope, rule=cut.rule, modules=cut.modules,
            generator=generator(self.seed, "score", *drawn), structure=cut.structure, block=tuple(cut.block),
            data=_Lazy(lambda: [tuple(batch[:-1]) for batch in looked_at()]),
            backward=lambda: self.backward(model), loss=self.task.curvature,
            example=self.example if cut.structure == "unit" and known_readers(model) is None else None,
            gates=cut.gates and dict(cut.gates), keep_diagonal=bool(cut.diagonal),
            targets=_Lazy(lambda: [batch[-1] for batch in looked_at()]), memory=memory,
        )  # fmt: skip
        model.zero_grad()
        return masks

    def example(self, batch, time):
        """Inputs for an export: so many training examples, over and over where there are fewer."""
        inputs = next(iter(self.epoch_batches("example")(0)))[:-1]
        return tuple(one[torch.arange(batch) % len(one)] for one in inputs)

    def backward(self, model):
        """Leave the gradients of the summed loss over the training batches that scores look at in `model`."""
        with seeded(self.seed, "score", "backward"), without_dropout(model):
            for index, (*inputs, targets) in enumerate(self.some_batches()):
                if self.task.logged:
                    step = model.training_step((*inputs, targets), index)
                    loss = step["loss"] if isinstance(step, dict) else step
                else:
                    outputs = model(*inputs)
                    loss = (self.task.total or self.task.loss)(outputs, targets)
                loss.backward()

    def looked_at(self, score):
        """The batches that a score looks at: those that judge, or so many of training."""
        if getattr(score, "split", None) == "judge":
            return [[one.to(self.device) for one in batch] for batch in self.batches(self.judge)]
        return self.some_batches(getattr(score, "batches", SCORE_BATCHES))

    def some_batches(self, count=SCORE_BATCHES):
        """Training batches for scores that look at data, on the device, the same at every level."""
        with kept():
            batches = list(itertools.islice(self.epoch_batches("score")(0), count))
        return [[one.to(self.device) for one in batch] for batch in batches]


@contextlib.contextmanager
def without_dropout(model):
    """Within the block nothing is dropped: a score is of the network, and the same whenever it is asked for."""
    layers = [module for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd) and module.training]
    shares = {module: module.dropout for module in model.modules() if isinstance(getattr(module, "dropout", None), float)}
    for module in layers:
        module.training = False
    for module in shares:
        module.dropout = 0.0
    try:
        yield
    finally:
        for module in layers:
            module.training = True
        for module, share in shares.items():
            module.dropout = share


class _Lazy:
    """An iterable over what a function returns, called when somebody asks."""

    def __init__(self, make):
        self.make = make

    def __iter__(self):
        return iter(self.make())

"""The bench of a training: its data on a device, and what is made of them: networks, batches, scores."""

import itertools
from types import SimpleNamespace

from torch.nn import functional as F

from espalier import data, names
from espalier.data.baselines import baselines
from espalier.data.batching import BATCHING, Batches
from espalier.learning.classifier import Classifier
from espalier.learning.evaluation import Score, batches, evaluate
from espalier.pruning import make_masks
from espalier.runs import progress
from espalier.runs.identity import identity
from espalier.runs.seeds import generator, seeded

#: Batches of training data that scores of units look at.
SCORE_BATCHES = 16
_loaded = {}


def load_data(settings):
    """(splits on the CPU, score of every baseline) of a data configuration as plain values; kept for the next training of this
    process that wants the same.
    """
    key = identity({"data": settings})
    if key not in _loaded:
        _loaded.clear()
        splits = data.load(_namespace(settings))
        left = {name: splits.facts[name] for name in ("duplicates", "also_in_test") if splits.facts.get(name)}
        if left:
            told = " and ".join(f"{count} {name.replace('_', ' ')}" for name, count in left.items())
            progress.current.say(f"strings left out of train: {told}")
        _loaded[key] = splits, baselines(splits.train, splits.test)
    return _loaded[key]


def _namespace(value):
    """Nested dicts as objects with attributes."""
    return SimpleNamespace(**{key: _namespace(item) for key, item in value.items()}) if isinstance(value, dict) else value


class Bench:
    """What a `Training` works with, on one device. `judge` is `validation`, or `test` where there is no validation split."""

    def __init__(self, training, seed, device):
        self.training, self.seed, self.device = training, seed, device
        self.host, self.baselines = load_data(training.data)
        self.splits = self.host.to(device)
        self.judge = "validation" if len(self.host.validation) else "test"
        self._sorted = {}

    @property
    def facts(self):
        """What the data are: numbers for result.json."""
        facts = dict(self.host.facts)
        for split in ("train", "validation", "test"):
            strings = getattr(self.host, split)
            for label, name in ((1, "valid"), (0, "invalid")):
                lengths = strings.lengths[strings.labels == label].double()
                if len(lengths):
                    facts[f"{split}_{name}"] = {
                        "strings": len(lengths), "shortest": int(lengths.min()), "longest": int(lengths.max()),
                        "mean_length": round(float(lengths.mean()), 4), "median_length": float(lengths.median()),
                    }  # fmt: skip
        return facts

    def network(self):
        """A fresh network, on the device; its weights depend on the seed and `init` alone."""
        keywords = dict(self.training.model)
        make = names.load(keywords.pop("_target_"))
        with seeded(self.seed, "init", *self.training.init):
            model = make(**keywords)
        return model.to(self.device)

    def classifier(self, model, *purpose):
        """The `Classifier` that trains `model`, its batches drawn for (purpose, epoch)."""
        settings, strings = self.training.data, self.host.train

        def epoch_batches(epoch):
            order = generator(self.seed, "order", *purpose, epoch)
            make = BATCHING[settings["batching"]]
            return Batches(self.splits.train, make(strings.lengths, strings.labels, settings["batch_size"], order))

        return Classifier(model, epoch_batches, self.training.optimizer)

    def score(self, model, split, *moment):
        """`Score` on `validation` or `test`. moment: when, for the order of batches where it matters (`last_step`)."""
        if not len(getattr(self.splits, split)):
            return Score()
        if model.readout == "last_token":
            if split not in self._sorted:
                self._sorted[split] = batches(getattr(self.splits, split))
            return evaluate(model, self._sorted[split])
        order = generator(self.seed, "evaluation", split, *moment)
        return evaluate(model, batches(getattr(self.splits, split), self.training.data["batch_size"], order))

    def row(self, model, train, *moment):
        """The loss and score columns of one row, and the `Score` that judges."""
        scores = {split: self.score(model, split, *moment) for split in ("validation", "test")}
        columns = train.columns("train") | scores["validation"].columns("val") | scores["test"].columns("test")
        return columns, scores[self.judge]

    def masks(self, model, cut, percent):
        """The `Masks` of a cut of the weights in `model` to a percent."""
        if cut.score == "taylor":
            model.zero_grad()
            for tokens, lengths, labels in self._some_batches(model):
                F.cross_entropy(model(tokens, lengths), labels, reduction="sum").backward()
        masks = make_masks(
            model, target=cut.target, percent=percent, score=cut.score, scope=cut.scope, rule=cut.rule,
            generator=generator(self.seed, "score", percent), structure=cut.structure, block=tuple(cut.block),
            data=[batch[:2] for batch in self._some_batches(model)] if cut.score == "activation" else None,
        )  # fmt: skip
        model.zero_grad()
        return masks

    def _some_batches(self, model):
        """Training batches for scores that look at data, the same at every level."""
        return list(itertools.islice(self.classifier(model, "score").epoch_batches(0), SCORE_BATCHES))

"""The bench of a training: its data on a device, and what is made of them: networks, batches, scores."""

import itertools

from torch.nn import functional as F

from espalier import data, names
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
    """The `Data` of a data configuration as plain values, on the CPU; kept for the next training of this process that wants the
    same.
    """
    key = identity({"data": settings})
    if key not in _loaded:
        _loaded.clear()
        found = data.load(settings)
        left = {name: found.facts[name] for name in ("duplicates", "also_in_test") if found.facts.get(name)}
        if left:
            told = " and ".join(f"{count} {name.replace('_', ' ')}" for name, count in left.items())
            progress.current.say(f"left out of train: {told}")
        _loaded[key] = found
    return _loaded[key]


class Bench:
    """What a `Training` works with, on one device. `judge` is `validation`, or `test` where there is no validation split."""

    def __init__(self, training, seed, device):
        self.training, self.seed, self.device = training, seed, device
        self.host = load_data(training.data)
        self.splits = self.host.to(device)
        self.judge = "validation" if len(self.host.validation) else "test"
        self._sorted = {}

    @property
    def facts(self):
        """What the data are: numbers for result.json."""
        facts = dict(self.host.facts)
        for split in ("train", "validation", "test"):
            examples = getattr(self.host, split)
            for label, name in enumerate(self.host.labels):
                lengths = examples.lengths[examples.targets == label].double()
                if len(lengths):
                    facts[f"{split}_{name}"] = {
                        "count": len(lengths), "shortest": int(lengths.min()), "longest": int(lengths.max()),
                        "mean_length": round(float(lengths.mean()), 4), "median_length": float(lengths.median()),
                    }  # fmt: skip
        return facts

    def network(self):
        """A fresh network, on the device; its weights depend on the seed and `init` alone."""
        keywords = dict(self.training.model)
        make = names.load(keywords.pop("_target_"))
        with seeded(self.seed, "init", *self.training.init):
            model = make(**keywords, **self.host.sizes)
        return model.to(self.device)

    def classifier(self, model, *purpose):
        """The `Classifier` that trains `model`, its batches drawn for (purpose, epoch)."""
        settings, train = self.training.data, self.host.train

        def epoch_batches(epoch):
            order = generator(self.seed, "order", *purpose, epoch)
            make = BATCHING[settings["batching"]]
            return Batches(self.splits.train, make(train.lengths, train.targets, settings["batch_size"], order))

        return Classifier(model, epoch_batches, self.training.optimizer)

    def score(self, model, split, *moment):
        """`Score` on `validation` or `test`. moment: when, for the order of batches where it matters (`last_step`)."""
        if not len(getattr(self.splits, split)):
            return Score()
        if getattr(model, "readout", None) != "last_step":  # which alone depends on the batch
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
            for *inputs, labels in self._some_batches(model):
                F.cross_entropy(model(*inputs), labels, reduction="sum").backward()
        masks = make_masks(
            model, target=cut.target, percent=percent, score=cut.score, scope=cut.scope, rule=cut.rule,
            generator=generator(self.seed, "score", percent), structure=cut.structure, block=tuple(cut.block),
            data=[batch[:-1] for batch in self._some_batches(model)] if cut.score == "activation" else None,
        )  # fmt: skip
        model.zero_grad()
        return masks

    def _some_batches(self, model):
        """Training batches for scores that look at data, the same at every level."""
        return list(itertools.islice(self.classifier(model, "score").epoch_batches(0), SCORE_BATCHES))

"""Goals instead of percents: as small, or as fast, or as good as one asks for."""

import copy
import numbers

import torch

from espalier.errors import InputError
from espalier.pruning.costs import latency, size
from espalier.pruning.prune import make_masks
from espalier.pruning.running import Runs, given, maker
from espalier.pruning.shrink import shrink

#: What can be asked for as a share of what it was.
GOALS = ("parameters", "bytes", "multiply_adds", "latency")


def compress(
    model,
    example,
    train=None,
    evaluate=None,
    within=None,
    higher=True,
    rounds=1,
    precision=1.0,
    repeats=30,
    score="magnitude",
    scope=None,
    modules=None,
    data=None,
    say=print,
    **goals,
):
    """The network without as many hidden units as a goal asks for, shrunk, and a table of all tries.

    model: stays as it is.  example: its inputs, as for `shrink`.
    parameters, bytes, multiply_adds, latency: at most this share of what it was (0.5: half); several may be asked for.
    within: how much quality may be lost, in the terms of `evaluate`, a function from a network to a number, of which more is
    better (higher=False: less). With shares, it is the price that is allowed; alone, as much goes as it allows.
    train: function from (network, masks), called after every cut to train the network in place; within `masks.attached` it
    stays pruned.  rounds: cuts on the way to a percent, as a cubic ramp takes them (1: all at once).
    precision: of the percent, which is found by halving.  repeats: of the measurement of latency.
    score, scope, modules, data: as for `prune`.  say: called with a line per try; None: nothing.

    Returns: (the network, a list of a dict per try: `percent`, the shares left of `parameters`, `bytes`, `multiply_adds` and,
    where it was asked for, `latency`, `quality`, `kept` units by layer, `meets`, whether it is what was asked for).
    Raises: InputError if no percent meets it, with what was reached, or if there is nothing to meet.
    """
    unknown = [name for name in goals if name not in GOALS]
    if unknown:
        raise InputError(f"compress: a goal is one of {', '.join(GOALS)}, or within=..., got {unknown[0]}")
    if not goals and within is None:
        raise InputError(f"compress: say a goal, {'=, '.join(GOALS)}= as a share of what it was, or within= and evaluate=")
    for name, share in goals.items():
        if not isinstance(share, numbers.Real) or not 0 < share < 1:
            raise InputError(f"compress: {name} is the share that may be left, above 0 and below 1, got {share}")
    for name, count in (("rounds", rounds), ("repeats", repeats)):
        if not isinstance(count, numbers.Integral) or count < 1:
            raise InputError(f"compress: {name} must be a whole number above 0, got {count!r}")
    if within is not None and evaluate is None:
        raise InputError("compress: within= needs evaluate=, a function from a network to a number")
    how = dict(score=score, scope=scope, modules=modules, data=data)
    tries = _Tries(model, example, train, evaluate, higher, rounds, repeats, goals, how)
    tries.within, tries.say = within, say or (lambda line: None)
    return tries.by_size(precision) if goals else tries.by_quality(precision)


class _Tries:
    def __init__(self, model, example, train, evaluate, higher, rounds, repeats, goals, how):
        self.model, self.example, self.train, self.evaluate = model, example, train, evaluate
        self.higher, self.rounds, self.repeats, self.goals, self.how = higher, rounds, repeats, goals, how
        Runs(model, given(example))  # which says what does not fit
        self.inputs = maker(model, example)
        self.before = self.measured(model)
        self.base = self.quality(model)
        self.rows = []

    def measured(self, model):
        found = size(model, self.inputs, STEPS)
        return {name: found[name] for name in ("parameters", "bytes", "multiply_adds")}

    def cut(self, percent, trained):
        """(the shrunk network, its row) at a percent."""
        network = copy.deepcopy(self.model)
        for k in range(1, self.rounds + 1 if trained else 2):
            part = percent * (1 - (1 - k / self.rounds) ** 3) if trained else percent
            masks = make_masks(network, structure="unit", percent=part, example=self.example, **self.how)
            masks.cut(network)
            if trained and self.train:
                self.train(network, masks)
                masks.weights(network)
        small = shrink(network, example=self.example, say=None)
        after = self.measured(small)
        row = {"percent": round(percent, 4), **{name: after[name] / self.before[name] for name in after}}
        if "latency" in self.goals:
            (slow, *_), (fast, *_) = latency({"before": self.model, "after": small}, self.inputs(1, STEPS), self.repeats)
            row["latency"] = fast / slow
        row["kept"] = {
            f"{name}, layer {layer}" + ", reverse" * side: len(units) for (name, layer, side), units in small.kept.items()
        }  # fmt: skip
        return small, row

    def quality(self, model):
        found = self.evaluate(model) if self.evaluate else None
        if self.evaluate and not isinstance(found, (numbers.Real, torch.Tensor)):
            raise InputError(f"compress: evaluate must give a number, got {found!r}")
        return None if found is None else float(found)

    def small_enough(self, row):
        return all(row[name] <= share for name, share in self.goals.items())

    def judge(self, small, row):
        """Add the quality of a network to its row, and whether it is what was asked for."""
        row["quality"] = self.quality(small)
        lost = None if self.base is None else (self.base - row["quality"]) * (1 if self.higher else -1)
        row["meets"] = self.small_enough(row) and (self.within is None or lost <= self.within)
        self.rows.append(row)
        told = ", ".join(f"{name} {row[name]:.3g}" for name in dict.fromkeys((*self.goals, "parameters")))
        quality = "" if row["quality"] is None else f", quality {row['quality']:.4g} (was {self.base:.4g})"
        self.say(f"{row['percent']:g} % of the units removed: {told} of what it was{quality}")
        return row["meets"]

    def by_size(self, precision):
        """The fewest units that a share asks for, then trained and judged."""
        low, high, most, found = 0.0, None, 100.0, None
        ways = [50.0, 75.0, 90.0, 95.0, 98.0]
        while high is None and ways:
            percent = ways.pop(0)
            try:
                row = self.cut(percent, False)[1]
            except InputError as error:  # a layer would be left without units: less may do
                found, most, ways = error, percent, []
            else:
                low, high = (low, percent) if self.small_enough(row) else (percent, None)
            if high is None and not ways and found and most - low > precision:
                ways = [(low + most) / 2]
        if high is None:
            told = "" if found is None else f" ({found})"
            raise InputError(f"compress: {self._asked()} is not reached by removing {low:g} % of the units{told}")
        while high - low > precision:
            middle = (low + high) / 2
            if self.small_enough(self.cut(middle, False)[1]):
                high = middle
            else:
                low = middle
        small, row = self.cut(high, True)
        if not self.judge(small, row):
            if not self.small_enough(row):
                raise InputError(f"compress: {self._asked()} is not stable at {high:g} %: {row}; try again, or ask for less")
            raise InputError(
                f"compress: {self._asked()} takes {high:g} % of the units and costs more than {self.within:g}: quality "
                f"{row['quality']:.4g}, was {self.base:.4g}; allow more, train longer, or ask for less"
            )
        return small, self.rows

    def by_quality(self, precision):
        """As many units as the loss of quality allows, by halving."""
        low, high, best = 0.0, 100.0, None
        while high - low > precision:
            middle = (low + high) / 2
            try:
                small, row = self.cut(middle, True)
            except InputError:  # a layer would be left without units
                if best is None and middle < precision:
                    raise
                high = middle
                continue
            if self.judge(small, row):
                best, low = small, middle
            else:
                high = middle
        if best is None:
            tried = "; ".join(f"{row['percent']:g} %: {row['quality']:.4g}" for row in self.rows)
            raise InputError(f"compress: no percent of units keeps {self.base:.4g} within {self.within:g} ({tried})")
        return best, self.rows

    def _asked(self):
        return ", ".join(f"{name}={share:g}" for name, share in self.goals.items())


#: Time steps of the inputs that are measured.
STEPS = 32

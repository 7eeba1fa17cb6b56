"""Redundant: passes, each of which drops the units that the rule of `score=variation` calls redundant in the network as the
pass before left it, and trains on with the others, until a pass finds none.

passes: at most so many.  smallest: it ends as soon as no more units than this are left.  worse: true: also as soon as a level
is not regained.  The percents that were asked for are not looked at: those of the levels are what the rule came to.
weights: `kept`, the units that stay keep their weights and are retrained; `scratch`, they are drawn anew as for a network of so
many units, the same in every pass, and trained as long as the base.
Reference: the study of redundant units, which trained the smaller network from scratch every time.
"""

from dataclasses import replace

from espalier.learning.training import Start
from espalier.schedules.keys import whole, word

KEYS = {
    "passes": (20, whole(1)),
    "smallest": (1, whole(1)),
    "worse": (False, word(False, True)),
    "weights": ("kept", word("kept", "scratch")),
}


def redundant(level, start, percents, run, settings):
    base, before = start, None
    for _ in range(settings["passes"]):
        left, total = run(level(0, start, epochs=0, rule="redundant")).units
        if before is None and left == total:
            yield run(level(0, start))  # none is redundant
        if left == (total if before is None else before):
            return
        percent = round(100 * (1 - left / total), 10)
        if settings["weights"] == "scratch":
            drawn = Start(replace(base.training, epochs=0), rescaled=True)
            training = level(percent, drawn, ranked=start, epochs=base.training.epochs, rule="redundant")
        else:
            training = level(percent, start, rule="redundant")
        trained = run(training)
        yield trained
        if left <= settings["smallest"] or (settings["worse"] and not trained.regained):
            return
        start, before = Start(training), left

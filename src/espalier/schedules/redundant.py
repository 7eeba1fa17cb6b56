"""Redundant: passes, each of which drops the units that the rule of `score=variation` calls redundant in the network as the
pass before left it, and retrains the others, until a pass finds none.

passes: at most so many.  smallest: it ends as soon as no more units than this are left.  worse: true: also as soon as a level
is not regained.  The percents that were asked for are not looked at: those of the levels are what the rule came to.
Reference: the study of redundant units, which trained the smaller network from scratch every time.
"""

from espalier.learning.training import Start
from espalier.schedules.keys import whole, word

KEYS = {"passes": (20, whole(1)), "smallest": (1, whole(1)), "worse": (False, word(False, True))}


def redundant(level, start, percents, run, settings):
    before = None
    for _ in range(settings["passes"]):
        left, total = run(level(0, start, epochs=0, rule="redundant")).units
        if before is None and left == total:
            yield run(level(0, start))  # none is redundant
        if left == (total if before is None else before):
            return
        training = level(round(100 * (1 - left / total), 10), start, rule="redundant")
        trained = run(training)
        yield trained
        if left <= settings["smallest"] or (settings["worse"] and not trained.regained):
            return
        start, before = Start(training), left

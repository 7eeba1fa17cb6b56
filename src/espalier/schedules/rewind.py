"""Rewind: the masks of the trained network, the weights of an earlier epoch of it (lottery tickets).

Every level ranks the weights of the level before (the first those of the base), takes the weights of the base at
`epoch` (0: as they were drawn), cuts these and trains them as long as the base was.
`fresh=true` is its control: the same masks on weights that were drawn anew, where a lottery ticket should be no better.
Reference: Frankle and Carbin 2019, "The lottery ticket hypothesis"; Frankle et al. 2020, "Linear mode connectivity".
"""

from dataclasses import replace

from espalier.learning.training import Start
from espalier.schedules.keys import whole

KEYS = {"epoch": (0, whole(0))}


def rewind(level, start, percents, run, settings):
    base, ranked = start.training, start
    early = Start(replace(base, epochs=settings["epoch"]))
    for percent in percents:
        training = level(percent, early, ranked=ranked, epochs=base.epochs)
        yield run(training)
        ranked = Start(training)

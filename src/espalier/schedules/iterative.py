"""Iterative: every level is cut from the one before, as it was retrained; what went stays away.

of: `all`, percents are of all weights; `left`, each is of what the level before has left (75 after 50 leaves 12.5 %).
Reference: Han et al. 2015; Frankle and Carbin 2019, section 2.
"""

from espalier.learning.training import Start
from espalier.schedules.keys import word

KEYS = {"of": ("all", word("all", "left"))}


def iterative(level, start, percents, run, settings):
    left = 100.0
    for percent in percents:
        left = left * (1 - percent / 100) if settings["of"] == "left" else 100 - percent
        training = level(round(100 - left, 10), start)
        yield run(training)
        start = Start(training)

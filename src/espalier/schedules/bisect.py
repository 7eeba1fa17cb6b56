"""Bisect: the largest percent that is regained, to within `precision` percent, by halving.

Every percent is cut from the base. It assumes that what is regained at one percent is regained below it, and starts from
the lowest and the highest percent that were asked for.
"""

from espalier.schedules.keys import number

KEYS = {"precision": (1, number(0.001, 100, "a number from 0.001 to 100 percent"))}


def bisect(level, start, percents, run, settings):
    low, high = min(percents), max(percents)
    for percent in (high, low):
        trained = run(level(percent, start))
        yield trained
        if trained.regained == (percent == high):
            return  # all are, or none is
    while high - low > settings["precision"]:
        middle = round((low + high) / 2, 6)
        trained = run(level(middle, start))
        yield trained
        low, high = (middle, high) if trained.regained else (low, middle)

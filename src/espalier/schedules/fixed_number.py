"""Fixed number: `weights` more go at every level, each from the one before, until the highest percent asked for is reached.

total: the weights that compete; the last level removes what is left to the highest percent.
"""

from espalier.learning.training import Start


def fixed_number(level, start, percents, run, settings):
    highest, percent = max(percents), 0.0
    if highest == 0:
        yield run(level(0, start))
        return
    total = run(level(0, start, epochs=0)).total
    while percent < highest:
        percent = min(percent + 100 * settings["weights"] / total, highest)
        training = level(percent, start)
        yield run(training)
        start = Start(training)

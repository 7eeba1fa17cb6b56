"""Fixed number: `weights` more go at every level, each from the one before, until the highest percent asked for is reached.

total: the weights that compete; the last level removes what is left to the highest percent.
"""

from espalier.learning.training import Start


def fixed_number(level, start, percents, run, settings):
    highest, percent, trained = max(percents), 0.0, None
    while percent < highest:
        total = trained.total if trained else run(level(0, start)).total
        percent = min(percent + 100 * settings["weights"] / total, highest)
        training = level(percent, start)
        trained = run(training)
        yield trained
        start = Start(training)

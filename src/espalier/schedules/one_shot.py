"""One shot: every level is cut from the base. Levels know nothing of each other.

Reference: Han, Pool, Tran, Dally 2015, "Learning both weights and connections for efficient neural networks".
"""


def one_shot(level, start, percents, run, settings):
    for percent in percents:
        yield run(level(percent, start))

"""Fixed number: `weights` more go at every level, each from the one before, until the highest percent asked for is reached.

total: the weights that compete; the last level removes what is left to the highest percent.
smallest: it ends as soon as no more weights than this are left, or a layer is empty; None: at the highest percent.
"""

import math

from espalier.errors import InputError
from espalier.learning.training import Start
from espalier.schedules.keys import optional, whole

KEYS = {"weights": (1000, whole(1)), "smallest": (None, optional(whole(0)))}

#: Levels, each of which starts from the one before.
MOST = 200


def fixed_number(level, start, percents, run, settings):
    highest, percent = max(percents), 0.0
    if highest == 0:
        yield run(level(0, start))
        return
    total = run(level(0, start, epochs=0)).total
    count = math.ceil(highest / 100 * total / settings["weights"])
    if count > MOST:
        raise InputError(f"schedule.weights={settings['weights']} of {total} makes {count} levels, at most {MOST}: raise it")
    while percent < highest:
        percent = min(percent + 100 * settings["weights"] / total, highest)
        training = level(percent, start)
        trained = run(training)
        yield trained
        if "smallest" in settings and (trained.result["kept"] <= settings["smallest"] or trained.empty):
            return
        start = Start(training)

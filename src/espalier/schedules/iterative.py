"""Iterative: every level is cut from the one before, as it was retrained; what went stays away.

of: `all`, percents are of all weights; `left`, each is of what the level before has left (75 after 50 leaves 12.5 %).
smallest: it ends as soon as no more weights than this are left, or a layer is empty; of what is left, rounds of the last
percent go on until then. None: the percents that were asked for.
With rule=percentile a round of `left` ranks what is left alone, as the study did, which decides about the last weight.
Reference: Han et al. 2015; Frankle and Carbin 2019, section 2.
"""

import itertools
import math

from espalier.errors import InputError
from espalier.learning.training import Start
from espalier.schedules.keys import optional, whole, word

KEYS = {"of": ("all", word("all", "left")), "smallest": (None, optional(whole(0)))}
#: Rounds of a chain, each of which starts from the one before.
MOST = 200


def iterative(level, start, percents, run, settings):
    smallest, of_left = settings.get("smallest"), settings["of"] == "left"
    if smallest is not None and of_left:
        if not percents[-1]:
            raise InputError("schedule.smallest: rounds of 0 percent never get there; raise percent")
        percents = itertools.islice(itertools.chain(percents, itertools.repeat(percents[-1])), MOST)
    left, trained = 100.0, None
    for percent in percents:
        left = left * (1 - percent / 100) if of_left else 100 - percent
        training = level(round(100 - left, 10), start)
        if of_left and trained and training.cut.rule == "percentile":
            kept = trained.result["kept"]
            left = 100 * (kept - math.ceil(percent / 100 * (kept - 1))) / trained.total
            training = level(round(100 - left, 10), start, rule="exact")
        trained = run(training)
        yield trained
        if smallest is not None and of_left and trained.total * (1 - percent / 100) ** MOST > smallest:
            raise InputError(f"schedule.smallest={smallest}: rounds of {percent:g} % take more than {MOST} to get there")
        if smallest is not None and (trained.result["kept"] <= smallest or trained.empty):
            return
        start = Start(training)

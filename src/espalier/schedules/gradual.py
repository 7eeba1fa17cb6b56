"""Gradual: every level trains the base while its masks grow to the percent, and after that until `retrain` ends it.

shape: `cubic`, fast at first and slowly at the end, or `linear`; ramp: share of the epochs of retraining that it takes;
updates: how often the masks change in an epoch.  What goes stays away.
Reference: Zhu and Gupta 2017, "To prune, or not to prune: exploring the efficacy of pruning for model compression".
"""

import sys

from espalier.schedules.keys import number, whole, word

KEYS = {
    "shape": ("cubic", word("cubic", "linear")),
    "ramp": (0.5, number(sys.float_info.min, 1, "a share of the epochs, above 0 and at most 1")),
    "updates": (10, whole(1)),
}


def gradual(level, start, percents, run, settings):
    growth = {name: settings[name] for name in ("shape", "ramp", "updates")}
    for percent in percents:
        yield run(level(percent, start, growth=growth))

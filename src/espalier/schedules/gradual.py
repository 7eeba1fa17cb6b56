"""Gradual: every level trains the base while its masks grow to the percent, and after that until `retrain` ends it.

shape: `cubic`, fast at first and slowly at the end, or `linear`; ramp: share of the epochs of retraining that it takes;
updates: how often the masks change in an epoch.  What goes stays away.
Reference: Zhu and Gupta 2017, "To prune, or not to prune: exploring the efficacy of pruning for model compression".
"""


def gradual(level, start, percents, run, settings):
    growth = {name: settings[name] for name in ("shape", "ramp", "updates")}
    for percent in percents:
        yield run(level(percent, start, growth=growth))

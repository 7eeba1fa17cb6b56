"""Schedules: which trainings follow from a base and a cut. One file each; a new one is that file, a line in `espalier.names`
and a file in `conf/schedule`.

Each is a function of (level, start, percents, run, settings), a generator of what was trained, level by level:
level: function from a percent, a `Start` and changes of the `Training` (ranked, epochs, growth) to the training of a level;
start: the base; percents: the levels that were asked for, ascending; run: function from a training to `Trained`, found or
trained; settings: the keys of the schedule, which its module may declare in KEYS (see `espalier.schedules.keys`).
"""

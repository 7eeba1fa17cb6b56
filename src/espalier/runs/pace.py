"""How long work takes: what was measured in this process, and in the same pool of runs before."""

import contextlib
import time
from pathlib import Path

from espalier.runs.files import read_json, write_json

#: Units of a kind that are timed before their pace is told: the first take longer, and one alone says little.
SURE = 3


class Pace:
    """Seconds per unit of every kind of work.  path: a file that keeps them for the next time, or None.

    A kind is a text. What a job takes besides its units (it loads data, it draws figures) is a kind of its own, `ASIDE`.
    """

    ASIDE = "besides"

    def __init__(self, path=None):
        self.path = None if path is None else Path(path)
        known = read_json(self.path) if self.path else None
        self.before = {}
        for kind, entry in known.items() if isinstance(known, dict) else ():
            numbers = isinstance(entry, list) and len(entry) == 2 and all(isinstance(one, (int, float)) for one in entry)
            if numbers and entry[0] > 0:
                self.before[kind] = entry
        self.units, self.seconds, self.last = {}, {}, time.monotonic()

    def start(self):
        """A job begins, or ends: what comes until its next unit, or came after its last, is beside them."""
        self.last = time.monotonic()

    def work(self, kind, units):
        """So many units of a kind are done, since the last call."""
        now = time.monotonic()
        self.units[kind] = self.units.get(kind, 0) + units
        self.seconds[kind] = self.seconds.get(kind, 0.0) + now - self.last
        self.last = now

    def of(self, kind):
        """Seconds per unit: as measured here, else as before, else None."""
        if self.units.get(kind, 0) >= (1 if kind.endswith(self.ASIDE) else SURE):
            return self.seconds[kind] / self.units[kind]
        if kind in self.before:
            units, seconds = self.before[kind]
            return seconds / units
        return None

    def left(self, pending):
        """Seconds that pending work, kind -> units, will take; None as long as that is a guess."""
        total, unknown = 0.0, 0.0
        for kind, units in pending.items():
            pace = self.of(kind)
            if pace is not None:
                total += units * pace
            elif units and not kind.endswith(self.ASIDE):
                unknown += units
        if unknown:  # as all that is measured here takes on average
            measured = [kind for kind in self.units if not kind.endswith(self.ASIDE)]
            done = sum(self.units[kind] for kind in measured)
            if done < SURE:
                return None
            total += unknown * sum(self.seconds[kind] for kind in measured) / done
        return total

    def keep(self):
        """Leave what was measured for the next time; only the last of it counts, for machines change."""
        if self.path:
            measured = {kind: [units, round(self.seconds[kind], 3)] for kind, units in self.units.items() if units > 0}
            with contextlib.suppress(OSError):  # an estimate is worth no failure
                before = read_json(self.path)
                write_json(self.path, {**(before if isinstance(before, dict) else {}), **measured})

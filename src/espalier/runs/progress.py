"""What a person sees while it runs: which job of how many, level, epoch, accuracy, time left."""

import contextlib
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars


class Progress:
    """One bar over all jobs of this process on a terminal; elsewhere (a file, a pipe) one line per step worth a line.

    jobs: number of jobs that will be run; all count the same for the time left.
    """

    def __init__(self, jobs=1):
        self.console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.jobs, self.started = jobs, time.monotonic()
        self.done = 0  # jobs
        self.label, self.units, self.reached = "", 1.0, 0.0
        self.bar = None

    @contextlib.contextmanager
    def job(self, label, units):
        """A job of `units` (of work, any measure) that calls `advance`."""
        self.label, self.units, self.reached = label, units, 0.0
        try:
            if sys.stderr.isatty():
                columns = (
                    TextColumn("{task.description}"),
                    BarColumn(24),
                    TextColumn("{task.percentage:3.0f} %  {task.fields[now]}"),
                )
                with Bars(*columns, console=self.console, transient=True, refresh_per_second=4) as bars:
                    self.bar = bars, bars.add_task(self._place(), total=1.0, now="")
                    yield
            else:
                yield
        finally:
            self.bar = None
            self.done += 1

    def advance(self, units, now, line=False):
        """`units` more are done; `now` says where we are. line: worth a line of its own where there is no bar."""
        self.reached = min(self.reached + units, self.units)
        share = (self.done + self.reached / self.units) / self.jobs
        elapsed = time.monotonic() - self.started
        left = f"{clock(elapsed * (1 - share) / share)} left" if share > 0 else ""
        if self.bar:
            bars, task = self.bar
            bars.update(task, completed=share, description=self._place(), now=f"{now}  {left}")
        elif line:
            self.console.print(f"{self._place()}: {now}  ({left})", markup=False)

    def say(self, line):
        """A line that stays."""
        self.console.print(line, markup=False)

    def _place(self):
        return f"[{min(self.done + 1, self.jobs)}/{self.jobs}] {self.label}" if self.jobs > 1 else self.label


def clock(seconds):
    """`m:ss`, or `h:mm:ss`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


#: The progress of this process; a sweep puts one in that knows the number of its jobs.
current = Progress()

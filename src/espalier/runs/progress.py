"""What a person sees while it runs: which job of how many, level, epoch, accuracy, time left."""

import contextlib
import sys
import threading
import time

from rich.console import Console
from rich.live import Live
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bars
from rich.table import Table

from espalier.runs.files import read_json, write_json
from espalier.runs.pace import Pace

#: Share of parallel work that has to be done before the time left is told.
SOON = 0.05


class Progress:
    """One bar over all jobs of this process on a terminal; elsewhere (a file, a pipe) one line per step worth a line.

    jobs: number of jobs that will be run.  planned: of those whose work is known, kind -> units each, in their order.
    pace: a `Pace`, from which the time left is told.
    """

    def __init__(self, jobs=1, planned=(), pace=None):
        self.console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
        self.jobs, self.planned, self.pace = jobs, list(planned), pace or Pace()
        self.done = 0  # jobs
        self.label, self.pending, self.units = "", {}, 1.0
        self.aside, self.first = Pace.ASIDE, True  # until the first unit of a job, and of work that is no job's
        self.bar = None

    @contextlib.contextmanager
    def job(self, label, work):
        """A job whose work is so many units (a number), or kind -> units, that calls `advance`. One more than was announced is
        counted in.
        """
        self.jobs = max(self.jobs, self.done + 1)
        work = work if isinstance(work, dict) else {"": work}
        known = next((one for one in self.planned if one.keys() == work.keys()), None)
        if known is not None:
            self.planned.remove(known)
        self.label, self.pending, self.units = label, dict(work), max(1, sum(work.values()))
        self.aside = f"{next(iter(work))} {Pace.ASIDE}"
        self.first = True
        self.pace.start()
        try:
            if sys.stderr.isatty():
                columns = (
                    TextColumn("{task.description}", markup=False),
                    BarColumn(24),
                    TextColumn("{task.percentage:3.0f} %  {task.fields[now]}", markup=False),
                )
                with Bars(*columns, console=self.console, transient=True, refresh_per_second=4) as bars:
                    self.bar = bars, bars.add_task(self._place(), total=1.0, now="preparing")
                    yield
            else:
                yield
        finally:
            self.bar = None
            self.done += 1
            self.pace.work(self.aside, 0)
            self.pace.keep()

    def advance(self, units, now, line=False, of=None):
        """`units` more are done; `now` says where we are. line: worth a line of its own where there is no bar.  of: the end of
        the kind of work, by default the first one's.
        """
        kind = next((kind for kind in self.pending if of and kind.endswith(of)), next(iter(self.pending), ""))
        units = min(units, self.pending.get(kind, 0))
        self.pending[kind] = self.pending.get(kind, 0) - units
        # Until its first unit a job imports, reads and waits: that is no pace of units.
        if self.first:
            self.pace.work(self.aside, 1)
            self.first = False
        else:
            self.pace.work(kind, units)
        told = self.left()
        left = f"{clock(told)} left" if told is not None else ""
        share = (self.done + 1 - sum(self.pending.values()) / self.units) / self.jobs
        if self.bar:
            bars, task = self.bar
            bars.update(task, completed=share, description=self._place(), now=f"{now}  {left}")
        elif line:
            self.console.print(f"{self._place()}: {now}" + (f"  ({left})" if left else ""), markup=False)

    def left(self):
        """Seconds that this job and those to come will take, or None as long as nobody can know."""
        pending = dict(self.pending)
        for one in self.planned:
            for kind, units in one.items():
                pending[kind] = pending.get(kind, 0) + units
            aside = f"{next(iter(one))} {Pace.ASIDE}"
            pending[aside] = pending.get(aside, 0) + 1
        return self.pace.left(pending)

    def say(self, line):
        """A line that stays."""
        self.console.print(line, markup=False)

    def _place(self):
        return f"[{min(self.done + 1, self.jobs)}/{self.jobs}] {self.label}" if self.jobs > 1 else self.label


class Remote:
    """The progress of a job in a worker process: it writes where it is into `status.json`, for `watching`."""

    def __init__(self, path, label):
        self.path, self.label, self.units, self.reached, self.written = path, label, 1.0, 0.0, 0.0

    @contextlib.contextmanager
    def job(self, label, work):
        self.units, self.reached = max(1, sum(work.values()) if isinstance(work, dict) else work), 0.0
        self.write("running", "starting")
        yield

    def advance(self, units, now, line=False, of=None):
        self.reached = min(self.reached + units, self.units)
        if line or time.monotonic() - self.written > 1:
            self.write("running", now)

    def say(self, line):
        """A worker has no terminal."""

    def write(self, state, now):
        self.written = time.monotonic()
        status = {"label": self.label, "state": state, "share": self.reached / self.units, "now": now}
        with contextlib.suppress(OSError):  # a status is worth no failure
            write_json(self.path, status)


@contextlib.contextmanager
def watching(runs, poll=1.0):
    """A table of the states of parallel jobs, kept up to date while the block runs: directories with a `status.json`.

    On a terminal the table lives in place; elsewhere each job gets a line when it ends.
    """
    console = Console(stderr=True, highlight=False, soft_wrap=True, markup=False)
    for run in runs:
        (run / "status.json").unlink(missing_ok=True)
    stop, started, told = threading.Event(), time.monotonic(), set()

    def states():
        return [
            (
                run,
                read_json(run / "status.json")
                or {"label": f"{run.parent.name} {run.name}", "state": "waiting", "share": 0.0, "now": ""},
            )
            for run in runs
        ]

    def table():
        now = states()
        share = sum(1.0 if status["state"] in ("done", "failed") else status["share"] for _, status in now) / len(now)
        elapsed = time.monotonic() - started
        left = f", {clock(elapsed * (1 - share) / share)} left" if share > SOON else ""  # of the first seconds it is a guess
        made = Table(title=f"{sum(s['state'] == 'done' for _, s in now)} of {len(now)} jobs done{left}", title_justify="left")
        for name in ("job", "state", "", "now"):
            made.add_column(name)
        for _, status in now:
            if status["state"] != "waiting" or len(now) <= 40:
                made.add_row(status["label"], status["state"], f"{status['share']:.0%}", status["now"])
        return made

    def lines():
        for run, status in states():
            if status["state"] in ("done", "failed") and run not in told:
                told.add(run)
                console.print(f"[{len(told)}/{len(runs)}] {status['label']}: {status['state']} {status['now']}", markup=False)

    def follow():
        if sys.stderr.isatty():
            with Live(get_renderable=table, console=console, refresh_per_second=1, transient=True):
                stop.wait()
        else:
            while not stop.wait(poll):
                lines()
            lines()

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def clock(seconds):
    """`m:ss`, or `h:mm:ss`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}" if hours else f"{minutes}:{seconds:02d}"


#: The progress of this process; a sweep puts one in that knows the number of its jobs.
current = Progress()

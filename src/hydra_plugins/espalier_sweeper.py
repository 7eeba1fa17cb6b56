"""The sweeper: Hydra's, which composes each job once, drops finished runs, and ends in joined tables, also after failures.

It stands in the package `hydra_plugins`, because Hydra finds and instantiates plugins nowhere else.
"""

import contextlib
import copy
import hashlib
import logging
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.core.plugins import Plugins
from hydra.core.utils import JobStatus
from omegaconf import OmegaConf, open_dict, read_write
from omegaconf.errors import OmegaConfBaseException

from espalier import overrides
from espalier.errors import InputError
from espalier.runs import progress
from espalier.runs.identity import plain
from espalier.runs.pace import Pace
from espalier.settings import notes, to_config
from espalier.studies import checking, controls, stories
from espalier.studies.plan import RUNS, base_run, shipped, work

log = logging.getLogger(__name__)


@dataclass
class Job:
    """One job of a sweep: its overrides, its checked configuration, its run, and the run it needs first."""

    overrides: List[str]
    config: Any
    run: Any
    base: Any


@dataclass
class Sweep:
    """A sweep: its folder and its jobs, in the order of the overrides; failures are (overrides, reason, log file)."""

    directory: Path
    jobs: List[Job]
    experiment: Optional[str] = None
    failures: List[tuple] = field(default_factory=list)


class Sweeper(BasicSweeper):
    """Runs the product of the swept overrides through Hydra's launcher."""

    def setup(self, *, hydra_context, task_function, config):
        self.hydra_context, self.task_function, self.config = hydra_context, task_function, config
        self.composed, self.groups = {}, {}

    def sweep(self, arguments):
        from espalier.studies import collect  # here, for it imports pandas

        story = self.config.hydra.job.name
        stories.importable(self.config.hydra.runtime)
        jobs = self.plan(arguments, story)
        experiment = self.config.hydra.runtime.choices.get("experiment")
        judges = dict.fromkeys(str(job.config.task) for job in jobs)
        if len(judges) > 1 and story != "train":
            raise InputError(f"the jobs have different tasks, {' and '.join(judges)}: one sweep and one report for each")
        sweep = Sweep(self.folder(story, jobs, experiment), jobs, experiment)
        pool = Path(jobs[0].config.outputs)
        runs = [{"run": job.run.directory.relative_to(pool), "overrides": " ".join(job.overrides)} for job in jobs]
        safe = plain(jobs[0].config.safe) if story == "prune" else None
        collect.describe(sweep.directory, story, experiment, runs, safe)
        for note in dict.fromkeys(note for job in jobs for note in notes(job.config)):
            progress.current.say(f"note: {note}")
        todo = base_first([job for job in jobs if self.wanted(job)])
        checking.check([job.config for job in todo])
        returns = self.launch(sweep, todo)
        stories.finish_sweep(story, sweep, len(jobs) - len(todo))
        if sweep.failures:
            raise SystemExit(1)
        return returns

    @staticmethod
    def wanted(job):
        """Whether there is work to do for a job: its run, its controls, what it ships, or the use of it."""

        if job.config.force or getattr(job.config, "predict", None) is not None:
            return True
        return not (job.run.result() and controls.done(job.config) and shipped(job.config))

    def plan(self, arguments, story):
        """Compose every job once and check it.  Raises: InputError, before any job starts."""

        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        parsed = parser.parse_overrides([*self._parse_config(), *arguments])
        (batch,) = self.split_arguments(parsed, None)
        jobs = {}
        for chosen in batch:
            config = to_config(self.compose(chosen, parser))
            run = RUNS[story](config)
            base = base_run(config) if story == "prune" else None
            first = jobs.setdefault(run.directory, Job(list(chosen), config, run, base))
            if list(chosen) != first.overrides:
                self.same(first, list(chosen), config)
        return list(jobs.values())

    @staticmethod
    def same(first, chosen, config):
        """Tell that a job is another one's run.  Raises: InputError where it would say something else of it."""
        if plain(getattr(first.config, "safe", None)) != plain(getattr(config, "safe", None)):
            raise InputError("safe.* changes what is said of a run, not the run: give one value, and others with report=FOLDER")
        ours = [override for override in chosen if override not in first.overrides]
        theirs = [override for override in first.overrides if override not in chosen]
        progress.current.say(f"note: {' '.join(ours)} is the same run as {' '.join(theirs)}, and no job of its own")

    def compose(self, chosen, parser):
        """The configuration of one job. Composed once for all jobs that choose the same members of groups: the values that
        they set besides are put in afterwards, in their order, which is what Hydra does, at a tenth of the time.
        """
        loader = self.hydra_context.config_loader
        values, others = [], []
        for text, override in zip(chosen, parser.parse_overrides(list(chosen))):
            simple = override.type == OverrideType.CHANGE and override.package is None
            if simple and override.key_or_group not in self.groups:
                self.groups[override.key_or_group] = bool(loader.get_group_options(override.key_or_group))
            if simple and not self.groups[override.key_or_group] and not override.key_or_group.startswith("hydra."):
                values.append(override)
            else:
                others.append(text)
        key = tuple(others)
        if key not in self.composed:
            composed = loader.load_sweep_config(self.config, others)
            with open_dict(composed):
                del composed["hydra"]
            self.composed[key] = composed
        config = copy.deepcopy(self.composed[key])
        for override in values:
            try:
                OmegaConf.update(config, override.key_or_group, override.value(), merge=True)
            except OmegaConfBaseException as error:
                raise InputError(overrides.refused(override.input_line, error)) from None
        return config

    def folder(self, story, jobs, experiment):
        """`outputs/sweeps/<story>-<experiment>-<hash of its runs>`."""
        names = "\n".join(sorted(str(job.run.directory.relative_to(job.config.outputs)) for job in jobs))
        words = [story, *([str(experiment).replace("/", "_")] if experiment else [])]
        return Path(jobs[0].config.outputs) / "sweeps" / "-".join([*words, hashlib.sha256(names.encode()).hexdigest()[:8]])

    def launch(self, sweep, todo):
        """Run the jobs; what fails is noted and does not stop the others."""

        if not todo:
            return []
        with read_write(self.config.hydra.sweep), open_dict(self.config):  # Hydra 1.4 hands out a read-only configuration
            self.config.hydra.sweep.dir = str(sweep.directory)
        launcher = Plugins.instance().instantiate_launcher(
            hydra_context=self.hydra_context, task_function=self.task_function, config=self.config
        )
        alone = self.config.hydra.launcher._target_.endswith(".BasicLauncher")
        progress.current = progress.Progress(
            sum(1 + bool(controls.runs(job.config)) + (not shipped(job.config)) for job in todo), planned(todo),
            Pace(Path(todo[0].config.outputs) / "pace.json"),
        )  # fmt: skip
        shown = contextlib.nullcontext() if alone else progress.watching([job.run.directory for job in todo])
        try:
            with shown:
                returns = launcher.launch([job.overrides for job in todo], initial_job_idx=0)
        except Exception as error:
            log.exception("the launcher failed")
            unfinished = [job for job in todo if not job.run.result()]
            sweep.failures += [(job.overrides, f"{type(error).__name__}: {error}", job.run / "") for job in unfinished]
            return []
        for job, returned in zip(todo, returns):
            if returned.status != JobStatus.COMPLETED:
                error = returned._return_value
                first = (str(error).splitlines() or [""])[0]
                reason = first if isinstance(error, InputError) else f"{type(error).__name__}: {first}"
                sweep.failures.append((job.overrides, reason, job.run / f"{job.run.kind}.log"))
        return returns


def planned(jobs):
    """The work of every job that has to be done, as far as it is known before; a base that several share is the first one's."""
    bases, found = set(), []
    for job in jobs:
        if not job.run.result() or job.config.force:
            found.append(work(job.config, bases))
            bases |= {job.base.directory} if job.base else set()
    return [one for one in found if one]


def base_first(jobs):
    """One job per base that is yet to be made comes before the others, which would only wait for it."""
    first, rest, seen = [], [], set()
    for job in jobs:
        key = None if job.base is None or job.base.result() else job.base.directory
        if key is not None and key not in seen:
            seen.add(key)
            first.append(job)
        else:
            rest.append(job)
    return first + rest


@dataclass
class SweeperConfig:
    _target_: str = "hydra_plugins.espalier_sweeper.Sweeper"
    max_batch_size: Optional[int] = None
    params: Optional[Dict[str, str]] = None


ConfigStore.instance().store(group="hydra/sweeper", name="espalier", node=SweeperConfig, provider="espalier")

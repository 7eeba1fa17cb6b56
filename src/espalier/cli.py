"""The doors: compose the configuration, call one function.

torch is imported inside the job, so that help and errors are quick.
"""

import os
import re
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException, MissingConfigException
from hydra.types import RunMode
from omegaconf.errors import OmegaConfBaseException

from espalier import overrides
from espalier import settings as schema
from espalier.errors import InputError
from espalier.names import OPTIMIZERS
from espalier.studies import stories
from espalier.studies.plan import RUNS

#: launcher -> extra of ours that installs it
EXTRAS = {"submitit_slurm": "slurm", "submitit_local": "slurm"}

#: Hydra 1.3 wants to be told whose defaults it has, 1.4 warns where it is.
VERSION_BASE = {"version_base": "1.3"} if hydra.__version__.startswith("1.3.") else {}

schema.register()


def conf():
    """The folder `conf`: inside the installed package, or at the top of the repository."""
    package = Path(__file__).parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parents[1] / "conf")


def job(composed):
    """One job of the story that hydra.job.name names."""
    settings = HydraConfig.get()
    stories.importable(settings.runtime)
    experiment = settings.runtime.choices.get("experiment")
    if settings.mode == RunMode.MULTIRUN:
        parallel = not settings.launcher._target_.endswith(".BasicLauncher")
        if parallel:
            enter(settings.runtime.cwd)
        return stories.run_job(settings.job.name, composed, sweeping=True, parallel=parallel, experiment=experiment)
    given = {override.partition("=")[0].lstrip("+~") for override in settings.overrides.task}
    try:
        stories.refuse_forgotten_sweep(settings, given)
        return stories.run_job(settings.job.name, composed, sweeping=False, experiment=experiment, given=given)
    except (InputError, OSError) as error:  # here, because Hydra adds lines to what leaves a job
        give_up(error)


def enter(folder):
    """Work where the sweep was started, for its paths are relative to that; a worker of a running cluster starts elsewhere."""
    try:
        os.chdir(folder)
    except OSError as error:
        raise InputError(
            f"{folder}, where the sweep was started, is not here ({error.strerror}): share it with all workers"
        ) from None


def give_up(error):
    """End with one line that says why."""
    line = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
    sys.stderr.write(f"error: {line}\n")
    raise SystemExit(2) from None


def one_line(error):
    """What Hydra and OmegaConf say on several lines, on one."""
    if isinstance(error, MissingConfigException) and error.options:
        group, _, name = error.missing_cfg_file.rpartition("/")
        if group == "hydra/launcher":
            return f"hydra/launcher={name} is not installed: pip install 'espalier[{EXTRAS.get(name, name)}]'"
        there = ("there are " if len(error.options) > 1 else "there is ") + ", ".join(error.options)
        kinds = f"; optimizer.name takes {', '.join(OPTIMIZERS)}" if group == "optimizer" else ""
        return f"{group}={name} is unknown; {there}{kinds}"
    cause = error.__cause__
    first, *more = str(error).splitlines()
    several = re.fullmatch(r"Ambiguous value for argument '(.*?)=(.*)'", first)
    if several:
        key, values = several.groups()
        listed = f", or write {key}=[{values}] for one job with all of them" if key in overrides.LISTS else ""
        return f"{key}={values} names several values: add -m for a job for each{listed}"
    merging = re.match(r"(?:Could not override|Error merging override) '?(.*?)'?\.?$", first)
    if merging and isinstance(cause, OmegaConfBaseException):
        return overrides.refused(merging[1], cause)
    if first.endswith(":") and more:
        first = f"{first} {more[0].strip()}"
    lines = [first, *(str(cause).splitlines()[:1] if cause and str(cause) != str(error) else [])]
    return ": ".join(line.rstrip(".") for line in lines)


def door(name):
    """The command line of one story: bad input and a full disk end in one line and exit code 2."""
    run = hydra.main(**VERSION_BASE, config_path=conf(), config_name=name)(job)

    def main():
        os.environ.setdefault("HYDRA_FULL_ERROR", "1")  # exceptions reach us instead of being printed
        try:
            sys.argv[1:] = overrides.checked(sys.argv[1:], name, RUNS, conf())
            run()
        except (HydraException, OmegaConfBaseException) as error:
            give_up(InputError(overrides.unread(sys.argv[1:]) or one_line(error)))
        except (InputError, OSError) as error:  # of a sweep, before its jobs start
            give_up(error)
        except KeyboardInterrupt:
            sys.stderr.write("interrupted: the same command goes on from the last finished epoch\n")
            raise SystemExit(130) from None

    return main


train = door("train")
prune = door("prune")
structure_search = door("structure_search")

"""The doors: compose the configuration, call one function. torch is imported inside the job, so that help and errors are quick."""

import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from espalier.errors import InputError
from espalier.experiments import config as schema

schema.register()


def conf():
    """The folder `conf`: inside the installed package, or at the top of the repository."""
    package = Path(__file__).parent
    inside = package / "conf"
    return str(inside if inside.is_dir() else package.parents[1] / "conf")


def job(composed):
    """One job of the story that hydra.job.name names. Alone, bad input and a full disk end it with one line."""
    from espalier.experiments import stories

    settings = HydraConfig.get()
    if settings.mode == RunMode.MULTIRUN:
        return stories.run_job(settings.job.name, composed, sweeping=True)
    try:
        stories.refuse_forgotten_sweep(settings)
        return stories.run_job(settings.job.name, composed, sweeping=False)
    except (InputError, OSError) as error:
        where = f"{error.filename}: {error.strerror}" if isinstance(error, OSError) and error.filename else str(error)
        sys.stderr.write(f"error: {where}\n")
        raise SystemExit(2) from None


train = hydra.main(version_base="1.3", config_path=conf(), config_name="train")(job)
prune = hydra.main(version_base="1.3", config_path=conf(), config_name="prune")(job)

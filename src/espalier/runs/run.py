"""Where a run lives, and whether it is done."""

import contextlib
import logging
import platform
from importlib import metadata
from pathlib import Path

from filelock import FileLock, Timeout
from omegaconf import OmegaConf

from espalier import __version__
from espalier.errors import InputError
from espalier.runs import files, progress
from espalier.runs.identity import identity

log = logging.getLogger(__name__)


def versions():
    """Of espalier, Python and what the results rest on."""
    packages = ("torch", "pytorch-lightning", "hydra-core", "numpy", "pandas")
    return {"espalier": __version__, "python": platform.python_version()} | {name: metadata.version(name) for name in packages}


def read_result(directory):
    """The content of result.json in a run's directory if its files are what it says, else None; damage is logged."""
    path = Path(directory) / "result.json"
    if not path.exists():
        return None
    result = files.read_json(path)
    if not isinstance(result, dict) or not isinstance(result.get("files"), dict):
        log.warning("%s is damaged; the run is done again", path)
        return None
    if not files.untouched(result):
        log.warning("%s was changed; the run is done again", path)
        return None
    wrong = files.vouched(path.parent, result["files"])
    if wrong is not None:
        log.warning("%s is missing or damaged; the run is done again", wrong)
        return None
    return result


class Run:
    """A run's directory, `outputs/<kind>/<name>-<hash>/seed_<seed>`, which follows from its configuration alone.

    result.json, written last, says that the run is done and what its files must hash to.
    """

    def __init__(self, kind, name, config):
        self.kind, self.config = kind, config
        self.name = f"{name}-{identity(self.config)}"
        self.directory = Path(self.config["outputs"]) / kind / self.name / f"seed_{self.config['seed']}"

    def __truediv__(self, name):
        return self.directory / name

    def result(self):
        """The content of result.json if the run is done, else None; see `read_result`."""
        return read_result(self.directory)

    def finish(self, result, names):
        """Write result.json: the run is done.  names: the files it vouches for, beside config.yaml and itself."""
        vouched = {name: files.digest(self / name) for name in ("config.yaml", *names)}
        files.write_json(self / "result.json", files.sealed({**result, "versions": versions(), "files": vouched}))

    def start(self):
        """Make the directory and write config.yaml; an older result.json is no longer true."""
        self.directory.mkdir(parents=True, exist_ok=True)
        (self / "result.json").unlink(missing_ok=True)
        files.write_text(self / "config.yaml", OmegaConf.to_yaml(self.config))

    @contextlib.contextmanager
    def alone(self):
        """Hold the run's lock: whoever wants the same run waits. It only saves work, nothing depends on it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self / ".lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            progress.current.say(f"waiting for {self.directory}, which another process is making")
            lock.acquire()
        try:
            yield
        finally:
            lock.release()

    @contextlib.contextmanager
    def logging(self, name):
        """Copy what espalier and Lightning log to `<name>.log` in the run's directory, tracebacks included."""
        self.directory.mkdir(parents=True, exist_ok=True)
        handler = logging.FileHandler(self / f"{name}.log")
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        loggers = [logging.getLogger(source) for source in ("espalier", "pytorch_lightning")]
        loggers[0].setLevel(logging.INFO)
        for logger in loggers:
            logger.addHandler(handler)
        try:
            yield
        except BaseException as error:
            loggers[0].error("ended by %s: %s", type(error).__name__, error, exc_info=not isinstance(error, InputError))
            raise
        finally:
            for logger in loggers:
                logger.removeHandler(handler)
            handler.close()

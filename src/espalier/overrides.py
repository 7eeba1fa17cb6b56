"""What the command line says, looked at before Hydra does: null groups, and flags that Hydra answers with a traceback."""

import os
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException

from espalier.errors import InputError

#: Groups that may be left out, which is what null means -> the member that does nothing, None for leaving the override out.
NOTHING = {"engine": None, "experiment": None, "schedule": None, "logger": "none"}
#: Root files that are no door's own.
ROOTS = ("common",)


def checked(arguments, door, doors, conf):
    """The arguments of a door as Hydra takes them.

    door: its name; doors: of all; conf: the folder of the configuration.  Raises: InputError about what no configuration is.
    """
    if "--shell-completion" in arguments or "-sc" in arguments:
        if not any(argument.partition("=")[0] in ("install", "uninstall", "query") for argument in arguments):
            raise InputError("--shell-completion needs install=SHELL or uninstall=SHELL, such as install=bash")
        if any(argument.startswith("query=") for argument in arguments) and "COMP_LINE" not in os.environ:
            raise InputError("--shell-completion query=SHELL is what the shell calls; say install=SHELL, such as install=bash")
    for flag, value in zip(arguments, [*arguments[1:], ""]):
        name, _, own = flag.partition("=")
        value = own or value
        if name in ("-cn", "--config-name") and value.removesuffix(".yaml") in {*doors, *ROOTS} - {door}:
            other = f"run {value.removesuffix('.yaml')}.py" if value.removesuffix(".yaml") in doors else "leave it away"
            raise InputError(f"{name} {value} is not {door}.py's: {other}")
    kept = []
    for argument in arguments:
        left = _looked_at(argument, conf)
        kept += [] if left is None else [left]
    return kept


def _looked_at(argument, conf):
    """An argument as Hydra takes it; None where it says nothing."""
    if argument.startswith("-") or "=" not in argument:
        return argument
    key = argument.partition("=")[0].lstrip("+~")
    if not key:
        raise InputError(f"{argument!r} has no key: say key=value")
    if key == "hydra.job.name":
        raise InputError("hydra.job.name says which door runs: leave it as it is, and name the run's folder with outputs=")
    group = key.partition("@")[0]
    ours = (Path(conf) / group).is_dir()
    if not ours and not group.startswith("hydra/"):
        return argument
    try:
        (override,) = OverridesParser.create().parse_overrides([argument])
    except HydraException:  # which says so itself
        return argument
    value = override.value()
    values = value.list if override.is_choice_sweep() else value if isinstance(value, list) else [value]
    if value is None and group in NOTHING:
        return None if NOTHING[group] is None else f"{key}={NOTHING[group]}"
    known = sorted(path.stem for path in (Path(conf) / group).glob("*.yaml")) if ours else ["those of hydra --info"]
    for one in values:
        one = getattr(one, "text", one)  # of a quoted string
        if one is None or isinstance(one, (bool, int, float)):
            told = "null" if one is None else one
            raise InputError(f"{group}={told} is unknown; there are {', '.join(known)}")
    return argument

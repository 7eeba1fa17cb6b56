"""What the command line says, looked at before Hydra does: null groups, lists, and flags that Hydra answers with a traceback;
and what is said of overrides that Hydra does not take.
"""

import difflib
import os
import re
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import ConfigAttributeError, ConfigKeyError

from espalier.errors import InputError

#: Groups that may be left out, which is what null means -> the member that does nothing, None for leaving the override out.
NOTHING = {"engine": None, "experiment": None, "schedule": None, "logger": "none"}
#: Keys that take a list.
LISTS = ("percent", "export", "modules", "block", "model.hidden")
#: Of these, those where a value that stands alone is written as a list of one before Hydra sees it.
ALONE = ("modules", "block", "model.hidden")
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
    sweeping = "-m" in arguments or "--multirun" in arguments
    for argument in arguments:
        key, _, value = argument.partition("=")
        if key == "export" and re.fullmatch(r"\w+(,\w+)+", value):  # the formats of one export, not a sweep
            argument = f"export=[{value}]"
        if key in ALONE and re.fullmatch(r"[\w.,]+" if sweeping else r"[\w.]+", value) and value != "null":
            argument = f"{key}={','.join(f'[{one}]' for one in value.split(','))}"
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
        if one is None or isinstance(one, (bool, int, float, list)):
            told = "null" if one is None else one
            raise InputError(f"{group}={told} is unknown; there {'are' if len(known) > 1 else 'is'} {', '.join(known)}")
    return argument


def unread(arguments):
    """The line on the first argument whose value Hydra cannot read; None where it reads all of them."""
    parser = OverridesParser.create()
    for argument in arguments:
        key, given, value = argument.partition("=")
        if given and not argument.startswith("-"):
            try:
                parser.parse_overrides([argument])
            except HydraException:
                return f"{argument} cannot be read as it is: put the value in quotes, '{key}=\"{value}\"'"
    return None


def refused(override, error):
    """The line on an override that a configuration does not take.  error: OmegaConf's, which holds the configuration."""
    key, first = error.full_key or override.partition("=")[0], str(error).splitlines()[0].rstrip(".")
    if error.parent_node is None:
        return f"{override}: {first}"
    config = OmegaConf.to_container(error.parent_node._get_root())
    keys = list(_dotted({name: value for name, value in config.items() if name != "hydra"}))
    if isinstance(error, (ConfigAttributeError, ConfigKeyError)):
        near = _near(key, [known for known in keys if not any(other.startswith(f"{known}.") for other in keys)])
        but = f", but {', '.join(near)} {'are' if len(near) > 1 else 'is'}" if near else ""
        return f"{key} is no key here{but}; --help lists those that there are"
    members = [known for known in keys if known.startswith(f"{key}.")]
    return f"{override}: {key} stands for {', '.join(members)}" if members else f"{override}: {first}"


def _near(key, keys):
    """The keys that an unknown one may have meant: spelt alike in its group, ending alike anywhere, or its group's."""
    group, _, last = key.rpartition(".")
    siblings = {known.rpartition(".")[2]: known for known in keys if known.rpartition(".")[0] == group}
    alike = [siblings[name] for name in difflib.get_close_matches(last, siblings, cutoff=0.65)]
    ending = [known for known in keys if known.endswith(last)]
    return alike or ending or (list(siblings.values()) if group else [])


def _dotted(values, before=""):
    for name, value in values.items():
        yield f"{before}{name}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{before}{name}.")

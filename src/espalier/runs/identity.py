"""What a run is: a readable name and a hash of everything that its results depend on."""

import hashlib
import json
from dataclasses import fields, is_dataclass
from enum import Enum
from importlib.machinery import PathFinder
from pathlib import Path

from espalier.errors import InputError
from espalier.runs.files import digest

#: Rises when the same configuration would give other results than before; old runs are then never met again.
FORMAT = 1
#: Keys that leave the results as they are (controls are runs of their own). The seed is a folder below the hash.
OUTSIDE = (
    "outputs", "force", "device", "threads", "logger", "seed", "controls", "report", "processes", "results", "predict",
    "predict_each", "export", "costs", "objective", "list",
)  # fmt: skip
#: Keys that change nothing under a condition, which is a function of all values: they are then hashed at this value.
IDLE = (
    (("safe", "tolerance"), 0.01, lambda values: True),  # only sentences use it
    (("regain", "tolerance"), 0.01, lambda values: _by_default(values, "regain")),
    (("regaining", "tolerance"), 0.01, lambda values: _by_default(values, "regaining")),
    (("block",), [4, 4], lambda values: values.get("structure") != "block"),
    (("cut", "block"), [4, 4], lambda values: values["cut"]["structure"] != "block"),
)
#: Keys that name input files, or a folder of them, and which of its files count: they enter by their content.
FILES = {
    ("data", "train"): "*", ("data", "test"): "*", ("data", "path"): "*", ("data", "root"): "*ubyte*", ("base",): "*",
    ("start", "file"): "*", ("regaining", "reference", "file"): "*", ("cut", "ranked", "file"): "*", ("graph", "folder"): "*",
}  # fmt: skip
#: Keys that came later, with the values at which they change nothing: then they stay out, and earlier runs are found.
BORN = (
    (("fresh",), (False,)), (("schedule",), ({"name": "one_shot"},)), (("task",), ({"name": "classify"},)),
    (("model", "name"), ("recurrent", "graph")), (("model", "dropout"), (0,)),
    (("modules",), (None,)), (("gates",), (None,)), (("keep_diagonal",), (False,)),
    (("trainer", "plateau"), (None,)), (("retrain", "against"), ("best",)),
    (("patience", "against"), ("best",)), (("regain", "patience"), (1,)), (("safe", "by"), ("curve", "levels")),
)  # fmt: skip


#: Values under which something else is done than once: they are hashed by another word, so that no result of before is met.
REVISED = (
    (("score",), "random", "random, one draw for all percents"),
    (("cut", "score"), "random", "random, one draw for all percents"),
)


def identity(values):
    """First 8 hex digits of the SHA-256 of a configuration (nested plain dicts, see `plain`).

    Whole floats are taken for ints, files by their content.  Raises: InputError if a file cannot be read.
    """
    values = _identified({key: value for key, value in values.items() if key not in OUTSIDE})
    for path, value, idle in IDLE:
        node, last = _parent(values, path)
        if last in node and idle(values):
            node[last] = _normal(value)
    for path, pattern in FILES.items():
        node, last = _parent(values, path)
        if node.get(last) and "_target_" not in node:
            try:
                node[last] = _content(node[last], pattern)
            except InputError as error:
                raise InputError(f"{'.'.join(path)}={error}") from None
    for path, born in BORN:
        node, last = _parent(values, path)
        if last in node and node[last] in born:
            del node[last]
    for path, value, word in REVISED:
        node, last = _parent(values, path)
        if node.get(last) == value:
            node[last] = word
    text = json.dumps({"format": FORMAT, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _by_default(values, name):
    return values[name]["tolerance"] is None and values.get("task", {"name": "classify"}) == {"name": "classify"}


def _identified(value):
    """Plain values in their normal form. What names code of the user's (`_target_`) gets the hash of its source beside it, and
    files among its keys come by their content.
    """
    if isinstance(value, (list, tuple)):
        return [_identified(item) for item in value]
    if not isinstance(value, dict):
        return _normal(value)
    value = {str(key): _identified(item) for key, item in value.items()}
    if "regressors" in value:  # a list of names, or of import paths
        value["regressors"] = [f"{name} {source(name)}" if source(name) else name for name in value["regressors"]]
    digest = source(value["_target_"]) if value.get("_target_") else None
    if digest:
        value = {key: item if key == "_target_" else _file(item) for key, item in value.items()} | {"_source_": digest}
    return value


def source(place):
    """The hash of the source file of what stands at an import path, found without importing anything; None of our own, and of
    what has no such file.
    """
    module = place.partition(":")[0] if ":" in place else place.rpartition(".")[0]
    if not module or module.partition(".")[0] == "espalier":
        return None
    path, spec = None, None
    for part in module.split("."):
        name = part if spec is None else f"{spec.name}.{part}"
        spec = PathFinder.find_spec(name, path)
        if spec is None:
            return None
        path = spec.submodule_search_locations
    return _digest(spec.origin) if spec.has_location else None


def _file(value):
    """The value, files that texts in it name by their content, and folders too, where the text is a path, not a word."""
    if isinstance(value, dict):
        return {key: _file(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_file(item) for item in value]
    try:
        named = isinstance(value, str) and (Path(value).is_file() or ("/" in value and Path(value).is_dir()))
    except (OSError, ValueError):  # too long, or with a null character
        named = False
    return _content(value) if named else value


def _parent(values, path):
    """(the dict that holds the value at a path, empty if there is none; the last key)."""
    *parents, last = path
    for key in parents:
        values = values.get(key) or {}
    return values, last


_digests = {}


def _content(path, pattern="*"):
    """Digest of a file, or of those files of a folder whose names are like the pattern."""
    if Path(path).is_dir():
        return {file.name: _digest(file) for file in sorted(Path(path).glob(pattern)) if file.is_file()}
    return _digest(path)


def _digest(path):
    """The file's digest; computed again only if its size or time changed, since a sweep asks for every job."""
    try:
        stat = Path(path).stat()
        key = (str(path), stat.st_size, stat.st_mtime_ns)
    except OSError:
        return digest(path)
    if key not in _digests:
        _digests[key] = digest(path)
    return _digests[key]


def _normal(value):
    if isinstance(value, dict):
        return {str(key): _normal(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_normal(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def flat(values, prefix=""):
    """(dotted key, value) of everything in nested dicts."""
    for key, value in values.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def plain(config):
    """A configuration object as nested dicts of plain values (members of enums by name)."""
    if isinstance(config, Enum):
        return config.name
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    if is_dataclass(config):
        return {field.name: plain(getattr(config, field.name)) for field in fields(config)}
    return config

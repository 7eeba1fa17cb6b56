"""What a run is: a readable name and a hash of everything that its results depend on."""

import hashlib
import json
from enum import Enum
from pathlib import Path

from espalier.errors import InputError
from espalier.runs.files import digest

#: Rises when the same configuration would give other results than before; old runs are then never met again.
FORMAT = 1
#: Keys that leave the results as they are (controls are runs of their own). The seed is a folder below the hash.
OUTSIDE = (
    "outputs", "force", "device", "threads", "logger", "seed", "controls", "report", "processes", "results", "predict",
    "predict_each", "export", "costs",
)  # fmt: skip
#: Keys that change nothing under a condition, which is a function of all values: they are then hashed at this value.
IDLE = (
    (("safe", "tolerance"), 0.01, lambda values: True),  # only sentences use it
    (("block",), [4, 4], lambda values: values.get("structure") != "block"),
    (("cut", "block"), [4, 4], lambda values: values["cut"]["structure"] != "block"),
)
#: Keys that name input files, or a folder of them: they enter by their content.
FILES = (
    ("data", "train"), ("data", "test"), ("base",), ("start", "file"), ("regaining", "reference", "file"),
    ("cut", "ranked", "file"), ("graph", "folder"),
)  # fmt: skip
#: Keys that came later, at the values at which they change nothing: then they stay out, and earlier runs are found.
BORN = {"schedule": {"name": "one_shot"}}


def identity(values):
    """First 8 hex digits of the SHA-256 of a configuration (nested plain dicts, see `plain`).

    Whole floats are taken for ints, files by their content.  Raises: InputError if a file cannot be read.
    """
    values = _normal({key: value for key, value in values.items() if key not in OUTSIDE})
    values = {key: value for key, value in values.items() if key not in BORN or value != BORN[key]}
    for path, value, idle in IDLE:
        node, last = _parent(values, path)
        if last in node and idle(values):
            node[last] = _normal(value)
    for path in FILES:
        node, last = _parent(values, path)
        if node.get(last):
            try:
                node[last] = _content(node[last])
            except InputError as error:
                raise InputError(f"{'.'.join(path)}={error}") from None
    text = json.dumps({"format": FORMAT, **values}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _parent(values, path):
    """(the dict that holds the value at a path, empty if there is none; the last key)."""
    *parents, last = path
    for key in parents:
        values = values.get(key) or {}
    return values, last


_digests = {}


def _content(path):
    if Path(path).is_dir():
        return {file.name: _digest(file) for file in sorted(Path(path).iterdir()) if file.is_file()}
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
    if isinstance(value, float) and value == int(value):
        return int(value)
    return value


def plain(config):
    """A configuration object as nested dicts of plain values (members of enums by name)."""
    if isinstance(config, Enum):
        return config.name
    if isinstance(config, dict):
        return {key: plain(value) for key, value in config.items()}
    if isinstance(config, (list, tuple)):
        return [plain(value) for value in config]
    if hasattr(config, "__dataclass_fields__"):
        return {name: plain(getattr(config, name)) for name in config.__dataclass_fields__}
    return config

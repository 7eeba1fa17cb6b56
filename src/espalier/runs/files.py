"""Files appear whole: a temporary file beside the target, fsync, then one atomic rename."""

import contextlib
import csv
import hashlib
import io
import json
import os
import pickle
import uuid
from pathlib import Path

from espalier.errors import InputError

#: Key of the hash of a JSON file's own content, and how long that is.
SEAL, SEAL_LENGTH = "sha256", 64


@contextlib.contextmanager
def whole(path):
    """A binary file to write to; `path` holds all of it afterwards, or, if anything fails, what it held before."""
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path} is a folder where a file must be written: remove it")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        with open(temporary, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def refuse_irregular(path, what=""):
    """Raise InputError about a path that is there, but is no file with an end: a device, a pipe, a socket."""
    path = Path(path)
    if path.exists() and not path.is_file() and not path.is_dir():
        raise InputError(f"{what} {path} is no regular file but a device or a pipe: copy what it holds to a file".strip())


def write_text(path, text):
    with whole(path) as file:
        file.write(text.encode())


def write_json(path, value):
    write_text(path, json.dumps(value, indent=1) + "\n")


def read_json(path):
    """The value in a JSON file, or None if there is none that is whole."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def sealed(content):
    """A dict for `write_json` with the hash of all of it in front."""
    return {SEAL: _hash_of(content), **content}


def untouched(content):
    """Whether a dict that was read is what was sealed; what was written before there were seals counts as such."""
    first = next(iter(content.items()), ("", ""))
    if first[0] == SEAL:
        return first[1] == _hash_of({key: value for key, value in content.items() if key != SEAL})
    return SEAL not in content and not (isinstance(first[1], str) and len(first[1]) == SEAL_LENGTH)


def vouched(directory, digests):
    """The first file of a dict of digests by name that is missing or another than it was; None if all are as they were."""
    for name, expected in digests.items():
        try:
            right = digest(Path(directory) / name) == expected
        except InputError:
            right = False
        if not right:
            return Path(directory) / name
    return None


def _hash_of(content):
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def write_rows(path, columns, rows):
    """A CSV of dicts; None becomes an empty field, floats keep every digit."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(path, text.getvalue())


def save_tensors(path, value):
    """`torch.save`, whole. For values that load again with `weights_only=True`: tensors and plain containers."""
    import torch

    content = io.BytesIO()
    torch.save(value, content)  # in memory first: a full disk then raises OSError, which torch would hide
    with whole(path) as file:
        file.write(content.getbuffer())


def load_tensors(path, what):
    """`torch.load` that runs no code.  Raises: InputError naming the file: missing, truncated, or holding more than tensors."""
    import torch

    refuse_irregular(path, what)
    try:
        with open(path, "rb") as file:
            return torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise InputError(f"{what} {path} does not exist") from None
    except pickle.UnpicklingError:
        raise InputError(
            f"{what} {path} carries code or is no checkpoint; save a state_dict of tensors with torch.save"
        ) from None
    except (PermissionError, IsADirectoryError) as error:
        raise InputError(f"{what} {path} cannot be read ({error.strerror})") from None
    except Exception:  # damaged files make torch raise OSError, RuntimeError, EOFError, KeyError and more
        raise InputError(f"{what} {path} is truncated, damaged or no checkpoint") from None


def digest(path):
    """SHA-256 of a file's content, as hex.  Raises: InputError if it cannot be read."""
    refuse_irregular(path)
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
